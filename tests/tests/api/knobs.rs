//! Knobs that are turned while something is under way: a batch, an extension, the process itself.

use crate::auth::key_of;
use crate::client::Api;
use crate::shop::{PATIENCE, audited, fresh, id, order, post, put, reservation, stock, with};
use crate::tuning::{apply, own, plan, setting, tune};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// Reservations of one batch, more than are in hand at once.
fn many(sku: &str) -> Value {
    let item = |_| with(reservation(sku, 1), json!({"key": fresh("key")}));
    json!({"items": (0..4096).map(item).collect::<Vec<_>>()})
}

/// Each item was looked at when the batch came: what the operator turned off went on for thousands of items.
#[test]
fn a_batch_that_is_under_way_when_orders_are_paused_places_no_more_items() {
    let (_server, api) = own();
    let stopped_midway = || {
        let sku = fresh("sku");
        put(&api, &sku, "berlin", 1_000_000);
        let off = plan(&api, &json!({"orders.accepting": false}));
        let results = std::thread::scope(|scope| {
            let batch = scope.spawn(|| api.post("/v1/reservations:batch", &many(&sku)).ok(200));
            let placing = || (batch.is_finished() || stock(&api, &sku)["held"] != 0).then_some(());
            poll(PATIENCE, placing).expect("the batch is placing");
            apply(&api, &off).ok(200);
            batch.join().unwrap()
        });
        tune(&api, &json!({"orders.accepting": true}));
        let paused = |result: &&Value| result["code"] == "paused";
        (results["results"].as_array().unwrap().iter().filter(paused).count() > 0).then_some(())
    };
    poll(PATIENCE, stopped_midway).expect("what was not placed yet is paused");
}

