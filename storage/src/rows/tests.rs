//! The projector over a journal that forgets with the process: what survives a crash is what the journal has.

use super::*;
use crate::conformance::{FaultyJournal, World, partitions};
use crate::contract::{Journal, LogId, LogSeq, Row, Table};
use crate::memory::MemoryJournal;
use crossbeam::channel::{Receiver, unbounded};
use holdfast_engine::codec::Batch;
use holdfast_engine::effect::Archive;
use holdfast_engine::event::{Allocation, Bucket, Event, Record, ReleaseCause, StockFact};
use holdfast_engine::ids::{HoldKey, Label, Location, PartitionId};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::time::Timestamp;
use std::thread::JoinHandle;
use std::time::Duration;

const LOG: LogId = LogId(0);
const AT_ONCE: Options = Options { archive_interval: Duration::ZERO, movement_interval: Duration::ZERO, max_archives: 4096 };

/// A projector and what it told. Stopping it is the crash: it writes nothing more.
struct Running {
    projector: Projector,
    notices: Receiver<Notice>,
    thread: JoinHandle<()>,
}

impl Running {
    fn over(journal: &Arc<dyn Journal>) -> Self {
        Self::with(journal, AT_ONCE)
    }

    fn with(journal: &Arc<dyn Journal>, options: Options) -> Self {
        let (sender, notices) = unbounded();
        let notify = Box::new(move |notice| drop(sender.send(notice)));
        let (projector, thread) = Projector::start(journal.clone(), options, notify).unwrap();
        Self { projector, notices, thread }
    }

    fn flush(&self) -> Result<(), Arc<Error>> {
        flush(&self.projector)
    }

    fn archive(&self, archives: &[Archive]) {
        archives.iter().for_each(|archive| self.projector.archive(archive.clone()));
        self.flush().unwrap();
    }

    fn archived(&self) -> Vec<Archived> {
        let archived = self.notices.try_iter().map(|notice| match notice {
            Notice::Archived(archived) => archived,
            Notice::Failed(error) => panic!("{error}"),
        });
        archived.collect()
    }

    fn stop(self) {
        drop(self.projector);
        self.thread.join().unwrap();
    }
}

fn flush(projector: &Projector) -> Result<(), Arc<Error>> {
    let (sender, receiver) = unbounded();
    projector.flush(Box::new(move |outcome| drop(sender.send(outcome))));
    receiver.recv().unwrap()
}

fn memory() -> Arc<dyn Journal> {
    Arc::new(MemoryJournal::new(partitions()))
}

/// A world with one confirmed order, and what closed in it.
fn closed_order(journal: &dyn Journal) -> (World, OrderId, Vec<Archive>) {
    let mut world = World::new(partitions());
    journal.append(LOG, &world.set_stock("SKU", 10)).unwrap();
    let (order, batch) = world.place(&["SKU"], 12);
    journal.append(LOG, &batch).unwrap();
    journal.append(LOG, &world.confirm(order)).unwrap();
    let archives = world.take_archives();
    (world, order, archives)
}

#[test]
fn a_closed_order_is_read_back_once_it_is_reported() {
    let journal = memory();
    let (mut world, id, archives) = closed_order(&*journal);
    let history = world.partition_of(id).order(id).unwrap().history().clone();
    let running = Running::over(&journal);
    running.archive(&archives);

    let archived = running.archived();
    assert_eq!(archived, [Archived { partition: id.partition(), orders: vec![(id, history.len())], keys: vec![] }]);
    assert_eq!(order(&*journal, id).unwrap(), Some(history));
    world.archived(archived[0].clone());
    assert!(world.partition_of(id).order(id).is_none());
}

#[test]
fn what_was_never_archived_is_not_there() {
    let journal = memory();
    assert_eq!(order(&*journal, OrderId::from_bytes([0; 16])).unwrap(), None);
    assert_eq!(key(&*journal, KeyHash([0; 16])).unwrap(), None);
}

