//! Imports: a catalogue of any size streams in, refusals stream out.

use crate::client::{Answer, Api};
use crate::raw;
use crate::shop::{counts, fresh, hold, stock};
use holdfast_tests::server::{Options, Server};
use serde_json::{Value, json};
use std::io::{Read, Write};

const PATH: &str = "/v1/inventory/imports";
const NDJSON: &str = "application/x-ndjson";

fn import(api: &Api, rows: &str) -> Answer {
    api.send("POST", PATH, &[("content-type", NDJSON)], Some(rows.as_bytes()))
}

/// The refusals and the last line.
fn lines(answer: &Answer) -> (Vec<Value>, Value) {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(NDJSON)));
    let mut lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    lines.sort_by_key(|line| line["line"].as_u64());
    (lines, last)
}

fn row(sku: &str, on_hand: u64) -> String {
    format!("{}\n", json!({"sku": sku, "location": "berlin", "on_hand": on_hand}))
}

/// So many rows, made as they are read.
struct Rows {
    next: u64,
    count: u64,
    buffer: Vec<u8>,
}

impl Rows {
    fn new(count: u64) -> Self {
        Self { next: 0, count, buffer: Vec::new() }
    }
}

impl Read for Rows {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.buffer.len() < out.len() && self.next < self.count {
            self.buffer.extend_from_slice(row(&format!("SKU-{:07}", self.next), self.next % 1000).as_bytes());
            self.next += 1;
        }
        let size = self.buffer.len().min(out.len());
        out[..size].copy_from_slice(&self.buffer[..size]);
        self.buffer.drain(..size);
        Ok(size)
    }
}

#[test]
fn rows_set_counts_and_the_last_line_sums_up() {
    let api = Api::shared();
    let (one, two) = (fresh("sku"), fresh("sku"));
    let safe = format!("{}\n", json!({"sku": two, "location": "lyon", "on_hand": 9, "safety_stock": 4}));
    let (refused, last) = lines(&import(&api, &format!("{}{}{safe}", row(&one, 5), row(&two, 1))));
    assert_eq!((refused.len(), last), (0, json!({"imported": 3, "refused": 0})));
    counts(&stock(&api, &one), &json!({"on_hand": 5}));
    counts(&stock(&api, &two), &json!({"on_hand": 10, "safety_stock": 4, "available": 6}));
}

#[test]
fn a_bad_row_is_refused_by_its_line_and_the_others_are_taken() {
    let api = Api::shared();
    let (good, held) = (fresh("sku"), fresh("sku"));
    crate::shop::put(&api, &held, "berlin", 5);
    hold(&api, &held, 3);
    let rows = [
        row(&good, 7),
        "nonsense\n".to_owned(),
        "\n".to_owned(),
        row("has space", 1),
        row(&held, 1),
        format!("{}\n", json!({"sku": good, "location": "", "on_hand": 1})),
        format!("{}\n", json!({"sku": good, "location": "x", "on_hand": -1})),
        format!("{}\n", json!({"sku": good, "location": "x", "on_hand": 2_000_000_001_u64})),
        format!("{}\n", json!({"sku": good, "location": "x", "on_hand": 1, "colour": "red"})),
        row(&good, 8).trim_end().to_owned(),
    ];
    let (refused, last) = lines(&import(&api, &rows.concat()));
    assert_eq!(last, json!({"imported": 2, "refused": 7}));
    let told: Vec<(u64, &str)> =
        refused.iter().map(|line| (line["line"].as_u64().unwrap(), line["code"].as_str().unwrap())).collect();
    let invalid = "invalid_request";
    let expected = [(2, invalid), (4, invalid), (5, "count_below_taken"), (6, invalid), (7, invalid), (8, invalid), (9, invalid)];
    assert_eq!(told, expected);
    assert!(refused.iter().all(|line| line["detail"].as_str().is_some_and(|detail| !detail.is_empty())));
    counts(&stock(&api, &good), &json!({"on_hand": 8}));
    counts(&stock(&api, &held), &json!({"on_hand": 5, "held": 3}));
}

#[test]
fn an_import_of_nothing_imports_nothing() {
    let (refused, last) = lines(&import(&Api::shared(), ""));
    assert_eq!((refused.len(), last), (0, json!({"imported": 0, "refused": 0})));
}

#[test]
fn the_last_row_of_a_sku_wins() {
    let api = Api::shared();
    let sku = fresh("sku");
    let rows: String = (0..50).map(|units| row(&sku, units)).collect();
    assert_eq!(lines(&import(&api, &rows)).1["imported"], 50);
    counts(&stock(&api, &sku), &json!({"on_hand": 49}));
}

/// Rows that a busy shard turned away were sent again beside the rows that came after them, and overtaken.
#[test]
fn no_row_of_a_sku_overtakes_another_however_busy_the_shard_is() {
    let server = Server::start(Options::new().env("HOLDFAST__ENGINE__CREDITS", "8").env("HOLDFAST__ENGINE__SHARDS", "1"));
    let api = Api::of(&server);
    let rows: String = (1..=3000).map(|units| row("ONE", units) + &row(&format!("OTHER-{}", units % 40), units)).collect();
    let (refused, last) = lines(&import(&api, &rows));
    assert_eq!((refused.len(), last), (0, json!({"imported": 6000, "refused": 0})));
    let one = stock(&api, "ONE");
    counts(&one, &json!({"on_hand": 3000}));
    assert_eq!(one["version"], 3000, "each row was taken once");
    for other in 0..40 {
        let units = (2961..=3000).find(|units| units % 40 == other).unwrap();
        counts(&stock(&api, &format!("OTHER-{other}")), &json!({"on_hand": units}));
    }
}