/// Of a pause that everybody forgot nothing told.
#[test]
fn whoever_looks_sees_that_orders_are_paused_and_what_is_refused() {
    let (_server, api) = own();
    put(&api, "MUG", "berlin", 10);
    let metric = |name: &str| {
        let text = api.get("/metrics").text();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    tune(&api, &json!({"orders.accepting": false}));
    post(&api, "/v1/orders", &order("MUG", 1)).problem(503, "paused");
    assert_eq!(metric("holdfast_orders_total{outcome=\"refused\"}"), Some(1));
    let paused = || metric("holdfast_orders_accepting").filter(|accepting| *accepting == 0);
    poll(PATIENCE, paused).expect("the metric says it");
    assert!(api.get("/console").text().contains("an operator paused them"));
    api.get("/readyz").ok(200);
}

#[test]
fn an_extension_is_as_long_as_the_limits_say_and_a_retry_of_it_is_the_same_request() {
    let (_server, api) = own();
    put(&api, "MUG", "berlin", 10);
    let held = post(&api, "/v1/reservations", &with(reservation("MUG", 1), json!({"ttl_seconds": 30}))).ok(201);
    let extend = format!("/v1/reservations/{}:extend", id(&held));
    let (key, long_key) = (fresh("key"), fresh("key"));
    tune(&api, &json!({"orders.ttl_seconds": 60, "orders.ttl_max_seconds": 7200}));
    let first = api.keyed(&extend, &key, &json!({})).ok(200);
    let long = api.keyed(&extend, &long_key, &json!({"ttl_seconds": 3600})).ok(200);
    tune(&api, &json!({"orders.ttl_seconds": 120, "orders.ttl_max_seconds": 600}));
    assert_eq!(api.get("/v1/limits").ok(200)["hold_seconds"], json!({"min": 1, "default": 120, "max": 600}));
    api.post(&extend, &json!({"ttl_seconds": 601})).invalid("/ttl_seconds");
    api.keyed(&extend, &fresh("key"), &json!({"ttl_seconds": 601})).invalid("/ttl_seconds");
    api.post(&extend, &json!({"ttl_seconds": 600})).ok(200);
    assert_eq!(api.keyed(&extend, &key, &json!({})).ok(200), first);
    assert_eq!(api.keyed(&extend, &long_key, &json!({"ttl_seconds": 3600})).ok(200), long);
    assert!(first["expires_at"].as_str() < long["expires_at"].as_str());
}

/// Two knobs turned together, to this value. None: the server is gone.
fn turn(api: &Api, value: u64) -> Option<()> {
    let changes = json!({"changes": {"engine.credits": value, "engine.snapshot_events": value}});
    let plan = api.try_keyed("/admin/v1/tuning:plan", "k", &changes)?.ok(200);
    api.try_keyed("/admin/v1/tuning:apply", "k", &json!({"plan": plan["plan"]}))?.ok(200);
    Some(())
}

/// What the newest change of a key says.
fn last_change(api: &Api, key: &str) -> Value {
    let changes = api.get("/admin/v1/changes").ok(200);
    let items = changes["items"].as_array().unwrap();
    items.iter().find(|item| item["what"] == key).map_or(Value::Null, |item| item["after"].clone())
}

/// A file that is cut would keep the server from starting.
#[test]
fn a_kill_at_any_moment_leaves_the_knobs_of_before_or_after_and_a_trail_that_says_which() {
    let (mut server, api) = own();
    let (turned, mut begun) = (AtomicU64::new(99), 99);
    for more in [1, 2, 3, 5, 8] {
        begun = std::thread::scope(|scope| {
            let turning = scope.spawn(|| {
                let acknowledged = |value: &u64| turn(&api, *value).map(|()| turned.store(*value, Ordering::SeqCst));
                (begun + 1..).find(|value| acknowledged(value).is_none()).expect("it is killed")
            });
            poll(PATIENCE, || (turned.load(Ordering::SeqCst) >= begun + more).then_some(())).expect("knobs are turned");
            server.kill();
            turning.join().unwrap()
        });
        let file = fs::read_to_string(server.data_dir().join("tuning.toml")).unwrap();
        server.restart();
        let shown = ["engine.credits", "engine.snapshot_events"].map(|key| setting(&api, key));
        let value = shown[0]["value"].as_u64().unwrap();
        assert!(value == turned.load(Ordering::SeqCst) || value == begun, "{shown:?}");
        assert_eq!(file.matches(&format!("value = {value}\n")).count(), 2, "both or none: {file}");
        for (key, shown) in ["engine.credits", "engine.snapshot_events"].iter().zip(&shown) {
            let wanted = shown["wanted"].as_str().map_or(value, |wanted| wanted.parse().unwrap());
            assert_eq!(shown["value"], value, "both or none");
            assert_eq!(last_change(&api, key), wanted.to_string(), "{shown}");
            assert!(wanted == value || wanted == begun, "{shown}");
        }
        turned.store(value, Ordering::SeqCst);
    }
}

/// Who is in the trail, and what he began.
fn trail(api: &Api) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let changes = api.get("/admin/v1/changes").ok(200);
    let items = changes["items"].as_array().unwrap().iter();
    items.map(|item| (text(&item["who"]), text(&item["what"]), text(&item["after"]))).collect()
}

/// They were there only if they were begun on the console.
#[test]
fn what_is_begun_over_http_is_in_the_trail_with_who_it_was() {
    let mut server = Server::prepare(Options::new().arg("--shards").arg("2"));
    let admin = key_of(&server, &["--name", "ada", "--role", "admin"]);
    server.restart();
    let api = Api::of(&server).with_key(&admin);
    api.json("POST", "/admin/v1/partitions/0:move", &[], &json!({"shard": 9})).problem(400, "invalid_request");
    let moved = api.json("POST", "/admin/v1/partitions/0:move", &[], &json!({"shard": 1})).ok(202);
    audited(&api);
    let after = format!("partition 0 to shard 1, operation {}", moved["id"].as_str().unwrap());
    let ada = |what: &str, after: &str| ("ada".to_owned(), what.to_owned(), after.to_owned());
    assert_eq!(trail(&api), [ada("audit", ""), ada("partition.move", &after)]);
}