#[test]
fn a_key_is_read_back_with_its_fingerprint() {
    let journal = memory();
    let running = Running::over(&journal);
    let (hash, fingerprint) = (KeyHash([7; 16]), Fingerprint(9));
    let request_id = holdfast_engine::ids::RequestId::new("r").unwrap();
    let answer = Arc::new(StoredResponse::PaymentRefused { request_id, state: "expired".to_owned() });
    running.archive(&[Archive::Key { partition: PartitionId(3), key: hash, fingerprint, answer: answer.clone() }]);
    assert_eq!(key(&*journal, hash).unwrap(), Some((fingerprint, answer)));
    assert_eq!(running.archived(), [Archived { partition: PartitionId(3), orders: vec![], keys: vec![hash] }]);
}

/// The process died after the rows were durable and before the partition knew.
#[test]
fn the_same_archive_after_a_crash_changes_nothing() {
    let journal = memory();
    let (world, id, archives) = closed_order(&*journal);
    let before = Running::over(&journal);
    before.archive(&archives);
    let reported = before.archived();
    before.stop();

    let after = Running::over(&journal);
    after.archive(&archives);
    assert_eq!(after.archived(), reported);
    assert_eq!(order(&*journal, id).unwrap().as_ref(), Some(world.partition_of(id).order(id).unwrap().history()));
}

#[test]
fn each_partition_is_told_once_a_batch() {
    let journal = memory();
    let mut world = World::new(partitions());
    world.set_stock("SKU", 1000);
    for _ in 0..40 {
        let (order, _) = world.place(&["SKU"], 1);
        world.confirm(order);
    }
    let archives = world.take_archives();
    let waits = Options { archive_interval: Duration::from_secs(3600), ..AT_ONCE };
    let running = Running::with(&journal, waits);
    // The first write may be of any part of them; the rest waits for the flush.
    running.archive(&archives);
    let archived = running.archived();
    assert_eq!(archived.iter().map(|archived| archived.orders.len()).sum::<usize>(), 40);
    assert!(archived.len() <= 2 * usize::from(partitions().count()), "{}", archived.len());
}

#[test]
fn after_a_failure_nothing_is_reported_and_a_flush_says_so() {
    let faulty = Arc::new(FaultyJournal::new(memory()));
    let journal: Arc<dyn Journal> = faulty.clone();
    let (_, id, archives) = closed_order(&*journal);
    let running = Running::over(&journal);
    running.flush().unwrap();
    faulty.fill_after_projects(0);
    archives.iter().for_each(|archive| running.projector.archive(archive.clone()));
    assert!(matches!(&*running.flush().unwrap_err(), Error::Full));
    archives.iter().for_each(|archive| running.projector.archive(archive.clone()));
    assert!(running.flush().is_err());
    let notices: Vec<Notice> = running.notices.try_iter().collect();
    assert!(matches!(&notices[..], [Notice::Failed(error)] if matches!(**error, Error::Full)), "{notices:?}");
    assert_eq!(order(&*journal, id).unwrap(), None);
}

fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

fn location(text: &str) -> Location {
    Location::new(text).unwrap()
}

fn hold(number: u8) -> HoldKey {
    HoldKey { order: OrderId::from_bytes([number; 16]), generation: 0 }
}

fn taken(from: &[(&str, u32)]) -> Vec<Allocation> {
    from.iter().map(|(name, units)| Allocation { location: location(name), quantity: Quantity::new(*units) }).collect()
}

/// A commit of facts of one SKU, as partition 0 would write them.
struct Facts {
    journal: Arc<dyn Journal>,
    seq: u64,
}

impl Facts {
    fn over(journal: &Arc<dyn Journal>) -> Self {
        Self { journal: journal.clone(), seq: 0 }
    }

    fn commit(&mut self, of: &str, facts: Vec<StockFact>) -> LogSeq {
        let mut batch = Batch::default();
        for fact in facts {
            self.seq += 1;
            let event = Event::Stock { sku: sku(of), fact };
            batch.push(PartitionId(0), &Record { seq: self.seq, at: Timestamp::new(self.seq), event });
        }
        self.journal.append(LOG, &batch).unwrap()
    }
}

fn set(version: u64, delta: i64) -> StockFact {
    let on_hand = Quantity::new(100);
    StockFact::Set { location: location("north"), on_hand, safety_stock: Quantity::ZERO, priority: 0, delta, version }
}

