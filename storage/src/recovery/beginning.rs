//! What recovery begins with: the newest snapshot of each partition that can be believed, and what its tables say of the logs.
//!
//! Invariant: a beginning that was given belongs to its log. Nothing lies beside the log that the log does not have, and
//! where the log was purged a snapshot leads up to what is left of it.

use crate::contract::{Error, Journal, LogId, LogSeq, Snapshot};
use crate::marks::{self, Marks};
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

/// A snapshot without its state, believed or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) partition: PartitionId,
    seq: Seq,
    after: LogSeq,
}

/// See the module.
pub struct Beginning {
    pub(super) bases: Vec<Base>,
    pub(super) heads: Vec<Head>,
    pub(super) marks: Marks,
}

/// Finds where the replay of these partitions begins, and refuses what is not of one moment.
///
/// # Errors
/// [`Error::Mixed`] with what does not belong together, or if the journal cannot be read.
pub fn begin(journal: &dyn Journal, ids: &[PartitionId], policy: &Policy) -> Result<Beginning, Error> {
    let logs: BTreeSet<LogId> = ids.iter().map(|id| journal.log_of(*id)).collect();
    let marks = Marks::read(journal, &Vec::from_iter(logs))?;
    let mut beginning = Beginning { bases: Vec::new(), heads: Vec::new(), marks };
    for id in ids {
        let snapshots = journal.snapshots(*id)?;
        beginning.heads.extend(snapshots.iter().map(Head::of));
        let base = beginning.base(journal, *id, policy, &snapshots)?;
        beginning.bases.push(base);
    }
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

    /// The newest snapshot that can be believed. Damage is passed over where the log has it all; what a newer build wrote is not
    /// damaged, and its log may be purged.
    fn base(&self, journal: &dyn Journal, id: PartitionId, policy: &Policy, snapshots: &[Snapshot]) -> Result<Base, Error> {
        let (partitions, causality) = (journal.partitions(), journal.causality());
        for Snapshot { seq, after, state, .. } in snapshots {
            let (id, seq, after) = (id, *seq, *after);
            if self.marks.rows_are_older_than(id, seq) {
                tracing::warn!(
                    partition = id.0,
                    seq,
                    "the tables are older than the snapshot: passed over, the log is read from before it"
                );
                continue;
            }
            match Partition::restore(id, partitions, causality, policy.clone(), state) {
                Ok(partition) if partition.seq() == seq => return Ok(Base { partition, after }),
                Ok(partition) => {
                    tracing::warn!(partition = id.0, seq = partition.seq(), "snapshot is not what it says: passed over")
                }
                Err(error) if error.is_newer() => {
                    return Err(Error::Incompatible(format!(
                        "the snapshot of partition {} at {seq} cannot be used: {error}",
                        id.0
                    )));
                }
                Err(error) => tracing::warn!(partition = id.0, %error, "snapshot cannot be read: passed over"),
            }
        }
        Ok(Base { partition: Partition::new(id, partitions, causality, policy.clone()), after: 0 })
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
        let heads: Vec<Head> = self.heads.iter().filter(|head| journal.log_of(head.partition) == log).copied().collect();
        if heads.is_empty() {
            return Ok(());
        }
        let lasts = last_records(journal, log, first)?;
        let unmet = (first == 1).then_some(0);
        heads.into_iter().try_for_each(|head| head.refuse_beyond(lasts.get(&head.partition).copied().or(unmet)))
    }
}

impl Head {
    fn of(snapshot: &Snapshot) -> Self {
        Self { partition: snapshot.partition, seq: snapshot.seq, after: snapshot.after }
    }

    /// Refuses a snapshot of records that the log does not have. `last` is the last one it has, if it is known.
    pub(super) fn refuse_beyond(self, last: Option<Seq>) -> Result<(), Error> {
        match last {
            Some(last) if last < self.seq => Err(marks::mixed(&format!(
                "a snapshot of partition {} has {} records, and the log has {last} of them: the tables are newer than it",
                self.partition.0, self.seq
            ))),
            Some(_) | None => Ok(()),
        }
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
