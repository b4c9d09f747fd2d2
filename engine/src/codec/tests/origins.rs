//! Where an order came from, in bytes: golden files of what is written with an origin, and origins that are not believed.

use super::*;
use crate::event::{History, OrderRecord, Origin};
use crate::ids::{CorrelationId, OrderId};
use crate::partition::SnapshotError;

const AT: Timestamp = Timestamp::new(1_700_000_000_000);

fn event(wanted: &str) -> Event {
    let found = examples::with_origin().into_iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("no example is named {wanted}")).1
}

fn history() -> History {
    match event("origin.restored") {
        Event::Archive(ArchiveFact::Restored { history, .. }) => history,
        other => panic!("{other:?}"),
    }
}

/// An origin as it is encoded, from anybody.
fn encoded(client: Option<&str>, correlation: Option<&str>) -> Vec<u8> {
    append(&(client, correlation), Vec::new())
}

/// A record as if an origin were behind it.
fn followed_by(event: &Event, origin: &[u8]) -> Result<Record, Error> {
    let body = append(&record(event), vec![version::RECORD]);
    decode_record(&[&body, origin].concat())
}

fn without_origin(wanted: &str) -> Event {
    examples::all().into_iter().find(|event| examples::name(event) == wanted).unwrap()
}

#[test]
fn a_record_and_a_row_with_an_origin_are_written_and_read_as_they_always_were() {
    for (name, event) in examples::with_origin() {
        let bytes = encode_record(&record(&event));
        let golden = stored(name, &bytes);
        assert_eq!(HEXLOWER.encode(&bytes), HEXLOWER.encode(&golden), "{name} is written as before");
        assert_eq!(decode_record(&golden), Ok(record(&event)), "{name} is read as before");
        let mut batch = Batch::default();
        batch.push(PartitionId(1), &record(&event));
        assert_eq!(&batch.entries[ENTRY..], golden, "{name} is the same in a batch");
    }
    let golden = stored("row.origins", &encode_history(&history()));
    assert_eq!(HEXLOWER.encode(&encode_history(&history())), HEXLOWER.encode(&golden), "the row is written as before");
    assert_eq!(decode_history(&golden), Ok(history()), "the row is read as before");
}

/// A build of before must be able to read what has nothing new.
#[test]
fn only_what_has_an_origin_has_the_version_that_says_so() {
    for event in examples::all() {
        assert_eq!(encode_record(&record(&event))[0], 1, "{event:?}");
    }
    for (name, event) in examples::with_origin() {
        assert_eq!(encode_record(&record(&event))[0], 2, "{name}");
    }
    assert_eq!([encode_history(&examples::history())[0], encode_history(&history())[0]], [1, 2]);
}

#[test]
fn every_event_of_an_order_shows_its_correlation() {
    for (name, event) in examples::with_origin() {
        let read = decode_record(&encode_record(&record(&event))).unwrap();
        let shown = read.event.correlation().map(CorrelationId::as_str);
        let known = matches!(name, "origin.placed" | "origin.expired");
        assert_eq!(shown, known.then_some("cart-7:{\"a\"}"), "{name}");
    }
}

#[test]
fn an_origin_that_says_nothing_or_is_of_no_order_is_refused() {
    let [placed, expired, set] = ["order.placed-order", "order.expired", "stock.set"].map(without_origin);
    let [restored, left] = ["archive.restored", "archive.orders"].map(without_origin);
    let said = encoded(Some("shop"), Some("c"));
    for taken in [&placed, &restored] {
        assert!(followed_by(taken, &said).is_ok(), "{taken:?}");
    }
    assert!(followed_by(&expired, &encoded(None, Some("c"))).is_ok());
    let cases = [
        ("nothing is said of an order", &placed, encoded(None, None)),
        ("nothing is said of one that comes back", &restored, encoded(None, None)),
        ("nothing is said of a later fact", &expired, encoded(None, None)),
        ("a later fact names a client", &expired, said.clone()),
        ("stock", &set, said.clone()),
        ("orders that left", &left, said.clone()),
        ("white space", &placed, encoded(None, Some("a b"))),
        ("not ASCII", &placed, encoded(None, Some("ä"))),
        ("too long", &placed, encoded(None, Some(&"c".repeat(limits::CORRELATION_ID.bytes + 1)))),
    ];
    for (rule, event, origin) in cases {
        assert!(matches!(followed_by(event, &origin), Err(Error::Malformed(_))), "{rule}");
    }
    assert_eq!(followed_by(&placed, &[]), Err(Error::Short));
    assert_eq!(followed_by(&placed, &[said.as_slice(), &[0]].concat()), Err(Error::LeftOver(1)));
    let empty = append(&Vec::<OrderRecord>::new(), vec![version::HISTORY]);
    assert!(matches!(decode_history(&[empty, said].concat()), Err(Error::Malformed(_))));
}