fn place(number: u8, from: &[(&str, u32)], version: u64) -> StockFact {
    StockFact::HoldPlaced { hold: hold(number), order_version: 1, allocations: taken(from), probe_at: Timestamp::ZERO, version }
}

fn commit(number: u8, from: &[(&str, u32)], version: u64) -> StockFact {
    StockFact::HoldCommitted { hold: hold(number), allocations: taken(from), version }
}

type Short = (u64, MovementKind, Option<&'static str>, i64);

fn short(movements: &[Movement]) -> Vec<Short> {
    let place =
        |movement: &Movement| movement.location.as_ref().map(|name| if name.as_str() == "north" { "north" } else { "south" });
    movements.iter().map(|movement| (movement.seq, movement.kind, place(movement), movement.quantity)).collect()
}

#[test]
fn every_fact_makes_one_movement_a_location() {
    let journal = memory();
    let both = [("north", 2), ("south", 3)];
    let reason = Label::new("broken").unwrap();
    let adjusted = StockFact::Adjusted {
        location: location("north"),
        bucket: Bucket::Damaged,
        delta: -4,
        reason: reason.clone(),
        reference: None,
        version: 2,
    };
    Facts::over(&journal).commit(
        "SKU",
        vec![
            set(1, 100),
            adjusted,
            StockFact::ThresholdSet { threshold: Quantity::new(7), version: 3 },
            place(1, &both, 5),
            StockFact::LevelCrossed { level: holdfast_engine::event::Level::Low, available: 1 },
            StockFact::HoldPinned { hold: hold(1), order_version: 2, allocations: taken(&both), version: 7 },
            StockFact::HoldUnpinned { hold: hold(1), order_version: 3, allocations: taken(&both), version: 9 },
            commit(1, &both, 11),
            StockFact::HoldForbidden { hold: hold(9) },
            place(2, &both[..1], 12),
            StockFact::HoldReleased { hold: hold(2), cause: ReleaseCause::Expired, allocations: taken(&both[..1]), version: 13 },
            place(3, &both[1..], 14),
            StockFact::HoldReleased { hold: hold(3), cause: ReleaseCause::Released, allocations: taken(&both[1..]), version: 15 },
            StockFact::LocationClosed { location: location("south"), version: 16 },
        ],
    );
    Running::over(&journal).flush().unwrap();
    let all = movements(&*journal, &sku("SKU"), 0, 100).unwrap();
    use MovementKind::*;
    let expected: [Short; 16] = [
        (1, Set, Some("north"), 100),
        (2, Adjusted, Some("north"), -4),
        (3, ThresholdSet, None, 7),
        (4, Held, Some("north"), 2),
        (5, Held, Some("south"), 3),
        (6, Pinned, Some("north"), 2),
        (7, Pinned, Some("south"), 3),
        (8, Unpinned, Some("north"), 2),
        (9, Unpinned, Some("south"), 3),
        (10, Committed, Some("north"), 2),
        (11, Committed, Some("south"), 3),
        (12, Held, Some("north"), 2),
        (13, Expired, Some("north"), 2),
        (14, Held, Some("south"), 3),
        (15, Released, Some("south"), 3),
        (16, LocationClosed, Some("south"), 0),
    ];
    assert_eq!(short(&all), expected);
    assert_eq!((all[1].bucket, all[1].reason.clone(), all[1].order), (Some(Bucket::Damaged), Some(reason), None));
    assert_eq!((all[3].at, all[3].order), (Timestamp::new(4), Some(hold(1).order)));
}

#[test]
fn the_movements_of_real_events_are_numbered_up_to_the_version_of_their_sku() {
    let journal = memory();
    let mut world = World::new(partitions());
    for batch in world.busy_day() {
        journal.append(LOG, &batch).unwrap();
    }
    Running::over(&journal).flush().unwrap();
    for n in 0..12 {
        let name = sku(&format!("SKU-{n}"));
        let numbers: Vec<u64> = movements(&*journal, &name, 0, 1000).unwrap().iter().map(|movement| movement.seq).collect();
        assert_eq!(numbers, (1..=world.version_of(&name)).collect::<Vec<_>>());
    }
}

#[test]
fn movements_are_paged_from_inside_a_row_and_over_many() {
    let journal = memory();
    let mut facts = Facts::over(&journal);
    let running = Running::over(&journal);
    facts.commit("SKU", (1..=1000).map(|version| set(version, 1)).collect());
    facts.commit("SKU.2", vec![set(1, 5)]);
    running.flush().unwrap();
    // Short rows, as a slow trickle makes them.
    for version in 1001..=1600 {
        facts.commit("SKU", vec![set(version, 1)]);
        running.flush().unwrap();
    }
    let page = |after, limit| -> Vec<u64> {
        movements(&*journal, &sku("SKU"), after, limit).unwrap().iter().map(|movement| movement.seq).collect()
    };
    for (after, limit) in [(0, 5), (255, 3), (256, 3), (300, 300), (999, 2), (1000, 600), (1599, 5)] {
        let last = (after + limit as u64).min(1600);
        assert_eq!(page(after, limit), (after + 1..=last).collect::<Vec<_>>(), "after {after}");
    }
    assert_eq!(page(0, 5000).len(), 1600);
    assert!(page(1600, 5).is_empty());
    assert!(page(u64::MAX, 5).is_empty());
    assert!(page(0, 0).is_empty());
}

#[test]
fn rows_of_a_replay_that_overlap_give_each_movement_once() {
    let journal = memory();
    let row = |numbers: std::ops::RangeInclusive<u64>| {
        let movement = |seq| Movement {
            seq,
            at: Timestamp::ZERO,
            kind: MovementKind::Set,
            location: None,
            bucket: None,
            quantity: 1,
            order: None,
            reason: None,
            reference: None,
        };
        let key = super::movements::row_key(&sku("SKU"), *numbers.start());
        Row { table: Table::Movements, key, value: codec::encode(&numbers.map(movement).collect::<Vec<_>>()), version: 0 }
    };
    journal.project(&[row(1..=10), row(5..=7), row(6..=12), row(13..=14)]).unwrap();
    for after in 0..14 {
        let numbers: Vec<u64> =
            movements(&*journal, &sku("SKU"), after, 99).unwrap().iter().map(|movement| movement.seq).collect();
        assert_eq!(numbers, (after + 1..=14).collect::<Vec<_>>());
    }
}

/// Nobody asks for a flush here: being told of progress is enough. The archive behind it tells when it is done.
#[test]
fn commits_told_are_projected_without_a_flush() {
    let journal = memory();
    let (_, _, archives) = closed_order(&*journal);
    let running = Running::over(&journal);
    running.flush().unwrap();
    let log = Facts::over(&journal).commit("OTHER", vec![set(1, 1)]);
    running.projector.committed(LOG, log);
    while movements(&*journal, &sku("OTHER"), 0, 10).unwrap().is_empty() {
        // Each report shows that the thread has been round once more.
        running.projector.archive(archives[0].clone());
        assert!(matches!(running.notices.recv().unwrap(), Notice::Archived(_)));
    }
}

/// Held at the first report, so that what is queued meanwhile is more than one shift takes.
#[test]
fn what_waits_in_memory_is_written_by_a_thread_that_does_not_wait_for_a_free_processor_and_then_by_the_other_again() {
    let journal = memory();
    let (_, _, closed) = closed_order(&*journal);
    let (go, held) = unbounded::<()>();
    let (sender, names) = unbounded();
    let notify = Box::new(move |_| {
        drop(sender.send(std::thread::current().name().unwrap_or_default().to_owned()));
        let _ = held.recv();
    });
    let (projector, thread) = Projector::start(journal.clone(), AT_ONCE, notify).unwrap();
    let order = closed.iter().find(|archive| matches!(archive, Archive::Order { .. })).unwrap();
    (0..=projector::PRESSED + 4096).for_each(|_| projector.archive(order.clone()));
    drop(go);
    flush(&projector).unwrap();
    projector.archive(order.clone());
    flush(&projector).unwrap();
    drop(projector);
    thread.join().unwrap();
    let mut names: Vec<String> = names.into_iter().collect();
    names.dedup();
    assert_eq!(names, ["projector", "projector-full", "projector"]);
}
