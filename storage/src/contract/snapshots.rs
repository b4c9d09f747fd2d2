//! States of partitions, so that a start need not read the whole log.
//!
//! Invariant: a snapshot can be lost without losing a fact. One that is not whole is not there.

use super::{Error, LogSeq};
use holdfast_engine::ids::{PartitionId, Seq};

/// The state of one partition at one point of its sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub partition: PartitionId,
    pub seq: Seq,
    /// Every record after `seq` lies in a commit after this one.
    pub after: LogSeq,
    pub state: Vec<u8>,
}

/// What a snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    pub partition: PartitionId,
    pub seq: Seq,
    pub after: LogSeq,
}

impl Snapshot {
    pub fn head(&self) -> SnapshotHead {
        let Self { partition, seq, after, .. } = *self;
        SnapshotHead { partition, seq, after }
    }
}

/// The snapshots of a journal.
pub trait Snapshots: Send + Sync + 'static {
    /// Keeps a snapshot, and the one before it.
    ///
    /// # Errors
    /// If it could not be written; earlier ones are untouched.
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error>;

    /// The heads of the snapshots that are kept, newest first. No state is read where the backend can do without, so one of them
    /// may turn out not to be whole.
    ///
    /// # Errors
    /// If the store cannot be read at all.
    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error>;

    /// The snapshot with this head. None: it is not whole, which is said in the log of the process, or it is not kept any more.
    ///
    /// # Errors
    /// If the store cannot be read at all.
    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error>;

    /// The whole snapshots of a partition, newest first. Cost: a read of all their states.
    ///
    /// # Errors
    /// If the store cannot be read at all.
    fn snapshots(&self, partition: PartitionId) -> Result<Vec<Snapshot>, Error> {
        let heads = self.snapshot_heads(partition)?.into_iter();
        heads.filter_map(|head| self.snapshot(head).transpose()).collect()
    }
}
