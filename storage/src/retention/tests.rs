//! What goes, what stays for whom, and that what is left is all that a start needs.

use super::*;
use crate::conformance::{FaultyJournal, World, partitions, recovered};
use crate::contract::{Log, Row, Snapshot, Table};
use crate::embedded::EmbeddedJournal;
use crate::memory::MemoryJournal;
use crate::rows::meta;
use holdfast_engine::codec::{self, Batch};
use tempfile::TempDir;

const LOG: LogId = LogId(0);
const HOUR: u64 = 3_600_000;
const MIB: u64 = 1024 * 1024;

fn not_ended() -> bool {
    false
}

/// All that nothing reads is due.
fn purger(publishes: bool) -> Purger {
    Purger::new(Options { age: Some(Duration::ZERO), bytes: None, publishes })
}

fn floor(purger: &mut Purger, journal: &dyn Journal) -> (LogSeq, Pass) {
    let mut pass = Pass::default();
    let floor = purger.floor(journal, LOG, (100, 100), &mut pass, &not_ended).unwrap();
    (floor.expect("it has not ended"), pass)
}

fn moved_to(journal: &dyn Journal, commit: LogSeq) {
    let row = Row { table: Table::Meta, key: meta::movements(LOG), value: codec::encode(&commit), version: commit };
    journal.project(&[row]).unwrap();
}

fn save(journal: &dyn Journal, partition: PartitionId, seq: u64, after: LogSeq) {
    journal.save_snapshot(&Snapshot { partition, seq, after, state: vec![7] }).unwrap();
}

/// Two snapshots of each partition, the older after commit 10 and more, and movements up to `moved`.
fn journal(moved: LogSeq) -> FaultyJournal {
    let journal = FaultyJournal::new(Arc::new(MemoryJournal::new(partitions())));
    for partition in partitions().all() {
        save(&journal, partition, 1, 10 + LogSeq::from(partition.0));
        save(&journal, partition, 2, 90);
    }
    moved_to(&journal, moved);
    journal
}

#[test]
fn a_log_is_kept_from_the_oldest_that_anything_reads() {
    assert_eq!(floor(&mut purger(false), &journal(50)).0, 11, "the older snapshot of the first partition");
    assert_eq!(floor(&mut purger(false), &journal(5)).0, 6, "the movements");
    assert_eq!(floor(&mut purger(true), &journal(50)).0, 1, "nothing is published yet");
}

#[test]
fn the_state_of_a_snapshot_is_read_once() {
    let (journal, mut purger) = (journal(50), purger(false));
    assert_eq!(floor(&mut purger, &journal).0, 11);
    journal.lose_states();
    assert_eq!(floor(&mut purger, &journal).0, 11);
}

/// It read all of them back first, which a stop waited for.
#[test]
fn a_pass_ends_before_the_next_snapshot_is_read_back_and_deletes_nothing() {
    let (journal, mut purger) = (journal(50), purger(false));
    let looks = std::cell::Cell::new(0);
    let ended = || looks.replace(looks.get() + 1) > 0;
    let mut pass = Pass::default();
    assert_eq!(purger.floor(&journal, LOG, (100, 100), &mut pass, &ended).unwrap(), None);
    assert_eq!((looks.get(), pass.wanting.len()), (2, 1), "one partition was looked at");
}

#[test]
fn a_snapshot_that_is_not_whole_is_not_relied_on_and_others_are_asked_for() {
    let journal = journal(50);
    journal.damage_older_snapshots();
    let (floor, pass) = floor(&mut purger(false), &journal);
    assert_eq!((floor, pass.wanting.len()), (1, usize::from(partitions().count())));
}

/// It held the log of all partitions back until it had a hundred thousand events of its own.
#[test]
fn a_quiet_partition_relies_on_its_newest_snapshot_once_that_was_saved_again() {
    let (journal, mut purger) = (journal(99), purger(false));
    let quiet = PartitionId(0);
    assert_eq!(floor(&mut purger, &journal).0, 11);
    save(&journal, quiet, 2, 95);
    assert_eq!(floor(&mut purger, &journal).0, 12, "the older snapshot of the second partition");
    for partition in partitions().all().filter(|partition| *partition != quiet) {
        save(&journal, partition, 3, 97);
    }
    assert_eq!(floor(&mut purger, &journal).0, 91);
    save(&journal, quiet, 3, 98);
    for partition in partitions().all().filter(|partition| *partition != quiet) {
        save(&journal, partition, 4, 99);
    }
    assert_eq!(floor(&mut purger, &journal).0, 96, "it has had something to say: the one before its newest");
}

#[test]
fn a_snapshot_is_asked_for_again_only_once_the_log_has_grown() {
    let (journal, mut purger) = (journal(99), purger(false));
    let asked = |purger: &mut Purger| floor(purger, &journal).1.wanting.len();
    assert_eq!([asked(&mut purger), asked(&mut purger)], [4, 0]);
    journal.append(LOG, &World::new(partitions()).set_stock("SKU", 1)).unwrap();
    assert_eq!(asked(&mut purger), 4);
}

/// A server without its server: partitions, a journal beside them, and a clock that is moved by hand.
struct Shop {
    dir: TempDir,
    journal: EmbeddedJournal,
    world: World,
}

