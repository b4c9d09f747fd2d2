//! Partitions that are moved between shards while orders come.

use crate::client::Api;
use crate::shop::{PATIENCE, audited, order, stocked};
use holdfast_tests::server::{Options, Server, partitions, poll};
use serde_json::{Value, json};

fn moved(api: &Api, partition: u64, shard: u64) -> Value {
    let path = format!("/admin/v1/partitions/{partition}:move");
    let begun = || Some(api.json("POST", &path, &[], &json!({"shard": shard}))).filter(|answer| answer.status != 409);
    let begun = poll(PATIENCE, begun).expect("one at a time").ok(202);
    let path = format!("/admin/v1/operations/{}", begun["id"].as_str().unwrap());
    let ended = || Some(api.get(&path).ok(200)).filter(|operation| operation["state"] != "running");
    poll(PATIENCE, ended).expect("it ends")
}

fn shard_of(api: &Api, partition: u64) -> Vec<Value> {
    let shards = api.get("/admin/v1/shards").ok(200)["shards"].clone();
    let has = |shard: &&Value| shard["partitions"].as_array().unwrap().contains(&partition.into());
    shards.as_array().unwrap().iter().filter(has).map(|shard| shard["shard"].clone()).collect()
}

#[test]
fn every_partition_goes_from_shard_to_shard_while_orders_come_and_every_order_is_placed() {
    let server = Server::start(Options::new().arg("--shards").arg("3"));
    let api = Api::of(&server);
    let sku = stocked(&api, 1_000_000);
    let over = std::sync::atomic::AtomicBool::new(false);
    let placed: u64 = std::thread::scope(|scope| {
        let buyer = |number: u64| {
            let (api, sku, over) = (api.clone(), &sku, &over);
            move || {
                let mut placed = 0;
                while !over.load(std::sync::atomic::Ordering::SeqCst) {
                    let key = format!("moved-{number}-{placed}");
                    api.try_keyed("/v1/orders", &key, &order(sku, 1)).expect("it is answered").ok(201);
                    placed += 1;
                }
                placed
            }
        };
        let buyers: Vec<_> = (0..4).map(|number| scope.spawn(buyer(number))).collect();
        for partition in 0..partitions() as u64 {
            let to = (partition + 1) % 3;
            let operation = moved(&api, partition, to);
            assert_eq!((&operation["state"], &operation["kind"]), (&json!("done"), &json!("move_partition")), "{operation}");
            assert_eq!(shard_of(&api, partition), [to], "partition {partition}");
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        buyers.into_iter().map(|buyer| buyer.join().unwrap()).sum()
    });
    let stock = api.get(&format!("/v1/inventory/{sku}")).ok(200);
    assert_eq!(stock["held"], placed);
    audited(&api);
}

#[test]
fn a_move_to_where_there_is_nothing_is_refused_with_the_reason() {
    let api = Api::shared();
    let answer = |path: &str, body: &Value| api.json("POST", path, &[], body);
    answer("/admin/v1/partitions/0:move", &json!({"shard": 64})).problem(400, "invalid_request");
    answer("/admin/v1/partitions/0:move", &json!({})).problem(400, "invalid_request");
    answer("/admin/v1/partitions/65535:move", &json!({"shard": 0})).problem(404, "not_found");
    answer("/admin/v1/partitions/first:move", &json!({"shard": 0})).problem(404, "not_found");
    api.get("/admin/v1/operations/first").problem(404, "not_found");
}
