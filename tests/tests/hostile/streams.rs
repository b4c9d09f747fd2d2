//! Readers of events that do not read, and events that are large to read.

use crate::wire::{PATIENCE, ask, begin, begun, text_of_chunks};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::TcpStream;

const STREAM: &str = "GET /v1/events/stream";

fn stock(server: &Server, sku: &str) {
    let what = format!("PUT /v1/inventory/{sku}/locations/main");
    let set = ask(server, &what, "If-Match: *\r\n", r#"{"on_hand":1000000}"#);
    assert_eq!(set.status, 200, "{}", set.body);
}

fn from(address: &str) -> String {
    format!("X-Forwarded-For: {address}\r\n")
}

/// Opens a stream, unless it is refused; then what is said of it.
fn open(server: &Server, address: &str) -> Result<TcpStream, String> {
    let mut stream = begin(server, STREAM, &from(address), "");
    if begun(&mut stream) == 200 {
        return Ok(stream);
    }
    let refused = ask(server, STREAM, &from(address), "");
    assert!(refused.status == 503 && refused.head.contains("retry-after: "), "{} {}", refused.status, refused.head);
    assert!(refused.body.contains("\"code\":\"overloaded\""), "{}", refused.body);
    Err(refused.body)
}

#[test]
fn no_more_streams_are_open_than_there_may_be_and_one_client_does_not_have_the_last() {
    let options = Options::new().env("HOLDFAST__SERVER__MAX_STREAMS", "20").env("HOLDFAST__SERVER__TRUSTED_PROXIES", "127.0.0.1");
    let server = Server::start(options);
    stock(&server, "MUG");
    let greedy: Vec<_> = (0..19).map(|_| open(&server, "192.0.2.1").unwrap()).collect();
    let refused = open(&server, "192.0.2.1").unwrap_err();
    assert!(refused.contains("this client has its share"), "{refused}");
    let _last = open(&server, "192.0.2.2").unwrap();
    let refused = open(&server, "192.0.2.3").unwrap_err();
    assert!(refused.contains("as many streams"), "{refused}");
    // Closed ones make room, at the latest when something is to be sent to them.
    drop(greedy);
    let opened = poll(PATIENCE, || {
        stock(&server, "MUG");
        open(&server, "192.0.2.3").ok()
    });
    assert!(opened.is_some());
}

#[test]
fn there_are_no_streams_where_there_may_be_none_and_pages_go_on() {
    let server = Server::start(Options::new().env("HOLDFAST__SERVER__MAX_STREAMS", "0"));
    open(&server, "192.0.2.1").unwrap_err();
    assert_eq!(ask(&server, "GET /v1/events", "", "").status, 200);
}

fn metric(server: &Server, name: &str) -> u64 {
    let metrics = ask(server, "GET /metrics", "", "").body;
    let count = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Every commit woke every stream, and each rendered all of it for itself, on the threads that serve orders.
#[test]
fn streams_that_nobody_reads_are_dropped_with_a_word_and_one_that_is_read_misses_nothing() {
    let server = Server::start(Options::new().env("HOLDFAST__SERVER__STREAM_PATIENCE_SECONDS", "1"));
    stock(&server, "MUG");
    let unread: Vec<_> = (0..50).map(|_| open(&server, "").unwrap()).collect();
    let reader = begin(&server, STREAM, "", "");
    let item = |number| json!({"key": format!("k-{number}"), "lines": [{"sku": "MUG", "quantity": 1}]});
    let items: Vec<_> = (0..2000).map(item).collect();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| held_until(reader, "LAST"));
        let answer = ask(&server, "POST /v1/reservations:batch", "", &json!({"items": items}).to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        stock(&server, "LAST");
        assert_eq!(held.join().unwrap(), items.len());
    });
    let open = || metric(&server, "holdfast_event_streams");
    // The stream that was read is closed too, and found to be at the latest with a heartbeat.
    assert!(poll(PATIENCE, || (open() <= 1).then_some(())).is_some(), "{} are open", open());
    assert!(metric(&server, "holdfast_event_streams_dropped_total") > 0);
    assert!(metric(&server, "holdfast_event_streams_disconnected_total") >= 50);
    assert!(server.log().contains("a stream of events was dropped"), "{}", server.log());
    drop(unread);
}

/// Holds that a stream tells of before it tells of this SKU.
fn held_until(stream: TcpStream, sku: &str) -> usize {
    let mut held = 0;
    for line in text_of_chunks(stream).lines() {
        let line = line.unwrap();
        held += usize::from(line.contains("\"type\":\"holdfast.stock.held\""));
        if line.starts_with("data: ") && line.contains(&format!("\"subject\":\"{sku}\"")) {
            return held;
        }
    }
    panic!("the stream ended after {held} holds");
}

