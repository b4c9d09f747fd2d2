//! The contract of [`crate::contract`] as rules that every backend is tested by.
//!
//! A backend runs them with [`conformance!`](crate::conformance), which makes one test of each rule. The events are real:
//! a [`World`] of partitions makes them, and what is recovered is compared with that world by hash.

mod faulty;
mod gate;
mod moments;
mod world;

pub use faulty::FaultyJournal;
pub use gate::Gate;
pub use moments::{
    a_basis_is_durable_before_what_follows_from_it, a_snapshot_of_records_that_the_log_does_not_have_is_refused,
    tables_of_another_history_than_the_log_are_refused, what_left_memory_is_put_into_tables_that_are_older_than_the_log,
};
pub use world::{World, placed};

use crate::contract::{Error, Journal, LogId, LogSeq, Row, Snapshot, SnapshotHead, Table};
use crate::recovery::recover;
use holdfast_engine::Causality;
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::{PartitionId, Partitions, Sku};
use holdfast_engine::time::Policy;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Opens the same data again, where the backend is durable. Nothing else has it open.
pub type Open<'a> = &'a mut dyn FnMut() -> Arc<dyn Journal>;

/// One test of each rule. The expression makes an `FnMut() -> Arc<dyn Journal>` over new data.
#[macro_export]
macro_rules! conformance {
    ($open:expr) => {
        $crate::conformance! { @rules $open;
            commits_are_numbered_from_one_without_a_gap
            what_was_acknowledged_is_read_back_byte_for_byte
            the_log_goes_on_where_it_ended
            a_read_begins_after_the_given_commit_and_stops_when_told
            a_read_leaves_out_what_is_committed_after_it_began
            the_error_of_a_visitor_ends_the_read
            the_number_of_partitions_outlives_the_process
            the_two_newest_snapshots_are_kept_newest_first
            a_snapshot_saved_again_moves_to_the_later_commit
            a_large_snapshot_is_whole
            snapshots_of_different_partitions_do_not_meet
            the_heads_are_those_of_the_snapshots_that_are_kept
            a_row_replaces_the_one_under_its_key
            rows_of_different_tables_do_not_meet
            a_scan_gives_the_rows_from_one_key_to_before_another
            recovery_is_the_fold_of_the_whole_log
            recovery_from_snapshots_is_the_fold_of_the_whole_log
            tables_of_another_history_than_the_log_are_refused
            a_snapshot_of_records_that_the_log_does_not_have_is_refused
            what_left_memory_is_put_into_tables_that_are_older_than_the_log
            a_basis_is_durable_before_what_follows_from_it
        }
    };
    (@rules $open:expr; $($rule:ident)*) => {
        $(#[test]
        fn $rule() {
            let mut open = $open;
            $crate::conformance::$rule(&mut open);
        })*
    };
}

/// What every backend under test is created with.
pub fn partitions() -> Partitions {
    match Partitions::new(4) {
        Some(partitions) => partitions,
        None => unreachable!("four is in bounds"),
    }
}

