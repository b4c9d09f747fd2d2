//! The bytes of every event as it is published, held to a golden file.

use super::{CloudEvent, timeline_item};
use data_encoding::HEXLOWER;
use holdfast_engine::codec::decode_record;
use holdfast_engine::event::{Event, Kind, OrderRecord, Record};
use holdfast_engine::ids::PartitionId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const JOURNALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/golden");
const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/events.txt");

/// A record of each event, as the engine keeps its bytes. Snapshots and rows are none.
fn records() -> BTreeMap<String, Record> {
    let files = fs::read_dir(JOURNALLED).unwrap().map(|file| file.unwrap().path());
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let events = files.filter(|path| !["snapshot.", "row."].iter().any(|other| name(path).starts_with(other)));
    let record = |path: &Path| decode_record(&HEXLOWER.decode(fs::read(path).unwrap().trim_ascii_end()).unwrap()).unwrap();
    events.map(|path| (name(&path), record(&path))).collect()
}

/// Each event as it is published, and those of an order as its timeline shows them.
fn published() -> BTreeMap<String, String> {
    let mut published = BTreeMap::new();
    for (name, record) in records() {
        published.insert(name.clone(), serde_json::to_string(&CloudEvent::of(PartitionId(12), &record)).unwrap());
        if let Event::Order { order, fact, .. } = record.event {
            for kind in [Kind::Order, Kind::Reservation] {
                let record = OrderRecord { seq: record.seq, at: record.at, fact: fact.clone() };
                let item = serde_json::to_string(&timeline_item(order, kind, &record)).unwrap();
                published.insert(format!("{name}:{kind:?}"), item);
            }
        }
    }
    published
}

/// With `HOLDFAST_ADD_GOLDEN` set, lines of new events are added; one that exists is never overwritten.
#[test]
fn every_event_is_published_as_it_always_was() {
    let (mut golden, published) = (fs::read_to_string(PUBLISHED).unwrap(), published());
    if std::env::var("HOLDFAST_ADD_GOLDEN").is_ok() {
        let new = published.iter().filter(|(name, _)| !golden.lines().any(|line| line.starts_with(&format!("{name} "))));
        let new: String = new.map(|(name, json)| format!("{name} {json}\n")).collect();
        golden.push_str(&new);
        fs::write(PUBLISHED, &golden).unwrap();
    }
    let golden: BTreeMap<&str, &str> = golden.lines().map(|line| line.split_once(' ').unwrap()).collect();
    for (name, json) in &published {
        let expected = golden.get(name.as_str()).unwrap_or_else(|| panic!("no line for {name}, see HOLDFAST_ADD_GOLDEN"));
        assert_eq!(json, expected, "{name}");
    }
    assert_eq!(golden.len(), published.len(), "one line an event, one event a line");
}

/// The suite `schemas` compares every other event with its schema; this one is a race that nobody can win on purpose.
#[test]
fn a_forbidden_hold_has_the_members_of_its_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events/stock.hold_forbidden.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let event = serde_json::to_value(CloudEvent::of(PartitionId(0), &records()["stock.hold_forbidden"])).unwrap();
    let published = schema["properties"]["data"]["properties"].as_object().unwrap();
    assert_eq!(schema["properties"]["type"]["const"], event["type"]);
    assert!(event["data"].as_object().unwrap().keys().eq(published.keys()), "{published:?}");
}
