//! Greedy clients beside a modest one.

use crate::raw::{Connection, head, sized};
use crate::wire::{Answer, PATIENCE, ask, begin};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};
use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const SHARE_TAKEN: &str = "this client has all the requests in hand";

const BATCHES: &str = "POST /v1/reservations:batch";

/// Of this server a client may have one request in hand, and two may have one each.
fn two_credits() -> Options {
    Options::new().env("HOLDFAST__ENGINE__CREDITS", "2").arg("--shards").arg("1")
}

/// Of this server a client may have two requests in hand.
fn four_credits() -> Options {
    Options::new().env("HOLDFAST__ENGINE__CREDITS", "4").arg("--shards").arg("1")
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
    has_orders_answered(server, who, 50);
}

fn has_orders_answered(server: &Server, who: &str, orders: usize) {
    for _ in 0..orders {
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

fn results(answer: &Answer) -> Vec<Value> {
    serde_json::from_str::<Value>(&answer.body).unwrap()["results"].as_array().unwrap().clone()
}

fn statuses(results: &[Value]) -> Vec<u64> {
    results.iter().map(|one| one["status"].as_u64().unwrap()).collect()
}

/// Four such connections took another client from 1,121 orders a second to 4: a batch stood before it at each shard, and on each thread.
#[test]
fn full_batches_on_64_connections_do_not_stop_the_orders_of_another_client() {
    let server = Server::start(behind_a_proxy(Options::new()));
    stock(&server, "");
    let greedy = "X-Forwarded-For: 192.0.2.1\r\n";
    let body = |connection: usize| batch(&format!("greedy-{connection}"), 4096);
    let begun: Vec<_> = (0..64).map(|connection| begin(&server, BATCHES, greedy, &body(connection))).collect();
    has_orders_answered(&server, "X-Forwarded-For: 192.0.2.2\r\n", 300);
    let answered = begun.iter().filter(|connection| is_answered(connection)).count();
    assert!(answered < 3 * begun.len() / 4, "300 orders take as long as {answered} batches");
}

fn is_answered(connection: &TcpStream) -> bool {
    connection.set_nonblocking(true).unwrap();
    connection.peek(&mut [0]).is_ok_and(|bytes| bytes > 0)
}

/// As many as connections came waited, each with its body.
#[test]
fn of_one_client_only_so_many_batches_wait_and_another_clients_is_answered() {
    let server = Server::start(behind_a_proxy(two_credits()));
    stock(&server, "");
    let [greedy, modest] = [1, 2].map(|number| format!("X-Forwarded-For: 192.0.2.{number}\r\n"));
    let connect = |connection: usize| begin(&server, BATCHES, &greedy, &batch(&format!("greedy-{connection}"), 4096));
    let mut begun: Vec<_> = (0..68).map(connect).collect();
    // Those that were answered meanwhile made room.
    let refused = poll(PATIENCE, || {
        let mut one = begin(&server, BATCHES, &greedy, &batch("one", 1));
        let answer = answer_within(&mut one, Duration::from_millis(200));
        begun.push(one);
        answer.filter(|answer| answer.starts_with("HTTP/1.1 503"))
    });
    let refused = refused.expect("there is no end of those that wait").to_ascii_lowercase();
    assert!(refused.contains("retry-after: 1") && refused.contains("as many batches waiting"), "{refused}");
    let other = ask(&server, BATCHES, &modest, &batch("other", 20));
    assert_eq!(statuses(&results(&other)), vec![201; 20]);
}

fn answer_within(connection: &mut TcpStream, patience: Duration) -> Option<String> {
    connection.set_read_timeout(Some(patience)).unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).ok().map(|_| text)
}

/// Their names were looked up all at once, on nobody's behalf: who found no room was refused as if the server had none.
#[test]
fn each_item_of_a_batch_hears_of_its_unreadable_name_however_few_requests_may_be_in_hand() {
    let server = Server::start(four_credits());
    let line = json!([{"sku": "MUG", "quantity": 1}]);
    let item = |number| json!({"key": format!("k-{number}"), "owner": format!("a\u{200B}da-{number}"), "lines": line});
    let answer = ask(&server, BATCHES, "", &json!({"items": (0..300).map(item).collect::<Vec<_>>()}).to_string());
    let refused = results(&answer);
    let pointers: Vec<_> = refused.iter().map(|one| &one["errors"][0]["pointer"]).collect();
    assert_eq!(pointers, vec!["/owner"; 300], "{}", refused.iter().find(|one| one["status"] != 400).unwrap_or(&Value::Null));
}

/// The look-ups took all the credits, of nobody's share.
#[test]
fn names_that_an_import_brings_are_looked_up_out_of_its_clients_share() {
    let server = Server::start(behind_a_proxy(two_credits()));
    stock(&server, "");
    let row = |number| json!({"sku": format!("odd\u{200B}{number}"), "location": "main", "on_hand": 1}).to_string() + "\n";
    let rows: String = (0..400).map(row).collect();
    let headers = ["X-Forwarded-For: 192.0.2.1\r\nContent-Type: application/x-ndjson\r\n", &sized(rows.len() as u64)].concat();
    let mut import = Connection::open(&server);
    import.send(&[head("POST /v1/inventory/imports", &headers), rows.into_bytes()].concat());
    let imported = poll(PATIENCE, || {
        has_orders_answered(&server, "X-Forwarded-For: 192.0.2.2\r\n", 1);
        import.answer_within(Duration::from_millis(1))
    });
    let imported = String::from_utf8(imported.expect("the import ends").body).unwrap();
    assert!(imported.ends_with("{\"imported\":0,\"refused\":400}\n"), "{imported}");
    assert_eq!(imported.matches("\"code\":\"invalid_request\"").count(), 400, "{imported}");
}

/// A batch was refused beyond what a shard may have in hand: the more items, the more of them.
#[test]
fn a_batch_larger_than_a_clients_share_is_executed_whole_and_in_order() {
    let server = Server::start(four_credits());
    stock(&server, "");
    let body = batch("whole", 300);
    let first = ask(&server, BATCHES, "", &body);
    assert_eq!(statuses(&results(&first)), vec![201; 300]);
    let again = ask(&server, BATCHES, "", &body);
    let ids = |answer: &Answer| results(answer).iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&first), "a retry is answered in the order of its items");
}