fn must<T>(outcome: Result<T, Error>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// Every frame of a log after `after`, with its number.
///
/// # Panics
/// If the log cannot be read.
pub fn frames(journal: &dyn Journal, log: LogId, after: LogSeq) -> Vec<(LogSeq, Vec<u8>)> {
    let mut frames = Vec::new();
    must(journal.read(log, after, &mut |commit, frame| {
        frames.push((commit, frame.to_vec()));
        Ok(ControlFlow::Continue(()))
    }));
    frames
}

/// State hashes of all partitions, recovered.
///
/// # Panics
/// If they cannot be.
pub fn recovered(journal: &dyn Journal) -> Vec<u64> {
    let ids: Vec<PartitionId> = journal.partitions().all().collect();
    let partitions = must(recover(journal, &ids, &Policy::default(), &mut |_, _| {}));
    partitions.iter().map(holdfast_engine::Partition::hash).collect()
}

/// The log that the rules about one log look at.
const LOG: LogId = LogId(0);

/// Each batch as one commit of every log that it concerns.
fn append_all(journal: &dyn Journal, batches: &[Batch]) {
    for batch in batches {
        match journal.causality() {
            Causality::OneLog => drop(must(journal.append(LOG, batch))),
            Causality::PerPartition => batch.by_partition().into_iter().for_each(|(partition, part)| {
                must(journal.append(journal.log_of(partition), &part));
            }),
        }
    }
}

/// Batches of partition 0: its facts are in [`LOG`], whether there is one log or one for each partition.
fn batches(count: usize) -> Vec<Batch> {
    let mut world = World::new(partitions());
    let names = (0..).map(|n| format!("SKU-{n}"));
    let here = |name: &String| Sku::new(name).is_some_and(|sku| partitions().of_sku(&sku) == PartitionId(LOG.0));
    names.filter(here).take(count).map(|name| world.set_stock(&name, 100)).collect()
}

pub fn commits_are_numbered_from_one_without_a_gap(open: Open<'_>) {
    let journal = open();
    assert_eq!(journal.end(LOG), 0);
    for (batch, expected) in batches(3).iter().zip(1..) {
        assert_eq!(must(journal.append(LOG, batch)), expected);
        assert_eq!(journal.end(LOG), expected);
    }
}

pub fn what_was_acknowledged_is_read_back_byte_for_byte(open: Open<'_>) {
    let batches = batches(20);
    let journal = open();
    append_all(&*journal, &batches);
    let written: Vec<_> = (1..).zip(batches.iter().map(Batch::frame)).collect();
    assert_eq!(frames(&*journal, LOG, 0), written);
    drop(journal);
    assert_eq!(frames(&*open(), LOG, 0), written);
}

pub fn the_log_goes_on_where_it_ended(open: Open<'_>) {
    let batches = batches(6);
    for (batch, expected) in batches.iter().zip(1..) {
        let journal = open();
        assert_eq!(must(journal.append(LOG, batch)), expected);
    }
    assert_eq!(frames(&*open(), LOG, 0).len(), 6);
}

pub fn a_read_begins_after_the_given_commit_and_stops_when_told(open: Open<'_>) {
    let journal = open();
    append_all(&*journal, &batches(10));
    let mut seen = Vec::new();
    must(journal.read(LOG, 4, &mut |commit, _| {
        seen.push(commit);
        Ok(if commit == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }));
    assert_eq!(seen, [5, 6, 7]);
    assert_eq!(frames(&*journal, LOG, 10), []);
    assert_eq!(frames(&*journal, LOG, 99), []);
}

pub fn a_read_leaves_out_what_is_committed_after_it_began(open: Open<'_>) {
    let journal = open();
    let batches = batches(4);
    append_all(&*journal, &batches[..2]);
    let mut seen = Vec::new();
    must(journal.read(LOG, 0, &mut |commit, _| {
        seen.push(commit);
        journal.append(LOG, &batches[2]).map(|_| ControlFlow::Continue(()))
    }));
    assert_eq!(seen, [1, 2]);
    assert_eq!(journal.end(LOG), 4);
}

pub fn the_error_of_a_visitor_ends_the_read(open: Open<'_>) {
    let journal = open();
    append_all(&*journal, &batches(3));
    let mut visits = 0;
    let read = journal.read(LOG, 0, &mut |_, _| {
        visits += 1;
        Err(Error::Failed("enough".to_owned()))
    });
    assert!(matches!(read, Err(Error::Failed(reason)) if reason == "enough"));
    assert_eq!(visits, 1);
}

pub fn the_number_of_partitions_outlives_the_process(open: Open<'_>) {
    assert_eq!(open().partitions(), partitions());
    assert_eq!(open().partitions(), partitions());
}

fn snapshot(partition: u16, seq: u64, after: LogSeq, state: Vec<u8>) -> Snapshot {
    Snapshot { partition: PartitionId(partition), seq, after, state }
}

pub fn the_two_newest_snapshots_are_kept_newest_first(open: Open<'_>) {
    let journal = open();
    let saved: Vec<Snapshot> = (1..=4).map(|n| snapshot(1, n * 10, n, vec![n as u8; 100])).collect();
    saved.iter().for_each(|snapshot| must(journal.save_snapshot(snapshot)));
    let kept = [saved[3].clone(), saved[2].clone()];
    assert_eq!(must(journal.snapshots(PartitionId(1))), kept);
    drop(journal);
    assert_eq!(must(open().snapshots(PartitionId(1))), kept);
}

/// A partition without traffic is saved under the same sequence, and its tail must not grow for it.
pub fn a_snapshot_saved_again_moves_to_the_later_commit(open: Open<'_>) {
    let journal = open();
    let state = vec![7; 300_000];
    must(journal.save_snapshot(&snapshot(0, 5, 9, state.clone())));
    must(journal.save_snapshot(&snapshot(0, 5, 1000, state.clone())));
    drop(journal);
    assert_eq!(must(open().snapshots(PartitionId(0))), [snapshot(0, 5, 1000, state)]);
}

pub fn a_large_snapshot_is_whole(open: Open<'_>) {
    let state: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let large = snapshot(2, 7, 3, state);
    must(open().save_snapshot(&large));
    assert_eq!(must(open().snapshots(PartitionId(2))), [large]);
    assert_eq!(must(open().snapshots(PartitionId(3))), []);
}

pub fn snapshots_of_different_partitions_do_not_meet(open: Open<'_>) {
    let journal = open();
    let saved: Vec<Snapshot> = (0..4).map(|n| snapshot(n, u64::from(n) * 256, 1, vec![n as u8; 10])).collect();
    saved.iter().for_each(|snapshot| must(journal.save_snapshot(snapshot)));
    for snapshot in &saved {
        assert_eq!(must(journal.snapshots(snapshot.partition)), std::slice::from_ref(snapshot));
    }
}

pub fn the_heads_are_those_of_the_snapshots_that_are_kept(open: Open<'_>) {
    let journal = open();
    let id = PartitionId(1);
    let heads = |journal: &dyn Journal| must(journal.snapshot_heads(id));
    assert_eq!(heads(&*journal), []);
    for n in 1..=3 {
        let saved = snapshot(id.0, n * 1000, n, vec![n as u8; 700_000]);
        must(journal.save_snapshot(&saved));
        must(journal.save_snapshot(&Snapshot { after: n + 5, ..saved }));
    }
    let kept = [(3000, 8), (2000, 7)].map(|(seq, after)| SnapshotHead { partition: id, seq, after });
    assert_eq!(heads(&*journal), kept);
    drop(journal);
    assert_eq!(heads(&*open()), kept);
    assert_eq!(must(open().snapshot_heads(PartitionId(0))), []);
}

fn row(table: Table, key: &[u8], value: &[u8]) -> Row {
    Row { table, key: key.to_vec(), value: value.to_vec(), version: 0 }
}

pub fn a_row_replaces_the_one_under_its_key(open: Open<'_>) {
    let journal = open();
    must(journal.project(&[row(Table::Keys, b"k", b"first"), row(Table::Keys, b"other", b"")]));
    must(journal.project(&[row(Table::Keys, b"k", b"second"), row(Table::Keys, b"k", b"third")]));
    drop(journal);
    let journal = open();
    assert_eq!(must(journal.get(Table::Keys, b"k")).as_deref(), Some(&b"third"[..]));
    assert_eq!(must(journal.get(Table::Keys, b"other")).as_deref(), Some(&b""[..]));
    assert_eq!(must(journal.get(Table::Keys, b"absent")), None);
}

pub fn rows_of_different_tables_do_not_meet(open: Open<'_>) {
    let journal = open();
    let rows = Table::ALL.map(|table| row(table, b"k", table.name().as_bytes()));
    must(journal.project(&rows));
    for table in Table::ALL {
        assert_eq!(must(journal.get(table, b"k")).as_deref(), Some(table.name().as_bytes()));
        assert_eq!(must(journal.scan(table, b"k", b"k\0", 10)).len(), 1);
    }
}

pub fn a_scan_gives_the_rows_from_one_key_to_before_another(open: Open<'_>) {
    let journal = open();
    let all: Vec<Row> = (0..100_u8).map(|n| row(Table::Movements, &[b'm', 0, n], &[n])).collect();
    let shuffled: Vec<Row> = all.iter().rev().cloned().collect();
    must(journal.project(&shuffled));
    let scan = |from: u8, to: u8, limit| must(journal.scan(Table::Movements, &[b'm', 0, from], &[b'm', 0, to], limit));
    assert_eq!(scan(10, 20, 100), all[10..20]);
    assert_eq!(scan(10, 20, 3), all[10..13]);
    assert_eq!(scan(50, 50, 3), []);
    assert_eq!(scan(60, 50, 3), []);
    assert_eq!(must(journal.scan(Table::Movements, b"m\0", b"m\0\xff", 1000)), all);
    // Another group in between is not seen.
    must(journal.project(&[row(Table::Movements, b"m!\0\x01", b"")]));
    assert_eq!(must(journal.scan(Table::Movements, b"m\0", b"m\0\xff", 1000)), all);
}

pub fn recovery_is_the_fold_of_the_whole_log(open: Open<'_>) {
    let journal = open();
    let mut world = World::new(partitions());
    append_all(&*journal, &world.busy_day());
    assert_eq!(recovered(&*journal), world.hashes());
    drop(journal);
    assert_eq!(recovered(&*open()), world.hashes());
}

pub fn recovery_from_snapshots_is_the_fold_of_the_whole_log(open: Open<'_>) {
    let journal = open();
    let mut world = World::new(partitions());
    append_all(&*journal, &world.busy_day());
    // Every second partition: the others begin with the first commit.
    world
        .snapshots(|partition| journal.end(journal.log_of(partition)))
        .iter()
        .step_by(2)
        .for_each(|snapshot| must(journal.save_snapshot(snapshot)));
    append_all(&*journal, &world.busy_day());
    drop(journal);
    assert_eq!(recovered(&*open()), world.hashes());
}
