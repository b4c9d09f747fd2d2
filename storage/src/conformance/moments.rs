//! Rules about what is of one moment: tables and snapshots beside a log that has what they follow from, or has not.

use super::{Open, World, append_all, must, partitions, recovered};
use crate::contract::{CommitCheck, Error, Journal, LogId, Snapshot};
use crate::marks::Marks;
use crate::recovery::{recover, restore};
use crate::rows::{self, Writer, basis};
use holdfast_engine::Partition;
use holdfast_engine::effect::Archive;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::time::Policy;

fn all(journal: &dyn Journal) -> Vec<PartitionId> {
    journal.partitions().all().collect()
}

#[track_caller]
fn refused(journal: &dyn Journal, word: &str) {
    for started in [looked(journal), started(journal)] {
        match started {
            Err(Error::Mixed(found)) => assert!(found.contains(word) && found.contains("from one copy"), "{found}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("data of two moments was believed"),
        }
    }
}

fn looked(journal: &dyn Journal) -> Result<Vec<Partition>, Error> {
    recover(journal, &all(journal), &Policy::default(), &mut |_, _| {})
}

fn started(journal: &dyn Journal) -> Result<Vec<Partition>, Error> {
    restore(journal, &all(journal), &Policy::default(), &mut |_, _| {})
}

fn hashes(partitions: &[Partition]) -> Vec<u64> {
    partitions.iter().map(Partition::hash).collect()
}

/// A log with some days in it, and the world that it is of.
fn lived(journal: &dyn Journal) -> World {
    let mut world = World::new(partitions());
    append_all(journal, &world.busy_day());
    world
}

fn some_log(journal: &dyn Journal) -> LogId {
    let lived = journal.logs().into_iter().find(|log| journal.end(*log) > 1);
    lived.unwrap_or_else(|| panic!("no log has two commits"))
}

pub fn tables_of_another_history_than_the_log_are_refused(open: Open<'_>) {
    let journal = open();
    let world = lived(&*journal);
    let log = some_log(&*journal);
    let tip = must(journal.tip(log)).unwrap_or_else(|| panic!("no tip"));
    assert_eq!(tip.commit, journal.end(log));
    must(journal.project(&[basis::row(log, Writer::Rows, tip)]));
    assert_eq!(recovered(&*journal), world.hashes());
    let forked = CommitCheck { check: !tip.check, ..tip };
    must(journal.project(&[basis::row(log, Writer::Snapshots, forked)]));
    refused(&*journal, "another commit");
    let newer = CommitCheck { commit: tip.commit + 1, ..tip };
    must(journal.project(&[basis::row(log, Writer::Snapshots, newer)]));
    refused(&*journal, "newer");
}

/// Also where no basis says so, as in data of earlier builds.
pub fn a_snapshot_of_records_that_the_log_does_not_have_is_refused(open: Open<'_>) {
    let journal = open();
    let world = lived(&*journal);
    let end = |partition| journal.end(journal.log_of(partition));
    let (known, id) = (world.snapshots(end), PartitionId(0));
    must(journal.save_snapshot(&known[0]));
    assert_eq!(recovered(&*journal), world.hashes());
    // A day that the log never hears of.
    let mut later = World::resumed(must(looked(&*journal)), &world);
    later.busy_day();
    let beyond = later.snapshots(end).swap_remove(usize::from(id.0));
    assert!(beyond.seq > known[0].seq);
    must(journal.save_snapshot(&beyond));
    refused(&*journal, "records");
    must(journal.save_snapshot(&Snapshot { after: end(id) + 1, ..beyond.clone() }));
    refused(&*journal, "follows from commit");
    // That a basis belongs to the log makes no snapshot beyond it better.
    for log in journal.logs() {
        let tip = must(journal.tip(log));
        tip.iter().for_each(|tip| must(journal.project(&[basis::row(log, Writer::Rows, *tip)])));
    }
    refused(&*journal, "follows from commit");
    must(journal.save_snapshot(&Snapshot { after: 0, ..beyond }));
    refused(&*journal, "records");
}

fn row_there(journal: &dyn Journal, archive: &Archive) -> bool {
    match archive {
        Archive::Order { order, history, .. } => must(rows::order(journal, *order)).as_ref() == Some(history),
        Archive::Key { key, fingerprint, answer, .. } => {
            must(rows::key(journal, *key)).is_some_and(|(kept, found)| kept == *fingerprint && found == *answer)
        }
    }
}

/// The log says that they left memory, and the tables were copied before: nothing would ever answer for them.
pub fn what_left_memory_is_put_into_tables_that_are_older_than_the_log(open: Open<'_>) {
    let journal = open();
    let mut world = lived(&*journal);
    world
        .snapshots(|id| journal.end(journal.log_of(id)))
        .iter()
        .step_by(2)
        .for_each(|one| must(rows::save_snapshot(&*journal, one)));
    let (_, adjusted) = world.adjust("SKU-3", 5);
    append_all(&*journal, &[adjusted]);
    append_all(&*journal, &world.busy_day());
    let (left, batches) = world.leave_memory();
    append_all(&*journal, &batches);
    assert!(left.iter().any(|one| matches!(one, Archive::Key { .. })) && left.len() > 5, "{}", left.len());
    assert!(!left.iter().any(|one| row_there(&*journal, one)));
    drop(journal);

    let journal = open();
    let looked = must(looked(&*journal));
    assert!(!left.iter().any(|one| row_there(&*journal, one)), "looking wrote something");
    let restored = must(started(&*journal));
    assert!(left.iter().all(|one| row_there(&*journal, one)));
    assert_eq!([hashes(&looked), hashes(&restored)], [world.hashes(), world.hashes()]);
    // The next start has nothing to look for.
    let marks = must(Marks::read(&*journal, &journal.logs()));
    for log in journal.logs() {
        assert_eq!(marks.rows_whole_to(log), journal.end(log), "{log:?}");
    }
}

/// Snapshots and rows may be restored apart: rows older than a snapshot may lack what left memory before it.
pub fn a_basis_is_durable_before_what_follows_from_it(open: Open<'_>) {
    let journal = open();
    let mut world = lived(&*journal);
    let snapshots = |world: &World| world.snapshots(|id| journal.end(journal.log_of(id)));
    let of = PartitionId(0);
    let log = journal.log_of(of);
    let older = snapshots(&world).swap_remove(0);
    must(rows::save_snapshot(&*journal, &older));
    let marks = must(Marks::read(&*journal, &journal.logs()));
    assert!(marks.has_basis(log));
    assert_eq!(marks.rows_whole_to(log), 0, "a snapshot says nothing of rows");
    append_all(&*journal, &world.busy_day());
    let (left, batches) = world.leave_memory();
    append_all(&*journal, &batches);
    // By a build that knows of no basis, or with rows of an older copy.
    let newer = snapshots(&world).swap_remove(0);
    must(journal.save_snapshot(&newer));
    assert!(must(Marks::read(&*journal, &[log])).rows_are_older_than(of, newer.seq));
    assert_eq!(recovered(&*journal), world.hashes());
    must(started(&*journal));
    let here: Vec<&Archive> =
        left.iter().filter(|one| matches!(one, Archive::Order { partition, .. } if *partition == of)).collect();
    assert!(!here.is_empty());
    assert!(here.into_iter().all(|one| row_there(&*journal, one)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Row, Rows, Table};
    use crate::memory::MemoryJournal;

    #[test]
    fn a_basis_that_cannot_be_read_is_an_error() {
        let journal = MemoryJournal::new(partitions());
        let key = basis::row(LogId(0), Writer::Rows, CommitCheck { commit: 1, check: 1 }).key;
        must(journal.project(&[Row { table: Table::Meta, key, value: vec![9, 9], version: 0 }]));
        assert!(matches!(looked(&journal), Err(Error::Codec(_))));
    }
}
