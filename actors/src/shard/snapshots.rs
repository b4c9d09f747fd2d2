//! When a shard takes snapshots of its partitions, and hands them on.
//!
//! Invariants: a snapshot is written once its last record is durable; it follows from all commits that the log had when it was taken, so
//! that a later one never follows from fewer: what its partition makes next comes behind them.

use super::Shard;
use super::hosting::{Hosted, pause_after};
use crate::snapshot_writer::PendingSnapshot;
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_storage::Journal;

impl Shard {
    /// Takes a snapshot of the first partition that has grown enough: one at a time keeps the pause short.
    pub(super) fn snapshot_one(&mut self) {
        let least = self.links.tuning.snapshot_events();
        let grown = |hosted: &&mut Hosted| hosted.partition.seq() - hosted.checkpoint > hosted.pause.max(least);
        if let Some(hosted) = self.hosting.iter_mut().find(grown) {
            let snapshot = snapshot_of(hosted, &*self.links.journal);
            self.snapshots.push(snapshot);
        }
    }

    /// Takes a snapshot that somebody asked for. Of a partition that is being rebuilt there is none: whoever needs it asks again.
    pub(super) fn snapshot_asked(&mut self, id: PartitionId) {
        let durable = self.hosting.is_durable(id);
        let Some(hosted) = self.hosting.get_mut(id) else { return };
        let snapshot = snapshot_of(hosted, &*self.links.journal);
        if durable { self.links.snapshot_writer.save(snapshot) } else { self.snapshots.push(snapshot) }
    }

    /// A snapshot may be written once its last record is durable.
    pub(super) fn checkpoint(&mut self, id: PartitionId, durable: Seq) {
        let snapshot_writer = self.links.snapshot_writer.clone();
        let ready = |snapshot: &mut PendingSnapshot| snapshot.partition == id && snapshot.seq <= durable;
        self.snapshots.extract_if(.., ready).for_each(|snapshot| snapshot_writer.save(snapshot));
    }

    pub(super) fn snapshot_all(&mut self) {
        // Called when nothing is in flight: everything is durable.
        for hosted in self.hosting.iter_mut().filter(|hosted| hosted.partition.seq() > hosted.checkpoint) {
            self.links.snapshot_writer.save(snapshot_of(hosted, &*self.links.journal));
        }
    }
}

fn snapshot_of(hosted: &mut Hosted, journal: &dyn Journal) -> PendingSnapshot {
    let partition = &mut hosted.partition;
    (hosted.checkpoint, hosted.pause) = (partition.seq(), pause_after(partition));
    let after = journal.end(journal.log_of(partition.id));
    PendingSnapshot { partition: partition.id, seq: partition.seq(), after, image: partition.image() }
}