#[test]
fn the_counts_of_two_locations_of_a_sku_are_both_taken() {
    let api = Api::shared();
    let sku = fresh("sku");
    let lyon = |units: u64| format!("{}\n", json!({"sku": sku, "location": "lyon", "on_hand": units}));
    let rows: String = (1..=50).map(|units| row(&sku, units) + &lyon(units * 2)).collect();
    assert_eq!(lines(&import(&api, &rows)).1, json!({"imported": 100, "refused": 0}));
    counts(&stock(&api, &sku), &json!({"on_hand": 150}));
}

/// Rows in hand were dropped when the caller could not be told of a refusal any more.
#[test]
fn a_caller_that_leaves_loses_no_row_that_came_whole() {
    let api = Api::shared();
    let sku = fresh("sku");
    let mut socket = raw::connect(api.server());
    write!(socket, "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let rows: String = (1..=400).map(|units| row(&sku, units)).collect();
    // The refusal says that all lines before it were read. The last line has no end: it did not come whole.
    let rows = format!("{rows}nonsense\n{}", row(&sku, 401).trim_end());
    write!(socket, "{:x}\r\n{rows}\r\n", rows.len()).unwrap();
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while !seen.contains("\"line\":401") {
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    drop(socket);
    let all = holdfast_tests::server::poll(crate::shop::PATIENCE, || {
        let shown = api.get(&format!("/v1/inventory/{sku}"));
        (shown.status == 200 && shown.json()["on_hand"] == 400).then_some(())
    });
    assert!(all.is_some(), "rows are lost: {}", api.get(&format!("/v1/inventory/{sku}")).text());
}

#[test]
fn an_import_is_ndjson() {
    let api = Api::shared();
    api.send("POST", PATH, &[("content-type", "application/json")], Some(b"[]")).problem(415, "unsupported_media_type");
    api.send("POST", PATH, &[], Some(b"[]")).problem(415, "unsupported_media_type");
}

#[test]
fn a_line_without_an_end_is_refused_without_keeping_it() {
    let api = Api::shared();
    let rows = format!("{}{}", row(&fresh("sku"), 1), "x".repeat(300_000));
    let (refused, last) = lines(&import(&api, &rows));
    assert_eq!([&refused[0]["code"], &refused[0]["line"]], [&json!("too_large"), &json!(2)]);
    assert_eq!(last, json!({"imported": 1, "refused": 1}));
}

/// HOLDFAST_IMPORT_ROWS sets another size; a million is run by hand.
#[test]
fn a_large_catalogue_streams_in_and_survives_kill_9() {
    let rows = std::env::var("HOLDFAST_IMPORT_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(120_000);
    let mut server = Server::start(Options::new());
    let before = server.resident() >> 10;
    let started = std::time::Instant::now();
    let answer = Api::of(&server).upload(PATH, NDJSON, Rows::new(rows));
    let (refused, last) = lines(&answer);
    let took = started.elapsed();
    eprintln!(
        "{rows} rows in {took:.1?}, {:.0} a second, {} -> {} KiB",
        rows as f64 / took.as_secs_f64(),
        before,
        server.resident() >> 10
    );
    assert_eq!((refused.len(), last), (0, json!({"imported": rows, "refused": 0})));
    server.kill();
    let restart = server.restart();
    eprintln!("ready {restart:.1?} after the kill with {} KiB", server.resident() >> 10);
    let api = Api::of(&server);
    for index in [0, 1, rows / 2, rows - 1] {
        counts(&stock(&api, &format!("SKU-{index:07}")), &json!({"on_hand": index % 1000}));
    }
    let audit = crate::shop::audited(&api);
    assert_eq!(audit["checked"]["skus"], rows);
}

#[test]
fn refusals_come_while_rows_still_go() {
    let api = Api::shared();
    let mut socket = raw::connect(api.server());
    write!(socket, "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let bad = "nonsense\n".repeat(3000);
    write!(socket, "{:x}\r\n{bad}\r\n", bad.len()).unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("\"line\":") {
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    let writer = socket.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || write!(&writer, "{:x}\r\n{bad}\r\n0\r\n\r\n", bad.len()).unwrap());
        while !seen.contains("\r\n0\r\n\r\n") {
            let read = socket.read(&mut buffer).unwrap();
            assert!(read > 0, "closed before the end");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    });
    assert!(seen.contains("{\"imported\":0,\"refused\":6000}"));
}

#[test]
fn an_import_that_breaks_off_keeps_the_rows_it_took() {
    let api = Api::shared();
    let sku = fresh("sku");
    let mut socket = raw::connect(api.server());
    write!(socket, "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let row = row(&sku, 5);
    write!(socket, "{:x}\r\n{row}\r\n", row.len()).unwrap();
    let taken = holdfast_tests::server::poll(crate::shop::PATIENCE, || {
        (api.get(&format!("/v1/inventory/{sku}")).status == 200).then_some(())
    });
    assert!(taken.is_some());
    drop(socket);
    counts(&stock(&api, &sku), &json!({"on_hand": 5}));
}
