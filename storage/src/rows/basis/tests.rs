//! The rows themselves: their bytes are in data that is kept.

use super::*;
use crate::conformance::{FaultyJournal, World, partitions};
use crate::contract::{Log, Snapshots};
use crate::memory::MemoryJournal;
use std::sync::Arc;

const LOG: LogId = LogId(0);

#[test]
fn the_rows_of_a_basis_are_laid_out_as_data_has_them() {
    let basis = CommitCheck { commit: 300, check: 0x0102_0304 };
    let rows = row(LogId(258), Writer::Rows, basis);
    assert_eq!((rows.table, rows.version), (Table::Meta, 300));
    assert_eq!(rows.key, b"basis\0\x01\x02\x00");
    assert_eq!(rows.value, [1, 0xac, 2, 0x84, 0x86, 0x88, 8]);
    assert_eq!(row(LogId(258), Writer::Snapshots, basis).key, b"basis\0\x01\x02\x01");
    assert_eq!(newest_key(PartitionId(258)), b"newest snapshot\0\x01\x02");
    for writer in Writer::ALL {
        assert_eq!(whose(&basis_key(LogId(258), writer)), Some((LogId(258), writer)));
    }
}

/// A journal with a day in it, and a snapshot of each partition.
fn lived(journal: &dyn Journal) -> World {
    let mut world = World::new(partitions());
    for batch in world.busy_day() {
        journal.append(LOG, &batch).unwrap();
    }
    world
}

#[test]
fn a_snapshot_is_not_kept_without_the_basis_that_says_what_it_follows_from() {
    let journal = FaultyJournal::new(Arc::new(MemoryJournal::new(partitions())));
    let world = lived(&journal);
    let snapshot = world.snapshots(|_| journal.end(LOG)).swap_remove(0);
    journal.fill_after_projects(0);
    assert!(matches!(save_snapshot(&journal, &snapshot), Err(Error::Full)));
    assert_eq!(journal.snapshots(snapshot.partition).unwrap(), []);
}

#[test]
fn a_basis_is_said_again_only_when_the_log_has_grown() {
    let journal = MemoryJournal::new(partitions());
    let mut world = lived(&journal);
    let (mut said, logs) = (Said::default(), BTreeSet::from([LOG]));
    assert_eq!(said.rows(&journal, &logs).unwrap().len(), 1);
    assert_eq!(said.rows(&journal, &logs).unwrap(), []);
    journal.append(LOG, &world.set_stock("NEW", 1)).unwrap();
    let tip = journal.tip(LOG).unwrap().unwrap();
    assert_eq!(said.rows(&journal, &logs).unwrap(), [row(LOG, Writer::Rows, tip)]);
}
