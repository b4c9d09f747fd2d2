//! What is published about events is what a real run produces, over HTTP and over Kafka.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;

use contract::{AsyncApi, Contract};
use holdfast_tests::brokers::Brokers;
use holdfast_tests::repertoire::Repertoire;
use holdfast_tests::server::{Options, on_cluster, poll};
use holdfast_tests::topics::{Kept, Topics};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Needs a release that overtakes its hold: a race that no caller can win on purpose. The gateway compares it by itself.
const RACES: [&str; 1] = ["holdfast.stock.hold_forbidden"];
const RESTORED: &str = "holdfast.partition.restored";

#[test]
fn every_event_of_a_real_run_is_as_its_schema_says_and_every_schema_is_of_an_event() {
    let mut run = Repertoire::play(Options::new());
    let contract = Contract::read();
    let mut events = run.events();
    events.extend(restored(&mut run));
    events.iter().for_each(|event| contract.check(event).unwrap());
    // Brought back into memory by late money.
    let related = |event: &Value| event["type"] == "holdfast.order.reheld" && event["correlationid"] == "late";
    assert!(events.iter().any(related), "a late order is not related to anything any more");
    let mut happened: BTreeSet<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    happened.extend(RACES);
    if on_cluster() {
        happened.insert(RESTORED);
    }
    assert_eq!(contract.types(), happened);
}

/// The events of what is restored from a backup of the run. A cluster has tools of its own for that.
fn restored(run: &mut Repertoire) -> Vec<Value> {
    if on_cluster() {
        return Vec::new();
    }
    assert!(run.server.terminate().success());
    let root = tempfile::tempdir().unwrap();
    let [data, backup, restored] = [run.server.data_dir().to_owned(), root.path().join("backup"), root.path().join("restored")]
        .map(|path| path.display().to_string());
    let command = |args: &[&str]| {
        let (status, said) = run.server.run(args);
        assert!(status.success(), "{args:?}: {said}");
        said
    };
    command(&["backup", "--data-dir", &data, "--to", &backup]);
    command(&["restore", "--from", &backup, "--data-dir", &restored]);
    let exported = command(&["export", "--data-dir", &restored]);
    exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_event_with_a_member_or_a_type_that_is_not_published_does_not_pass() {
    let contract = Contract::read();
    let event = |kind: &str, data: Value| {
        json!({"specversion": "1.0", "id": "1-1", "source": "/holdfast", "type": kind, "subject": ORDER, "partition": 1,
            "time": "2026-01-01T00:00:00Z", "datacontenttype": "application/json", "sequence": 1, "data": data})
    };
    const ORDER: &str = "ord_00000000000000000000000000";
    let settled = event("holdfast.order.settled", json!({"order_id": ORDER}));
    assert_eq!(contract.check(&settled), Ok(()));
    let with = |pointer: &str, value: Value| {
        let mut event = settled.clone();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap()[member] = value;
        contract.check(&event)
    };
    assert!(with("/more", json!(1)).is_err(), "an envelope with more");
    assert!(with("/data/more", json!(1)).is_err(), "data with more");
    assert!(with("/sequence", json!("1")).is_err());
    assert!(with("/time", json!("yesterday")).is_err());
    assert!(with("/subject", json!("MUG")).is_err());
    assert!(contract.check(&event("holdfast.order.settled", json!({}))).is_err(), "data with less");
    assert!(contract.check(&event("holdfast.order.lost", json!({"order_id": ORDER}))).is_err());
}

#[test]
fn the_asyncapi_document_has_every_event_on_its_topic_and_no_other() {
    let document = AsyncApi::read();
    document.follow_all();
    let events = Contract::read().types().iter().map(|kind| kind.replace("holdfast.", "events/") + ".json").collect();
    let channels = BTreeMap::from([
        ("holdfast.events.v1".to_owned(), events),
        ("holdfast.payment-results.v1".to_owned(), BTreeSet::from(["events/inbound/payment_result.json".to_owned()])),
        ("holdfast.payment-results.dlq.v1".to_owned(), BTreeSet::from([String::new()])),
    ]);
    assert_eq!(document.channels(), channels);
}

#[test]
fn the_topics_of_a_real_run_are_those_of_the_asyncapi_document_and_carry_what_http_shows() {
    let Some(brokers) = Brokers::shared() else { return };
    let topics = Topics::at(brokers.address());
    let run = Repertoire::play(brokers.publishing("holdfast").env("HOLDFAST__KAFKA__PAYMENT_RESULTS", "true"));
    let (document, contract) = (AsyncApi::read(), Contract::read());
    let named: BTreeSet<String> = document.channels().into_keys().collect();
    let made = poll(PATIENCE, || (topics.named("holdfast.") == named).then_some(()));
    assert!(made.is_some(), "{:?} are not {named:?}", topics.named("holdfast."));
    let shown = by_id(run.events());
    let whole = |records: &Vec<Kept>| {
        let ids: BTreeSet<&String> = records.iter().map(|record| &record.headers["hf-id"]).collect();
        shown.keys().all(|id| ids.contains(id))
    };
    let carried = poll(PATIENCE, || Some(topics.all("holdfast.events.v1")).filter(whole)).unwrap();
    let headers = document.required_headers("order_paid");
    let carried = carried.into_iter().map(|record| {
        let event: Value = serde_json::from_str(&record.value).unwrap();
        contract.check(&event).unwrap();
        assert_eq!(record.headers.keys().cloned().collect::<BTreeSet<_>>(), headers, "{event}");
        assert_eq!((&event["subject"], &event["type"]), (&json!(record.key), &json!(record.headers["ce-type"])));
        event
    });
    let carried = by_id(carried.collect());
    shown.iter().for_each(|(id, event)| assert_eq!(carried.get(id), Some(event), "{id}"));
}

fn by_id(events: Vec<Value>) -> BTreeMap<String, Value> {
    events.into_iter().map(|event| (event["id"].as_str().unwrap().to_owned(), event)).collect()
}

#[test]
fn the_schema_of_payment_results_takes_what_the_server_takes() {
    let contract = Contract::read();
    let result = json!({"id": "evt_1", "provider": "sandbox", "type": "payment.captured",
        "attempt_id": "pay_00000000000000000000000000-1", "amount": 1000, "currency": "EUR"});
    assert!(contract.takes_result(&result));
    let with = |member: &str, value: Value| {
        let mut result = result.clone();
        result[member] = value;
        contract.takes_result(&result)
    };
    assert!(with("bank", json!({"code": 7})) && with("amount", Value::Null));
    assert!(!with("id", json!("")) && !with("type", json!("payment.stolen")) && !with("attempt_id", json!("x")));
}
