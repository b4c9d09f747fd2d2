//! What recovery begins with: the newest snapshot of each partition that can be believed, and what its tables say of the logs.
//!
//! Invariant: a beginning that was given belongs to its log. Nothing lies beside the log that the log does not have, and
//! where the log was purged a snapshot leads up to what is left of it.

use crate::contract::{Error, Journal, LogId, LogSeq, SnapshotHead};
use crate::marks::{self, Marks};
use crate::parallel;
use holdfast_engine::codec;
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::partition::Partition;
use holdfast_engine::time::Policy;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// A partition with the commit after which its tail begins.
pub(super) struct Base {
    pub(super) partition: Partition,
    after: LogSeq,
}

/// See the module.
pub struct Beginning {
    pub(super) bases: Vec<Base>,
    /// Of all snapshots, believed or not.
    pub(super) heads: Vec<SnapshotHead>,
    pub(super) marks: Marks,
}

/// Finds where the replay of these partitions begins, and refuses what is not of one moment. Cost: of each partition the newest
/// snapshot is read and restored, by so many threads beside each other, and an older one only where the newest is not believed.
///
/// # Errors
/// [`Error::Mixed`] with what does not belong together, or if the journal cannot be read.
pub fn begin(journal: &dyn Journal, ids: &[PartitionId], policy: &Policy, threads: usize) -> Result<Beginning, Error> {
    let logs: BTreeSet<LogId> = ids.iter().map(|id| journal.log_of(*id)).collect();
    let marks = Marks::read(journal, &Vec::from_iter(logs))?;
    let heads = ids.iter().map(|id| journal.snapshot_heads(*id)).collect::<Result<Vec<_>, Error>>()?;
    let bases = parallel::each(threads, ids.iter().zip(&heads), |(id, heads)| base(journal, &marks, *id, policy, heads))?;
    let beginning = Beginning { bases, heads: heads.concat(), marks };
    // Where somebody else writes them the logs now end behind everything that was read above.
    journal.refresh()?;
    beginning.marks.check(journal)?;
    beginning.check(journal)?;
    Ok(beginning)
}

impl Beginning {
    /// The last record of each partition that its snapshot stands for.
    pub fn seqs(&self) -> impl Iterator<Item = (PartitionId, Seq)> {
        self.bases.iter().map(|base| (base.partition.id, base.partition.seq()))
    }

    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The commit of each log after which the replay begins.
    pub(super) fn after(&self, journal: &dyn Journal) -> BTreeMap<LogId, LogSeq> {
        let mut after: BTreeMap<LogId, LogSeq> = BTreeMap::new();
        for base in &self.bases {
            let first = after.entry(journal.log_of(base.partition.id)).or_insert(base.after);
            *first = base.after.min(*first);
        }
        after
    }

    fn check(&self, journal: &dyn Journal) -> Result<(), Error> {
        for head in &self.heads {
            let (log, partition) = (journal.log_of(head.partition), head.partition.0);
            let end = journal.end(log);
            if head.after > end {
                return Err(marks::newer(
                    journal,
                    log,
                    end,
                    &format!("a snapshot of partition {partition} follows from commit {}", head.after),
                ));
            }
        }
        for (log, after) in self.after(journal) {
            let first = journal.first(log)?;
            if after + 1 < first {
                return Err(marks::mixed(&format!(
                    "what was before commit {first} of log {} is purged, and no snapshot that can be believed leads up to it",
                    log.0
                )));
            }
            if !self.marks.has_basis(log) {
                self.check_records(journal, log, first)?;
            }
        }
        Ok(())
    }

    /// Where an older build wrote the tables only the records themselves can say that a snapshot is beyond them.
    fn check_records(&self, journal: &dyn Journal, log: LogId, first: LogSeq) -> Result<(), Error> {
        let heads: Vec<SnapshotHead> = self.heads.iter().filter(|head| journal.log_of(head.partition) == log).copied().collect();
        if heads.is_empty() {
            return Ok(());
        }
        let lasts = last_records(journal, log, first)?;
        let unmet = (first == 1).then_some(0);
        heads.into_iter().try_for_each(|head| refuse_beyond(head, lasts.get(&head.partition).copied().or(unmet)))
    }
}

/// The newest snapshot that can be believed. Damage is passed over where the log has it all; what a newer build wrote is not
/// damaged, and its log may be purged.
fn base(journal: &dyn Journal, marks: &Marks, id: PartitionId, policy: &Policy, heads: &[SnapshotHead]) -> Result<Base, Error> {
    let (partitions, causality) = (journal.partitions(), journal.causality());
    for head in heads {
        let (seq, after) = (head.seq, head.after);
        if marks.rows_are_older_than(id, seq) {
            tracing::warn!(
                partition = id.0,
                seq,
                "the tables are older than the snapshot: passed over, the log is read from before it"
            );
            continue;
        }
        let Some(snapshot) = journal.snapshot(*head)? else { continue };
        match Partition::restore(id, partitions, causality, policy.clone(), &snapshot.state) {
            Ok(partition) if partition.seq() == seq => return Ok(Base { partition, after }),
            Ok(partition) => {
                tracing::warn!(partition = id.0, seq = partition.seq(), "snapshot is not what it says: passed over")
            }
            Err(error) if error.is_newer() => {
                return Err(Error::Incompatible(format!("the snapshot of partition {} at {seq} cannot be used: {error}", id.0)));
            }
            Err(error) => tracing::warn!(partition = id.0, %error, "snapshot cannot be read: passed over"),
        }
    }
    Ok(Base { partition: Partition::new(id, partitions, causality, policy.clone()), after: 0 })
}

/// Refuses a snapshot of records that the log does not have. `last` is the last one it has, if it is known.
pub(super) fn refuse_beyond(head: SnapshotHead, last: Option<Seq>) -> Result<(), Error> {
    match last {
        Some(last) if last < head.seq => Err(marks::mixed(&format!(
            "a snapshot of partition {} has {} records, and the log has {last} of them: the tables are newer than it",
            head.partition.0, head.seq
        ))),
        Some(_) | None => Ok(()),
    }
}

/// The last record of each partition in what is kept of a log. Cost: a read of all of it.
fn last_records(journal: &dyn Journal, log: LogId, first: LogSeq) -> Result<BTreeMap<PartitionId, Seq>, Error> {
    let mut lasts = BTreeMap::new();
    journal.read(log, first - 1, &mut |commit, frame| {
        let damaged = |error: codec::Error| Error::Damaged { record: commit, reason: error.to_string() };
        for entry in codec::read_frame(frame).map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            lasts.insert(entry.partition, entry.seq);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(lasts)
}