/// A partition with one order, from somewhere or not.
fn folded(event: Event) -> Partition {
    let mut folded = Partition::new(PartitionId(3), Partitions::new(8).unwrap(), Causality::OneLog, Policy::default());
    folded.apply(Record { seq: 1, at: AT, event });
    folded
}

fn restore(snapshot: &[u8]) -> Result<Partition, SnapshotError> {
    Partition::restore(PartitionId(3), Partitions::new(8).unwrap(), Causality::OneLog, Policy::default(), snapshot)
}

#[test]
fn a_snapshot_keeps_where_its_orders_came_from_in_a_section_of_its_own() {
    let with = folded(event("origin.placed"));
    let golden = stored("snapshot.origins", &with.snapshot());
    assert_eq!(HEXLOWER.encode(&with.snapshot()), HEXLOWER.encode(&golden), "it is written as before");
    let read = restore(&golden).unwrap();
    assert_eq!(read.hash(), with.hash(), "it is read as before");
    assert_eq!(read.orders().next().unwrap().placed(), with.orders().next().unwrap().placed());

    let without = folded(without_origin("order.placed-order"));
    let tags = |snapshot: &[u8]| sections::read(snapshot).unwrap().iter().map(|(tag, _)| *tag).collect::<Vec<_>>();
    assert_eq!((tags(&golden), tags(&without.snapshot())), (vec![1, 2], vec![1]), "a section that would be empty is not written");
    assert_ne!(without.hash(), with.hash(), "it is part of the state");
}

#[test]
fn a_snapshot_that_says_where_an_order_came_from_that_is_not_in_it_is_refused() {
    let snapshot = folded(event("origin.placed")).snapshot();
    let image = folded(without_origin("order.placed-order")).snapshot();
    let section = &snapshot[image.len()..];
    assert!(restore(&[image.as_slice(), section].concat()).is_ok());
    let nobody = Partition::new(PartitionId(3), Partitions::new(8).unwrap(), Causality::OneLog, Policy::default()).snapshot();
    let refused = restore(&[nobody.as_slice(), section].concat());
    assert!(matches!(refused, Err(SnapshotError::Origin(_))), "{:?}", refused.err());
    let mut twice = sections::Sections::new();
    let origin = (OrderId::from_bytes([0; 16]), Origin::default());
    twice.push(sections::ORIGINS, |buffer| buffer.extend(append(&vec![origin], Vec::new())));
    let behind = &twice.finish()[1..];
    assert!(restore(&[image.as_slice(), behind].concat()).is_err());
}

/// The record of a fact is put together by hand, so that its bytes are there for its order.
#[test]
fn a_record_of_a_fact_that_was_decided_is_the_bytes_of_the_record() {
    let placed = examples::with_origin().map(|(_, event)| event);
    let plain = examples::order_facts().into_iter().flat_map(|fact| {
        let correlations = [None, Some(CorrelationId::new("basket-7").unwrap())];
        correlations.map(|correlation| Event::Order {
            order: OrderId::from_bytes([9; 16]),
            fact: Arc::new(fact.clone()),
            correlation,
        })
    });
    for event in placed.into_iter().chain(plain) {
        let Event::Order { order, fact, correlation } = &event else { continue };
        let (mut whole, mut by_hand) = (Batch::default(), Batch::default());
        let Record { seq, at, .. } = record(&event);
        whole.push(PartitionId(3), &record(&event));
        let origin = match &**fact {
            OrderFact::Placed(placed) => placed.origin_bytes(),
            _ => origin::of_later_fact(correlation.as_ref().map(CorrelationId::as_str)),
        };
        let bytes = by_hand.push_order(PartitionId(3), (seq, at), *order, fact, &origin).to_vec();
        assert_eq!(by_hand.frame(), whole.frame(), "{event:?}");
        assert_eq!(bytes, append(&**fact, Vec::new()), "{event:?}");
    }
}
