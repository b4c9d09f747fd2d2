//! A wall clock that is far from the last record: the server does not start, or starts as the operator says.

use holdfast_engine::codec::Batch;
use holdfast_engine::event::{Event, Record, StockFact};
use holdfast_engine::ids::{Location, Partitions, Sku};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::time::Timestamp;
use holdfast_storage::embedded::EmbeddedJournal;
use holdfast_storage::recovery::last_record_at;
use holdfast_storage::{Log, LogId};
use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const PATIENCE: Duration = Duration::from_secs(30);

/// So many seconds from now.
fn from_now(seconds: i64) -> Timestamp {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    Timestamp::new(now.saturating_add_signed(seconds * 1000))
}

fn open(dir: &Path) -> EmbeddedJournal {
    EmbeddedJournal::open(dir, Partitions::new(64).unwrap()).unwrap()
}

/// A journal of one record: five units, counted at this time.
fn journal_of(dir: &Path, at: Timestamp) {
    let (journal, sku) = (open(dir), Sku::new("OLD").unwrap());
    let partition = journal.partitions().of_sku(&sku);
    let fact = StockFact::Set {
        location: Location::new("main").unwrap(),
        on_hand: Quantity::new(5),
        safety_stock: Quantity::ZERO,
        priority: 0,
        delta: 5,
        version: 1,
    };
    let mut batch = Batch::default();
    batch.push(partition, &Record { seq: 1, at, event: Event::Stock { sku, fact } });
    journal.append(LogId(0), &batch).unwrap();
}

fn options(dir: &Path) -> Options {
    Options::new().data_dir(dir).env("HOLDFAST__JOURNAL__BACKEND", "embedded")
}

/// The gauge, once it is there.
fn difference(server: &Server) -> f64 {
    let client = Client::new(&server.url());
    let gauge = poll(PATIENCE, || {
        let text = client.ask(&Request::get("/metrics")).ok()?.shown();
        let value = text.lines().find_map(|line| line.strip_prefix("holdfast_clock_difference_seconds "))?;
        value.trim().parse().ok()
    });
    gauge.unwrap_or_else(|| panic!("no gauge\n{}", server.log()))
}

fn counted(server: &Server) -> u64 {
    let shown = Client::new(&server.url()).json(&Request::get("/v1/inventory/OLD")).unwrap();
    shown["on_hand"].as_u64().unwrap()
}

#[test]
fn a_server_does_not_start_by_a_clock_that_is_far_from_the_last_record() {
    for (last, words) in [(-(90 * DAY + HOUR), "90 days and 1 hours before"), (DAY + HOUR, "after")] {
        let dir = tempfile::tempdir().unwrap();
        let at = from_now(last);
        journal_of(dir.path(), at);
        let mut server = Server::prepare(options(dir.path()));
        server.launch();
        let ended = server.wait_for_exit(PATIENCE);
        let log = server.log();
        assert!(ended.is_some_and(|status| !status.success()), "it started {last} s from the last record\n{log}");
        assert!(log.contains(words) && log.contains("--accept-clock"), "no advice\n{log}");
        drop(server);
        let journal = open(dir.path());
        assert_eq!((journal.end(LogId(0)), last_record_at(&journal).unwrap()), (1, Some(at)), "something was recorded");
    }
}

#[test]
fn a_clock_far_from_the_last_record_is_accepted_by_a_flag_and_the_next_start_needs_none() {
    for last in [-(400 * DAY), 40 * DAY] {
        let dir = tempfile::tempdir().unwrap();
        let at = from_now(last);
        journal_of(dir.path(), at);
        let mut server = Server::start(options(dir.path()).arg("--accept-clock"));
        assert_eq!(counted(&server), 5);
        assert!(server.log().contains("accepted with --accept-clock"), "{}", server.log());
        let path = "/v1/inventory/NEW/locations/main";
        Client::new(&server.url()).json(&Request::put(path, 0, &json!({"on_hand": 1}))).unwrap();
        assert!(server.terminate().success());
        assert!(last_record_at(&open(dir.path())).unwrap() > Some(at), "time ran backwards");
        let mut again = Server::prepare(options(dir.path()));
        again.launch();
        let mut ended = None;
        let known = poll(PATIENCE, || {
            ended = again.wait_for_exit(Duration::ZERO);
            (ended.is_some() || again.log().contains("Holdfast is ready")).then_some(())
        });
        // Records from a time to come stay in the journal: only time makes them plausible.
        assert_eq!((known, ended.is_none()), (Some(()), last < 0), "{}", again.log());
    }
}

#[test]
fn a_clock_a_little_behind_the_last_record_is_on_a_gauge_and_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    journal_of(dir.path(), from_now(2 * HOUR));
    let server = Server::start(options(dir.path()));
    assert_eq!(counted(&server), 5);
    let (gauge, expected) = (difference(&server), -2.0 * HOUR as f64);
    assert!((gauge - expected).abs() < 120.0, "{gauge} s");
    let said = poll(PATIENCE, || server.log().contains("are apart").then_some(()));
    assert!(said.is_some(), "{}", server.log());
    assert_eq!(server.log().matches("are apart").count(), 1, "{}", server.log());
}

#[test]
fn a_clock_a_little_after_the_last_record_starts_with_a_word_and_no_difference() {
    let dir = tempfile::tempdir().unwrap();
    journal_of(dir.path(), from_now(-(89 * DAY)));
    let server = Server::start(options(dir.path()));
    assert!(server.log().contains("holds that ran out meanwhile expire now"), "{}", server.log());
    let gauge = difference(&server);
    assert!(gauge.abs() < 60.0, "{gauge} s");
    assert!(!server.log().contains("are apart"), "{}", server.log());
}

#[test]
fn an_empty_journal_starts_by_any_clock() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let server = Server::start(options(dir.path()));
    assert!(!server.log().contains("last record"), "{}", server.log());
}
