//! From a journal back to partitions: newest valid snapshot of each, then the tail of its log.
//!
//! Invariant: the result is the fold of the whole journal, however much of it the snapshots stand for.

use crate::journal::{Error, Journal, LogId, LogSeq};
use holdfast_engine::codec;
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::partition::Partition;
use holdfast_engine::time::{Policy, Timestamp};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A partition with the commit after which its tail begins.
struct Base {
    partition: Partition,
    after: LogSeq,
}

/// Recovers the partitions listed. `progress` is told `(commits read, commits in all)` now and then.
///
/// # Errors
/// If the log is damaged, or a record does not follow on the state before it.
pub fn recover(
    journal: &dyn Journal,
    ids: &[PartitionId],
    policy: &Policy,
    progress: &mut dyn FnMut(LogSeq, LogSeq),
) -> Result<Vec<Partition>, Error> {
    let bases: Result<Vec<Base>, Error> = ids.iter().map(|id| base(journal, *id, policy)).collect();
    let bases = bases?;
    let mut after: BTreeMap<LogId, LogSeq> = BTreeMap::new();
    for base in &bases {
        let first = after.entry(journal.log_of(base.partition.id)).or_insert(base.after);
        *first = base.after.min(*first);
    }
    let mut partitions: Vec<Partition> = bases.into_iter().map(|base| base.partition).collect();
    let mut places = vec![None; usize::from(journal.partitions().count())];
    for (place, partition) in partitions.iter().enumerate() {
        places[usize::from(partition.id.0)] = Some(place);
    }
    let place_of = |id: PartitionId| places.get(usize::from(id.0)).copied().flatten();
    let all = after.iter().map(|(log, after)| journal.end(*log).saturating_sub(*after)).sum();
    let mut done = 0;
    for (log, after) in after {
        journal.read(log, after, &mut |commit, frame| {
            replay(commit, frame, &mut partitions, place_of)?;
            done += 1;
            if done % 1024 == 0 || done == all {
                progress(done, all);
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(partitions)
}

/// When the last record was made, as the last commit of each log says. `None`: there is no record.
///
/// # Errors
/// If a log is damaged or cannot be read.
pub fn last_record_at(journal: &dyn Journal) -> Result<Option<Timestamp>, Error> {
    let mut last = None;
    for log in journal.logs() {
        let Some(before) = journal.end(log).checked_sub(1) else { continue };
        journal.read(log, before, &mut |_, frame| {
            for entry in codec::read_frame(frame)? {
                last = last.max(Some(entry?.decode()?.at));
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(last)
}

fn base(journal: &dyn Journal, id: PartitionId, policy: &Policy) -> Result<Base, Error> {
    let (partitions, causality) = (journal.partitions(), journal.causality());
    for snapshot in journal.snapshots(id)? {
        let restored = Partition::restore(id, partitions, causality, policy.clone(), &snapshot.state);
        match restored {
            Ok(partition) if partition.seq() == snapshot.seq => return Ok(Base { partition, after: snapshot.after }),
            Ok(partition) => tracing::warn!(partition = id.0, seq = partition.seq(), "snapshot is not what it says: passed over"),
            Err(error) => tracing::warn!(partition = id.0, %error, "snapshot cannot be read: passed over"),
        }
    }
    Ok(Base { partition: Partition::new(id, partitions, causality, policy.clone()), after: 0 })
}

/// Folds one commit into those `partitions` that `place_of` knows the place of. Records they already have are skipped.
///
/// # Errors
/// [`Error::Damaged`] naming the commit.
pub fn replay(
    commit: LogSeq,
    frame: &[u8],
    partitions: &mut [Partition],
    place_of: impl Fn(PartitionId) -> Option<usize>,
) -> Result<(), Error> {
    let damaged = |reason: String| Error::Damaged { record: commit, reason };
    for entry in codec::read_frame(frame).map_err(|error| damaged(error.to_string()))? {
        let entry = entry.map_err(|error| damaged(error.to_string()))?;
        let Some(partition) = place_of(entry.partition).and_then(|place| partitions.get_mut(place)) else { continue };
        match next(partition.seq(), entry.seq) {
            Next::Known => {}
            Next::Follows => {
                let record = entry.decode().map_err(|error| damaged(error.to_string()))?;
                partition.apply(record);
            }
            Next::Gap => {
                let (id, last) = (entry.partition.0, partition.seq());
                return Err(damaged(format!("record {} of partition {id} follows on {last}", entry.seq)));
            }
        }
    }
    Ok(())
}

enum Next {
    Known,
    Follows,
    Gap,
}

fn next(last: Seq, seq: Seq) -> Next {
    match seq {
        seq if seq <= last => Next::Known,
        seq if seq == last + 1 => Next::Follows,
        _ => Next::Gap,
    }
}
