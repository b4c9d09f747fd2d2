//! From a journal back to partitions: newest valid snapshot of each, then the tail of its log.
//!
//! Invariants: the result is the fold of the whole journal, however much of it the snapshots stand for; what does not belong
//! together is refused before anything is written; what left memory for tables that are older than the log is in them again.

mod beginning;
mod remake;

pub use beginning::{Beginning, begin};

use crate::contract::{Error, Journal, Log, LogId, LogSeq};
use holdfast_engine::codec;
use holdfast_engine::event::{Event, Record};
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::partition::Partition;
use holdfast_engine::time::{Policy, Timestamp};
use remake::Remake;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Recovers the partitions listed and writes nothing. `progress` is told `(commits read, commits in all)` now and then.
///
/// # Errors
/// If the log is damaged, what lies beside it is of another moment, or a record does not follow on the state before it.
pub fn recover(
    journal: &dyn Journal,
    ids: &[PartitionId],
    policy: &Policy,
    progress: &mut dyn FnMut(LogSeq, LogSeq),
) -> Result<Vec<Partition>, Error> {
    fold(journal, begin(journal, ids, policy)?, progress, false)
}

/// As [`recover`], before anything else writes: closed orders and keys that the tables lack, because they are older than the
/// log, are put into them again.
///
/// # Errors
/// As [`recover`], or if the tables cannot be written.
pub fn restore(
    journal: &dyn Journal,
    ids: &[PartitionId],
    policy: &Policy,
    progress: &mut dyn FnMut(LogSeq, LogSeq),
) -> Result<Vec<Partition>, Error> {
    fold(journal, begin(journal, ids, policy)?, progress, true)
}

fn fold(
    journal: &dyn Journal,
    beginning: Beginning,
    progress: &mut dyn FnMut(LogSeq, LogSeq),
    remakes: bool,
) -> Result<Vec<Partition>, Error> {
    let after = beginning.after(journal);
    let Beginning { bases, heads, marks } = beginning;
    let mut partitions: Vec<Partition> = bases.into_iter().map(|base| base.partition).collect();
    let mut places = vec![None; usize::from(journal.partitions().count())];
    for (place, partition) in partitions.iter().enumerate() {
        places[usize::from(partition.id.0)] = Some(place);
    }
    let place_of = |id: PartitionId| places.get(usize::from(id.0)).copied().flatten();
    let all = after.iter().map(|(log, after)| journal.end(*log).saturating_sub(*after)).sum();
    let mut done = 0;
    for (log, after) in after {
        let mut tail = Tail { lasts: BTreeMap::new(), remake: remakes.then(|| Remake::new(journal, &marks, log)) };
        journal.read(log, after, &mut |commit, frame| {
            tail.begin_commit(commit);
            refuse_unknown(journal, commit, frame)?;
            replay(commit, frame, &mut partitions, place_of, &mut tail)?;
            tail.end_commit(frame)?;
            done += 1;
            if done % 1024 == 0 || done == all {
                progress(done, all);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let of_log = heads.iter().filter(|head| journal.log_of(head.partition) == log);
        of_log.copied().try_for_each(|head| head.refuse_beyond(tail.lasts.get(&head.partition).copied()))?;
        tail.end()?;
    }
    Ok(partitions)
}

/// What says how many partitions the data has may be of other data than the log.
fn refuse_unknown(journal: &dyn Journal, commit: LogSeq, frame: &[u8]) -> Result<(), Error> {
    let (count, damaged) = (journal.partitions().count(), |reason: String| Error::Damaged { record: commit, reason });
    for entry in codec::read_frame(frame).map_err(|error| damaged(error.to_string()))? {
        let id = entry.map_err(|error| damaged(error.to_string()))?.partition.0;
        if id >= count {
            return Err(damaged(format!("it is of partition {id}, and holdfast.meta says that there are {count}")));
        }
    }
    Ok(())
}

/// When the last record was made, as the last commit of each log says. `None`: there is no record.
///
/// # Errors
/// If a log is damaged or cannot be read.
pub fn last_record_at(journal: &dyn Journal) -> Result<Option<Timestamp>, Error> {
    let mut last = None;
    for log in journal.logs() {
        last = last.max(made_at(journal, log, journal.end(log))?);
    }
    Ok(last)
}

/// When a commit was made, as its last record says. None: the log has no such commit.
///
/// # Errors
/// If the log is damaged, purged there, or cannot be read.
pub fn made_at(journal: &dyn Log, log: LogId, commit: LogSeq) -> Result<Option<Timestamp>, Error> {
    let mut made = None;
    let Some(before) = commit.checked_sub(1) else { return Ok(made) };
    journal.read(log, before, &mut |commit, frame| {
        for entry in codec::read_frame(frame)? {
            let record = entry?.decode().map_err(|error| Error::of_commit(commit, &error))?;
            made = made.max(Some(record.at));
        }
        Ok(ControlFlow::Break(()))
    })?;
    Ok(made)
}

/// Follows the replay of one log.
struct Tail<'a> {
    /// The last record of each partition that was met.
    lasts: BTreeMap<PartitionId, Seq>,
    remake: Option<Remake<'a>>,
}

impl Tail<'_> {
    fn begin_commit(&mut self, commit: LogSeq) {
        if let Some(remake) = &mut self.remake {
            remake.begin_commit(commit);
        }
    }

    fn end_commit(&mut self, frame: &[u8]) -> Result<(), Error> {
        self.remake.as_mut().map_or(Ok(()), |remake| remake.end_commit(frame))
    }

    fn end(self) -> Result<(), Error> {
        self.remake.map_or(Ok(()), Remake::end)
    }
}

impl Observer for Tail<'_> {
    fn meets(&mut self, partition: PartitionId, seq: Seq) {
        self.lasts.insert(partition, seq);
    }

    fn follows(&mut self, partition: &Partition, record: &Record) -> Result<(), Error> {
        match (&mut self.remake, &record.event) {
            (Some(remake), Event::Archive(fact)) => remake.archived(partition, fact),
            _ => Ok(()),
        }
    }
}

/// Looks on while a log is replayed.
pub trait Observer {
    /// A record of a partition, whether it was taken before or follows now.
    fn meets(&mut self, partition: PartitionId, seq: Seq);

    /// A record that `partition` is about to take.
    ///
    /// # Errors
    /// Whatever must end the replay.
    fn follows(&mut self, partition: &Partition, record: &Record) -> Result<(), Error>;
}

/// Folds one commit into those `partitions` that `place_of` knows the place of. Records they already have are skipped.
///
/// # Errors
/// [`Error::Damaged`] naming the commit, or whatever the observer returns.
pub fn replay(
    commit: LogSeq,
    frame: &[u8],
    partitions: &mut [Partition],
    place_of: impl Fn(PartitionId) -> Option<usize>,
    observer: &mut impl Observer,
) -> Result<(), Error> {
    let damaged = |reason: String| Error::Damaged { record: commit, reason };
    for entry in codec::read_frame(frame).map_err(|error| damaged(error.to_string()))? {
        let entry = entry.map_err(|error| damaged(error.to_string()))?;
        let Some(partition) = place_of(entry.partition).and_then(|place| partitions.get_mut(place)) else { continue };
        observer.meets(entry.partition, entry.seq);
        match next(partition.seq(), entry.seq) {
            Next::Known => {}
            Next::Follows => {
                let record = entry.decode().map_err(|error| Error::of_commit(commit, &error))?;
                observer.follows(partition, &record)?;
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

#[cfg(test)]
mod tests;