/// Defect: "dropped" was said to count every reader that did not keep up. Who had little left to read was not in it, nor anywhere else.
#[test]
fn a_stream_that_ends_with_its_connection_is_counted_and_not_as_dropped_where_nothing_waited_for_its_reader() {
    let server = Server::start(Options::new());
    stock(&server, "MUG");
    let opened = open(&server, "").unwrap();
    assert!(poll(PATIENCE, || (metric(&server, "holdfast_event_streams") == 1).then_some(())).is_some());
    assert_eq!(metric(&server, "holdfast_event_streams_disconnected_total"), 0);
    drop(opened);
    let counted = || (metric(&server, "holdfast_event_streams_disconnected_total") == 1).then_some(());
    assert!(poll(PATIENCE, counted).is_some());
    assert_eq!(metric(&server, "holdfast_event_streams_dropped_total"), 0);
}

/// Locations of each SKU, one unit in each.
const LOCATIONS: usize = 250;
const MIB: usize = 1 << 20;

/// A server with events that are small in the journal and large as text.
fn with_large_events() -> Server {
    let server = Server::start(Options::new());
    let row =
        |sku: usize, location: usize| format!("{{\"sku\":\"S{sku}\",\"location\":\"place-{location:03}\",\"on_hand\":1}}\n");
    let rows: String = (0..16).flat_map(|sku| (0..LOCATIONS).map(move |location| row(sku, location))).collect();
    let imported = ask(&server, "POST /v1/inventory/imports", "Content-Type: application/x-ndjson\r\n", &rows);
    assert!(imported.body.contains(&format!("\"imported\":{}", 16 * LOCATIONS)), "{}", imported.body);
    (0..100).for_each(|round| hold(&server, round, 1));
    // More than four slices of a stream, and of two thousand maps each.
    (100..103).for_each(|round| hold(&server, round, 16));
    server
}

/// Takes every unit of the first SKUs, and gives them back.
fn hold(server: &Server, round: usize, skus: usize) {
    let lines: Vec<_> = (0..skus).map(|sku| json!({"sku": format!("S{sku}"), "quantity": LOCATIONS})).collect();
    let key = format!("Idempotency-Key: hold-{round}\r\n");
    let held = ask(server, "POST /v1/reservations", &key, &json!({"lines": lines}).to_string());
    assert_eq!(held.status, 201, "{}", held.body);
    let id = serde_json::from_str::<Value>(&held.body).unwrap()["id"].as_str().unwrap().to_owned();
    let released = ask(server, &format!("DELETE /v1/reservations/{id}"), "", "");
    assert!(released.status < 300, "{} {}", released.status, released.body);
}

/// The pages of all events.
fn pages(server: &Server) -> Vec<String> {
    let (mut after, mut pages) = (String::new(), Vec::new());
    loop {
        let page = ask(server, &format!("GET /v1/events?limit=1000&after={after}"), "", "");
        assert_eq!(page.status, 200, "{}", page.body);
        let json: Value = serde_json::from_str(&page.body).unwrap();
        if json["events"] == json!([]) {
            return pages;
        }
        after = json["next"].as_str().unwrap().to_owned();
        pages.push(page.body);
    }
}

fn by_id(events: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for event in events {
        let id = event["id"].as_str().unwrap().to_owned();
        assert!(found.insert(id, event).is_none(), "an event came twice");
    }
    found
}

/// Defects: a page ended by the bytes of its records, which may be a tenth of its text, and all of it was maps in memory at once; a
/// large event was copied whole into the buffer of each stream.
#[test]
fn large_events_come_in_pages_that_stay_small_and_whole_through_a_stream_beside_others_that_nobody_reads() {
    let server = with_large_events();
    let pages = pages(&server);
    let events = |page: &String| serde_json::from_str::<Value>(page).unwrap()["events"].as_array().unwrap().clone();
    let listed = by_id(pages.iter().flat_map(events));
    let largest = listed.values().map(|event| event.to_string().len()).max().unwrap();
    assert!(largest > 100_000, "{largest}");
    assert!(
        pages.iter().all(|page| page.len() <= MIB + largest + 4096),
        "{:?}",
        pages.iter().map(String::len).collect::<Vec<_>>()
    );
    assert!(pages.iter().any(|page| page.len() >= MIB && events(page).len() < 1000), "no page ended by its text");
    let is_release = |event: &&Value| event["type"] == "holdfast.stock.released";
    assert_eq!(listed.values().filter(is_release).count(), 100 + 3 * 16);
    let unread: Vec<_> = (0..50).map(|_| open(&server, "").unwrap()).collect();
    let lines = text_of_chunks(begin(&server, STREAM, "", "")).lines().map(Result::unwrap);
    let data = lines.filter_map(|line| Some(serde_json::from_str::<Value>(line.strip_prefix("data: ")?).unwrap()));
    let mut left = listed;
    for event in data {
        let listed = left.remove(event["id"].as_str().unwrap());
        // Others may have happened meanwhile.
        assert!(listed.is_none_or(|listed| listed == event), "{event}");
        if left.is_empty() {
            break;
        }
    }
    assert!(left.is_empty(), "the stream ended before {} of the pages", left.len());
    drop(unread);
}
