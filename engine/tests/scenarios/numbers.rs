//! Numbers of orders: each is given out once, also by a journal that was restored from a backup.

use crate::draft::{Draft, order, reservation};
use holdfast_engine::audit::Audit;
use holdfast_engine::command::Loaded;
use holdfast_engine::effect::Effects;
use holdfast_engine::event::{Event, OrderFact, PartitionFact, Record};
use holdfast_engine::ids::{PartitionId, Partitions, Ticket};
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_engine::{Causality, Input, Partition, codec};
use std::sync::Arc;

const ID: PartitionId = PartitionId(0);

fn one() -> Partitions {
    Partitions::new(1).unwrap()
}

fn partition() -> Partition {
    Partition::new(ID, one(), Causality::OneLog, Policy::default())
}

/// The records that placing an order makes.
fn place(partition: &mut Partition, key: &str) -> Vec<Record> {
    place_draft(partition, &order(key))
}

fn place_draft(partition: &mut Partition, draft: &Draft) -> Vec<Record> {
    let (now, mut fx) = (Timestamp::new(1_000), Effects::default());
    let command = draft.clone().line("A", 1).command(now, one());
    partition.step(now, Input::Command { ticket: Ticket(1), command, loaded: Loaded::default() }, &mut fx);
    let frame = fx.batch.frame();
    codec::read_frame(&frame).unwrap().map(|entry| entry.unwrap().decode().unwrap()).collect()
}

fn number(records: &[Record]) -> u64 {
    let placed = records.iter().find_map(|record| match &record.event {
        Event::Order { fact, .. } => match &**fact {
            OrderFact::Placed(placed) => Some(placed.number),
            _ => None,
        },
        _ => None,
    });
    placed.unwrap()
}

fn restore(partition: &mut Partition, placed: u64) -> Record {
    let event = Event::Partition(PartitionFact::Restored { placed, restored_at: Timestamp::new(2_000) });
    let record = Record { seq: partition.seq() + 1, at: partition.at(), event };
    partition.apply(record.clone());
    record
}

#[test]
fn a_restore_leaves_numbers_out_and_takes_none_back() {
    let mut partition = partition();
    assert_eq!(number(&place(&mut partition, "first")), 1);
    restore(&mut partition, 500);
    assert_eq!(number(&place(&mut partition, "second")), 501);
    restore(&mut partition, 7);
    assert_eq!(number(&place(&mut partition, "third")), 502, "an older count changes nothing");
}

#[test]
fn a_snapshot_keeps_what_a_restore_left_out() {
    let mut partition = partition();
    place(&mut partition, "first");
    restore(&mut partition, 500);
    let bytes = partition.snapshot();
    let mut read = Partition::restore(ID, one(), Causality::OneLog, Policy::default(), &bytes).unwrap();
    assert_eq!(read.hash(), partition.hash());
    assert_eq!(number(&place(&mut read, "second")), 501);
}

#[test]
fn the_audit_takes_a_gap_and_finds_a_number_that_was_given_twice() {
    let mut partition = partition();
    let mut records = place(&mut partition, "first");
    records.push(restore(&mut partition, 500));
    records.extend(place(&mut partition, "second"));
    let violations = |records: &[Record]| {
        let mut audit = Audit::default();
        records.iter().for_each(|record| audit.add(ID, record));
        audit.finish::<Partition>(&[]).1
    };
    assert_eq!(violations(&records), Vec::<String>::new());
    for record in &mut records {
        if let Event::Order { fact, .. } = &mut record.event
            && let OrderFact::Placed(placed) = Arc::make_mut(fact)
        {
            placed.number = 1;
        }
    }
    let found = violations(&records);
    assert!(found.len() == 1 && found[0].starts_with("I13"), "{found:?}");
}

/// It was counted twice among the reservations and once among all, and the difference was below zero.
#[test]
fn the_audit_finds_a_reservation_that_was_placed_twice() {
    let mut records = place_draft(&mut partition(), &reservation("k"));
    let again: Vec<Record> =
        records.iter().map(|record| Record { seq: record.seq + records.len() as u64, ..record.clone() }).collect();
    records.extend(again);
    let mut audit = Audit::default();
    records.iter().for_each(|record| audit.add(ID, record));
    let (checked, found) = audit.finish::<Partition>(&[]);
    assert_eq!((checked.orders, checked.reservations), (0, 1));
    assert!(found.iter().any(|violation| violation.contains("placed twice")), "{found:?}");
}
