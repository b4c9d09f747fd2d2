//! Greedy clients beside a modest one.

use crate::wire::{Answer, PATIENCE, ask, begin};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const SHARE_TAKEN: &str = "this client has all the requests in hand";

/// Of this server a client may have one request in hand, and two may have one each.
fn two_credits() -> Options {
    Options::new().env("HOLDFAST__ENGINE__CREDITS", "2").arg("--shards").arg("1")
}

fn behind_a_proxy(options: Options) -> Options {
    options.env("HOLDFAST__SERVER__TRUSTED_PROXIES", "127.0.0.1, ::1")
}

fn stock(server: &Server, who: &str) {
    let set = ask(server, "PUT /v1/inventory/MUG/locations/main", &format!("{who}If-Match: *\r\n"), r#"{"on_hand":1000000000}"#);
    assert_eq!(set.status, 200, "{}", set.body);
}

fn order(server: &Server, who: &str) -> Answer {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let headers = format!("{who}Idempotency-Key: order-{}\r\n", NEXT.fetch_add(1, Ordering::Relaxed));
    let line = json!({"sku": "MUG", "quantity": 1, "unit_price": 1});
    ask(server, "POST /v1/orders", &headers, &json!({"customer_id": "ada", "currency": "EUR", "lines": [line]}).to_string())
}

/// What the modest one is answered beside a greedy one that has all of its share in hand, and is told so.
fn beside(server: &Server, greedy: &str, modest: impl FnOnce()) {
    stock(server, greedy);
    let (over, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let answer = order(server, greedy);
                    let told = answer.status == 503 && answer.body.contains(SHARE_TAKEN) && answer.head.contains("retry-after: ");
                    assert!(answer.status == 201 || told, "{} {}", answer.status, answer.body);
                    refused.fetch_add(u64::from(told), Ordering::Relaxed);
                }
            });
        }
        let _over = Over(&over);
        poll(PATIENCE, || (refused.load(Ordering::Relaxed) > 0).then_some(())).expect("the greedy one was never refused");
        modest();
    });
}

/// Ends the greedy one, however the test goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn is_served(server: &Server, who: &str) {
    for _ in 0..50 {
        let answer = order(server, who);
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
}

fn is_told_of_the_greedy_ones_share(server: &Server, who: &str) {
    let told = || Some(order(server, who)).filter(|answer| answer.status == 503 && answer.body.contains(SHARE_TAKEN));
    assert!(poll(PATIENCE, told).is_some(), "it has a share of its own");
}

#[test]
fn a_key_with_all_of_its_share_in_hand_is_told_so_and_the_order_of_another_key_is_answered() {
    let mut server = Server::prepare(two_credits());
    let [greedy, modest] = ["greedy", "modest"].map(|name| {
        let (_, made) = server.run(&["key", "new", "--name", name, "--data-dir", server.data_dir().to_str().unwrap(), "--json"]);
        let key = serde_json::from_str::<Value>(&made).unwrap()["key"].as_str().unwrap().to_owned();
        format!("Authorization: Bearer {key}\r\n")
    });
    server.restart();
    beside(&server, &greedy, || is_served(&server, &modest));
}

#[test]
fn behind_a_trusted_proxy_each_address_it_tells_of_is_a_client_of_its_own() {
    let server = Server::start(behind_a_proxy(two_credits()));
    let greedy = "X-Forwarded-For: 192.0.2.1\r\n";
    beside(&server, greedy, || {
        is_served(&server, "X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n");
        // Of several lines it is the last hop that counts, and what is malformed tells of nobody: then it is the proxy.
        is_served(&server, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.3, 127.0.0.1\r\n");
        is_served(&server, "X-Forwarded-For: 192.0.2.1, unknown\r\n");
        is_told_of_the_greedy_ones_share(&server, "X-Forwarded-For: 192.0.2.9, 192.0.2.1\r\n");
    });
}

/// Else whoever is refused would make addresses up.
#[test]
fn what_is_forwarded_is_ignored_of_anybody_but_a_trusted_proxy() {
    let server = Server::start(two_credits());
    beside(&server, "", || is_told_of_the_greedy_ones_share(&server, "X-Forwarded-For: 192.0.2.2\r\n"));
}

fn batch(name: &str, items: usize) -> String {
    let item = |number| json!({"key": format!("{name}-{number}"), "ttl_seconds": 600, "lines": [{"sku": "MUG", "quantity": 1}]});
    json!({"items": (0..items).map(item).collect::<Vec<_>>()}).to_string()
}

/// Four such connections took another client from 1,121 orders a second to 4: a batch stood before it at each shard, and on each thread.
#[test]
fn full_batches_on_64_connections_do_not_stop_the_orders_of_another_client() {
    let server = Server::start(behind_a_proxy(Options::new()));
    stock(&server, "");
    let greedy = "X-Forwarded-For: 192.0.2.1\r\n";
    let body = |connection: usize| batch(&format!("greedy-{connection}"), 4096);
    let begun: Vec<_> =
        (0..64).map(|connection| begin(&server, "POST /v1/reservations:batch", greedy, &body(connection))).collect();
    let started = std::time::Instant::now();
    is_served(&server, "X-Forwarded-For: 192.0.2.2\r\n");
    assert!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
    drop(begun);
}

/// A batch was refused beyond what a shard may have in hand: the more items, the more of them.
#[test]
fn a_batch_larger_than_a_clients_share_is_executed_whole_and_in_order() {
    let server = Server::start(Options::new().env("HOLDFAST__ENGINE__CREDITS", "4").arg("--shards").arg("1"));
    stock(&server, "");
    let body = batch("whole", 300);
    let first = ask(&server, "POST /v1/reservations:batch", "", &body);
    let results = |answer: &Answer| serde_json::from_str::<Value>(&answer.body).unwrap()["results"].as_array().unwrap().clone();
    let statuses = |results: &[Value]| results.iter().map(|one| one["status"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(statuses(&results(&first)), vec![201; 300]);
    let again = ask(&server, "POST /v1/reservations:batch", "", &body);
    let ids = |answer: &Answer| results(answer).iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&first), "a retry is answered in the order of its items");
}
