//! Tables that are older than the log beside them, beyond what every backend is held to.

use super::*;
use crate::conformance::{FaultyJournal, World, partitions};
use crate::contract::{Log, LogId, Row, Rows, Table};
use crate::marks::Marks;
use crate::memory::MemoryJournal;
use crate::rows;
use holdfast_engine::codec::Batch;
use holdfast_engine::event::{ArchiveFact, Event, History, OrderFact, OrderRecord};
use holdfast_engine::ids::OrderId;
use std::sync::Arc;

const LOG: LogId = LogId(0);

fn all() -> Vec<PartitionId> {
    partitions().all().collect()
}

fn start(journal: &dyn Journal) -> Result<Vec<Partition>, Error> {
    restore(journal, &all(), &Policy::default(), &mut |_, _| {})
}

/// A log in which an order closed, left memory, came back, learnt one more fact and left again; and its two histories.
fn returned(journal: &dyn Journal) -> (OrderId, History, History) {
    let mut world = World::new(partitions());
    let append = |batch: &Batch| journal.append(LOG, batch).unwrap();
    append(&world.set_stock("SKU", 10));
    let (order, batch) = world.place(&["SKU"], 1);
    append(&batch);
    append(&world.cancel(order));
    let first = world.partition_of(order).order(order).unwrap().history().clone();
    world.leave_memory().1.iter().for_each(|batch| assert!(append(batch) > 0));

    let home = world.partition_of(order);
    let mut record = Record { seq: home.seq() + 1, at: home.at(), event: Event::Archive(ArchiveFact::Orders(vec![order])) };
    let mut batch = Batch::default();
    let back = ArchiveFact::Restored { order, history: first.clone() };
    let fact = Arc::new(OrderFact::Settled);
    let mut second = first.clone();
    second.push(&OrderRecord { seq: record.seq + 1, at: record.at, fact: fact.clone() });
    for event in [Event::Archive(back), Event::Order { order, fact, correlation: None }, record.event.clone()] {
        record.event = event;
        batch.push(home.id, &record);
        record.seq += 1;
    }
    append(&batch);
    (order, first, second)
}

/// The first history over the second would be a closed order that forgot what it learnt.
#[test]
fn of_an_order_that_left_memory_twice_the_later_history_is_in_the_tables() {
    for there in [None, Some(1), Some(2)] {
        let journal = MemoryJournal::new(partitions());
        let (order, first, second) = returned(&journal);
        let there = there.map(|which| if which == 1 { &first } else { &second });
        let row = |history: &History| {
            let value = codec::encode_history(history);
            Row { table: Table::Orders, key: order.bytes().to_vec(), value, version: 0 }
        };
        journal.project(&there.map(row).into_iter().collect::<Vec<_>>()).unwrap();
        start(&journal).unwrap();
        assert_eq!(rows::order(&journal, order).unwrap(), Some(second));
    }
}

/// More than is written at once: a basis that ran ahead of the rows would hide for ever what is missing.
#[test]
fn a_start_that_dies_while_it_fills_older_tables_is_carried_on_by_the_next() {
    let journal = FaultyJournal::new(Arc::new(MemoryJournal::new(partitions())));
    let mut world = World::new(partitions());
    journal.append(LOG, &world.set_stock("SKU", 1_000_000)).unwrap();
    let mut closed = Vec::new();
    for _ in 0..2_500 {
        let (order, batch) = world.place(&["SKU"], 1);
        journal.append(LOG, &batch).unwrap();
        journal.append(LOG, &world.cancel(order)).unwrap();
        closed.push(order);
    }
    for batch in world.leave_memory().1 {
        journal.append(LOG, &batch).unwrap();
    }
    let there = |order: &&OrderId| rows::order(&journal, **order).unwrap().is_some();
    journal.fill_after_projects(1);
    assert!(matches!(start(&journal), Err(Error::Full)));
    let written = closed.iter().filter(there).count();
    assert!(written > 0 && written < closed.len(), "{written}");
    assert!(Marks::read(&journal, &[LOG]).unwrap().rows_whole_to(LOG) < journal.end(LOG));

    journal.fill_after_projects(u64::MAX);
    start(&journal).unwrap();
    assert_eq!(closed.iter().filter(there).count(), closed.len());
    assert_eq!(Marks::read(&journal, &[LOG]).unwrap().rows_whole_to(LOG), journal.end(LOG));
}

/// Every start would otherwise write, and wait for the disk.
#[test]
fn a_start_over_tables_that_lack_nothing_writes_nothing() {
    let journal = FaultyJournal::new(Arc::new(MemoryJournal::new(partitions())));
    returned(&journal);
    start(&journal).unwrap();
    journal.fill_after_projects(0);
    start(&journal).unwrap();
}
