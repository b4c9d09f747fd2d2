//! Health, metrics, shards and the audit.

use crate::client::Api;
use crate::shop::{audited, order, place, stocked};
use holdfast_tests::server::{Options, Server};
use serde_json::json;

#[test]
fn a_ready_server_says_so() {
    let api = Api::shared();
    assert_eq!(api.get("/livez").ok(200)["status"], "alive");
    assert_eq!(api.get("/readyz").ok(200)["status"], "ready");
}

#[test]
fn metrics_are_prometheus_text_and_count_orders() {
    let api = Api::shared();
    place(&api, &order(&stocked(&api, 1), 1));
    let metrics = api.get("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    let text = metrics.text();
    let placed = text.lines().find_map(|line| line.strip_prefix("holdfast_orders_total{outcome=\"placed\"} "));
    assert!(placed.is_some_and(|count| count.parse::<u64>().unwrap() >= 1), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn every_partition_is_on_exactly_one_shard() {
    let server = Server::start(Options::new().arg("--shards").arg("3"));
    let api = Api::of(&server);
    place(&api, &order(&stocked(&api, 2), 1));
    let shards = api.get("/admin/v1/shards").ok(200)["shards"].clone();
    let shards = shards.as_array().unwrap();
    assert_eq!(shards.len(), 3);
    let mut partitions: Vec<u64> = shards
        .iter()
        .flat_map(|shard| shard["partitions"].as_array().unwrap())
        .map(|partition| partition.as_u64().unwrap())
        .collect();
    partitions.sort_unstable();
    assert_eq!(partitions, (0..holdfast_tests::server::partitions() as u64).collect::<Vec<u64>>());
    let sum = |name: &str| shards.iter().map(|shard| shard[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("orders"), sum("holds"), sum("skus"), sum("depth")), (1, 1, 1, 0));
}

#[test]
fn the_audit_counts_what_there_is_and_finds_nothing_wrong() {
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    let sku = stocked(&api, 3);
    place(&api, &order(&sku, 1));
    crate::shop::hold(&api, &sku, 1);
    let audit = audited(&api);
    assert_eq!([&audit["checked"]["skus"], &audit["checked"]["orders"], &audit["checked"]["reservations"]], [1, 1, 1]);
    assert!(audit["checked"]["events"].as_u64() >= Some(5));
}

#[test]
fn a_stopping_server_answers_what_it_has_in_hand_and_exits_with_0() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    let sku = stocked(&api, 500);
    let stopped = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (api, sku) = (api.clone(), &sku);
                scope.spawn(move || -> u64 {
                    let sent =
                        (0..60).map(|round| api.try_keyed("/v1/orders", &format!("drain-{thread}-{round}"), &order(sku, 1)));
                    sent.map_while(|answer| answer).filter(|answer| answer.status == 201).count() as u64
                })
            })
            .collect();
        let status = server.terminate();
        (status, threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>())
    });
    assert!(stopped.0.success(), "{}", server.log());
    server.restart();
    let held = crate::shop::stock(&Api::of(&server), &sku)["held"].as_u64().unwrap();
    assert_eq!(held, stopped.1, "acknowledged orders and held units differ");
}

#[test]
fn an_ephemeral_server_works_and_forgets() {
    let mut server = Server::start(Options::new().arg("--ephemeral"));
    let sku = stocked(&Api::of(&server), 2);
    place(&Api::of(&server), &order(&sku, 1));
    audited(&Api::of(&server));
    server.terminate();
    server.restart();
    Api::of(&server).get(&format!("/v1/inventory/{sku}")).problem(404, "not_found");
    assert_eq!(Api::of(&server).get("/v1/events").ok(200)["events"], json!([]));
}
