//! Which snapshot of a partition lets the log before it go.
//!
//! Invariant: the newest may turn out to be damaged, so the one before it is what a partition relies on. A partition that was saved again
//! under one sequence has had nothing to say meanwhile and will have no other: it relies on the newest. Beside us a
//! snapshot is relied on once its state was read back as it was written; a cluster has read it back when it was saved.

use crate::contract::{Error, Journal, LogSeq, Snapshot, SnapshotHead};
use holdfast_engine::Causality;
use holdfast_engine::ids::PartitionId;
use std::collections::BTreeMap;

/// What was found of each partition so far.
#[derive(Debug, Default)]
pub(super) struct Relied(BTreeMap<PartitionId, Found>);

#[derive(Debug)]
struct Found {
    /// Whose states were read back.
    whole: Vec<SnapshotHead>,
    /// The newest, as it was when its sequence was first seen.
    newest: SnapshotHead,
}

impl Relied {
    /// The commit up to which nothing is needed of the log for this partition. Cost: a read of each snapshot once.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) fn on(&mut self, journal: &dyn Journal, partition: PartitionId) -> Result<LogSeq, Error> {
        let heads = journal.snapshot_heads(partition)?;
        let Some(newest) = heads.first().copied() else { return Ok(0) };
        let found = self.0.entry(partition).or_insert_with(|| Found { whole: Vec::new(), newest });
        if found.newest.seq != newest.seq {
            found.newest = newest;
        }
        if !journal.remote() && found.whole != heads {
            found.whole = journal.snapshots(partition)?.iter().map(Snapshot::head).collect();
            if found.whole != heads {
                return Ok(0);
            }
        }
        let quiet = journal.causality() == Causality::OneLog && newest.after > found.newest.after;
        let relied_on = if quiet { Some(&newest) } else { heads.get(1) };
        Ok(relied_on.map_or(0, |head| head.after))
    }
}