impl Shop {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = EmbeddedJournal::open_with_reserve(dir.path(), partitions(), 0).unwrap();
        let mut shop = Self { dir, journal, world: World::new(partitions()) };
        let stock = shop.world.set_stock("SKU", 1_000_000);
        shop.append(&stock);
        shop
    }

    fn append(&self, batch: &Batch) {
        self.journal.append(LOG, batch).unwrap();
    }

    /// An hour in which an order of about so many bytes is placed, is cancelled and leaves memory. The partition of no SKU and no order
    /// is quiet.
    fn pass_an_hour(&mut self, bytes: usize) {
        self.world.wait(HOUR);
        let (order, mut batch) = self.world.place_noted(&["SKU"], bytes);
        batch.extend(&self.world.cancel(order));
        self.append(&batch);
        let (left, batches) = self.world.leave_memory();
        self.journal.project(&left.iter().map(rows::row_of).collect::<Vec<_>>()).unwrap();
        batches.iter().for_each(|batch| self.append(batch));
        moved_to(&self.journal, self.journal.end(LOG));
    }

    /// A pass, and the snapshots it asks for.
    fn purge(&self, purger: &mut Purger) -> Pass {
        let pass = purger.pass(&self.journal, self.world.now(), not_ended).unwrap();
        let snapshots = self.world.snapshots(|_| self.journal.end(LOG));
        for snapshot in snapshots.iter().filter(|snapshot| pass.wanting.contains(&snapshot.partition)) {
            rows::save_snapshot(&self.journal, snapshot).unwrap();
        }
        pass
    }

    fn first(&self) -> LogSeq {
        self.journal.first(LOG).unwrap()
    }

    fn reopened(self) -> (World, TempDir, EmbeddedJournal) {
        let Self { dir, journal, world } = self;
        drop(journal);
        let journal = EmbeddedJournal::open_with_reserve(dir.path(), partitions(), 0).unwrap();
        (world, dir, journal)
    }
}

#[test]
fn a_log_stays_within_its_bytes_for_a_hundred_hours_and_a_start_folds_the_same_state() {
    let bytes = 100 * MIB;
    let mut shop = Shop::open();
    let mut purger = Purger::new(Options { bytes: Some(bytes), ..Options::default() });
    let (mut written, mut deleted) = (0, 0);
    for hour in 0..100 {
        let before = shop.journal.bytes();
        shop.pass_an_hour(1_400_000);
        written += shop.journal.bytes() - before;
        deleted += shop.purge(&mut purger).deleted;
        assert!(shop.journal.bytes() <= bytes, "hour {hour}: {}", shop.journal.bytes());
    }
    assert!(written > bytes * 5 / 4 && deleted > 0, "{written} bytes written, {deleted} commits deleted");
    assert_eq!(shop.first(), deleted + 1);
    let first = shop.first();
    let (world, _dir, journal) = shop.reopened();
    assert_eq!((recovered(&journal), journal.first(LOG).unwrap()), (world.hashes(), first));
}

#[test]
fn a_file_goes_when_its_last_commit_is_old_enough_and_not_before() {
    let mut shop = Shop::open();
    let mut purger = Purger::new(Options { age: Some(Duration::from_millis(10 * HOUR)), ..Options::default() });
    let mut deleted_at = None;
    for hour in 1..=20 {
        shop.pass_an_hour(300_000);
        (0..3).for_each(|_| drop(shop.purge(&mut purger)));
        if shop.first() > 1 {
            deleted_at.get_or_insert(hour);
        }
    }
    let age = crate::recovery::made_at(&shop.journal, LOG, shop.first()).unwrap().unwrap();
    assert!(shop.world.now().since(age) >= 10 * HOUR, "the file that ends before it was not old yet");
    assert!(deleted_at.is_some_and(|hour| hour > 10), "{deleted_at:?}");
}

#[test]
fn what_is_not_published_is_kept_however_large_the_log_is() {
    let mut shop = Shop::open();
    let mut kept = Purger::new(Options { bytes: Some(1), age: None, publishes: true });
    for _ in 0..12 {
        shop.pass_an_hour(400_000);
        let pass = shop.purge(&mut kept);
        assert_eq!((shop.first(), pass.deleted), (1, 0));
    }
    assert!(shop.purge(&mut kept).unpublished > 0, "nobody hears of it");
    let mut unpublished = Purger::new(Options { bytes: Some(1), ..Options::default() });
    (0..3).for_each(|_| {
        shop.pass_an_hour(1_000);
        shop.purge(&mut unpublished);
    });
    assert!(shop.first() > 1);
}

#[test]
fn without_an_age_and_a_size_nothing_goes_and_no_snapshot_is_asked_for() {
    let mut shop = Shop::open();
    (0..8).for_each(|_| shop.pass_an_hour(400_000));
    assert_eq!(shop.purge(&mut Purger::new(Options::default())), Pass::default());
    assert_eq!(shop.first(), 1);
}

/// Between the two it has neither rows nor a log of what left memory then.
#[test]
fn nothing_goes_that_the_tables_do_not_have() {
    let mut shop = Shop::open();
    (0..8).for_each(|_| shop.pass_an_hour(400_000));
    moved_to(&shop.journal, 2);
    let mut purger = purger(false);
    (0..3).for_each(|_| drop(shop.purge(&mut purger)));
    assert_eq!(shop.first(), 1);
}
