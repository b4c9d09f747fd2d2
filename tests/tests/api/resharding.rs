//! The number of shards, changed as any other setting while orders and holds come.

use crate::client::Api;
use crate::shop::{PATIENCE, audited, id, order, post, reservation, stocked};
use crate::tuning::{apply, plan, setting, tune};
use holdfast_tests::server::{Options, Server, partitions, poll};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// By its settings file: an argument would win at the next start.
fn with_shards(dir: &Path, shards: usize) -> Server {
    let file = dir.join("holdfast.toml");
    fs::write(&file, format!("[engine]\nshards = {shards}\n")).unwrap();
    Server::start(Options::new().arg("--config").arg(file))
}

fn ended(api: &Api, operation: &Value) -> Value {
    let path = format!("/admin/v1/operations/{}", id(operation));
    let ended = || Some(api.get(&path).ok(200)).filter(|operation| operation["state"] != "running");
    poll(PATIENCE, ended).expect("it ends")
}

fn shards(api: &Api) -> usize {
    api.get("/admin/v1/shards").ok(200)["shards"].as_array().unwrap().len()
}

/// Orders and holds, each confirmed or released by turns. How many units stay held by orders, by holds, and how many are committed.
fn buy(api: &Api, sku: &str, over: &AtomicBool) -> [u64; 3] {
    let mut units = [0; 3];
    for turn in 0.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let placed = post(api, "/v1/orders", &order(sku, 1)).ok(201);
        let held = post(api, "/v1/reservations", &reservation(sku, 1)).ok(201);
        if turn % 2 == 0 {
            api.act(&format!("/v1/orders/{}:confirm", id(&placed))).ok(200);
            assert_eq!(api.delete(&format!("/v1/reservations/{}", id(&held))).status, 204);
        }
        let kept = u64::from(turn % 2 == 1);
        units = [units[0] + kept, units[1] + kept, units[2] + 1 - kept];
    }
    units
}

/// Requests in hand at all shards but the first, as the metrics have it.
fn depth_of_others(api: &Api) -> f64 {
    let text = api.get("/metrics").text();
    let depths = text.lines().filter_map(|line| line.strip_prefix("holdfast_shard_depth{shard=\"")?.split_once("\"} "));
    depths.filter(|(shard, _)| *shard != "0").map(|(_, depth)| depth.parse::<f64>().unwrap()).sum()
}

#[test]
fn shards_become_4_16_and_1_while_orders_and_holds_come_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_shards(dir.path(), 1);
    let api = Api::of(&server);
    let sku = stocked(&api, 1_000_000);
    let over = AtomicBool::new(false);
    let bought: Vec<[u64; 3]> = thread::scope(|scope| {
        let buyers: Vec<_> = (0..4).map(|_| scope.spawn(|| buy(&api, &sku, &over))).collect();
        for number in [4, 16, 1] {
            let answer = tune(&api, &json!({"engine.shards": number}));
            let operation = ended(&api, &answer["operation"]);
            assert_eq!((&operation["state"], &operation["kind"]), (&json!("done"), &json!("reshard")), "{operation}");
            assert_eq!(operation["moved"], operation["moves"]);
            assert_eq!((shards(&api), &setting(&api, "engine.shards")["value"]), (number, &json!(number)));
            if number == 16 {
                poll(PATIENCE, || (depth_of_others(&api) > 0.0).then_some(())).expect("they have requests in hand");
            }
        }
        over.store(true, Ordering::SeqCst);
        buyers.into_iter().map(|buyer| buyer.join().unwrap()).collect()
    });
    let sum = |of: usize| bought.iter().map(|units| units[of]).sum::<u64>();
    let stock = api.get(&format!("/v1/inventory/{sku}")).ok(200);
    assert_eq!((&stock["held"], &stock["committed"]), (&json!(sum(0) + sum(1)), &json!(sum(2))), "{stock}");
    audited(&api);
    poll(PATIENCE, || (depth_of_others(&api) == 0.0).then_some(())).expect("shards that are no more have nothing in hand");
}

#[test]
fn a_plan_shows_the_moves_and_another_number_stays_after_a_restart_with_who_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = with_shards(dir.path(), 2);
    let api = Api::of(&server);
    let planned = plan(&api, &json!({"engine.shards": 8}));
    let diff = &planned["diff"][0];
    assert_eq!((&diff["from"], &diff["to"]), (&json!(2), &json!(8)));
    assert_eq!(planned["moves"].as_array().unwrap().len(), partitions() * 3 / 4, "{planned}");
    let pause = || plan(&api, &json!({"engine.shards": 8}))["pause_estimate_ms"].as_f64();
    assert!(poll(PATIENCE, pause).expect("it is known when the engine was looked at once") >= 0.0);
    assert!(plan(&api, &json!({"engine.credits": 9})).get("pause_estimate_ms").is_none(), "nothing moves");
    assert_eq!(shards(&api), 2, "a plan changes nothing");
    ended(&api, &tune(&api, &json!({"engine.shards": 8}))["operation"]);
    server.kill();
    server.restart();
    assert_eq!(shards(&api), 8);
    let shown = setting(&api, "engine.shards");
    assert!(shown["origin"].as_str().unwrap().starts_with("tuning.toml: change 1, 20"), "{shown}");
    let change = api.get("/admin/v1/changes").ok(200)["items"][0].clone();
    assert_eq!([&change["what"], &change["before"], &change["after"]], ["engine.shards", "2", "8"]);
    ended(&api, &tune(&api, &json!({"engine.shards": null}))["operation"]);
    assert_eq!((shards(&api), setting(&api, "engine.shards")["value"].clone()), (2, json!(2)), "as the file says");
    assert!(server.terminate().success());
}

#[test]
fn while_partitions_move_another_number_of_shards_is_refused_and_nothing_is_journalled() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_shards(dir.path(), 1);
    let api = Api::of(&server);
    let refused = poll(PATIENCE, || {
        let now = setting(&api, "engine.shards")["value"].as_u64().unwrap();
        let (first, then) = if now == 1 { (16, 1) } else { (1, 16) };
        tune(&api, &json!({"engine.shards": first}));
        let before = api.get("/admin/v1/changes").ok(200)["items"][0]["number"].clone();
        let answer = apply(&api, &plan(&api, &json!({"engine.shards": then})));
        // It may be over by now.
        (answer.status == 409).then_some((answer, before))
    });
    let (refused, before) = refused.expect("it is still running once");
    refused.problem(409, "operation_running");
    assert_eq!(api.get("/admin/v1/changes").ok(200)["items"][0]["number"], before);
}

#[test]
fn a_number_that_there_cannot_be_is_refused_with_the_reason() {
    let api = Api::shared();
    for shards in [0, partitions() + 1, 1_000_000] {
        let refused = api.post("/admin/v1/tuning:plan", &json!({"changes": {"engine.shards": shards}}));
        let refused = refused.problem(400, "invalid_request");
        let expected = json!([{"pointer": "/changes/engine.shards", "message": format!("must be 1 to {}: a shard has a partition at least", partitions())}]);
        assert_eq!(refused["errors"], expected);
    }
}
