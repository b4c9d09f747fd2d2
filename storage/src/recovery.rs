//! From a journal back to partitions: newest valid snapshot of each, then the tail of its log.
//!
//! Invariants: the result is the fold of the whole journal, however much of it the snapshots stand for and however many threads fold it;
//! what does not belong together is refused before anything is written; what left memory for tables that are older than the log is in
//! them again.

mod beginning;
mod piece;
mod remake;

pub use beginning::{Beginning, begin};

use crate::contract::{Error, Journal, Log, LogId, LogSeq};
use crate::marks::Marks;
use crate::parallel;
use beginning::refuse_beyond;
use holdfast_engine::codec::{self, Entry};
use holdfast_engine::event::Record;
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::partition::Partition;
use holdfast_engine::time::{Policy, Timestamp};
use piece::{Piece, Shares};
use remake::Remake;
use std::ops::ControlFlow;

/// Recovers the partitions listed and writes nothing, by the thread that calls: others may be busy with what cannot wait. `progress` is
/// told `(commits read, commits in all)` now and then.
///
/// # Errors
/// If the log is damaged, what lies beside it is of another moment, or a record does not follow on the state before it.
pub fn recover(
    journal: &dyn Journal,
    ids: &[PartitionId],
    policy: &Policy,
    progress: &mut dyn FnMut(LogSeq, LogSeq),
) -> Result<Vec<Partition>, Error> {
    fold(journal, begin(journal, ids, policy, 1)?, progress, 1, |_, _| None)
}

/// As [`recover`], before anything else runs: by a thread a core, and closed orders and keys that the tables lack, because they are
/// older than the log, are put into them again.
///
/// # Errors
/// As [`recover`], or if the tables cannot be written.
pub fn restore(
    journal: &dyn Journal,
    ids: &[PartitionId],
    policy: &Policy,
    progress: &mut dyn FnMut(LogSeq, LogSeq),
) -> Result<Vec<Partition>, Error> {
    let threads = parallel::cores();
    let remade = |marks: &Marks, log: LogId| Some(Remake::new(journal, marks, log));
    fold(journal, begin(journal, ids, policy, threads)?, progress, threads, remade)
}

fn fold<'a>(
    journal: &'a dyn Journal,
    beginning: Beginning,
    progress: &mut dyn FnMut(LogSeq, LogSeq),
    threads: usize,
    remade: impl Fn(&Marks, LogId) -> Option<Remake<'a>>,
) -> Result<Vec<Partition>, Error> {
    let after = beginning.after(journal);
    let Beginning { bases, heads, marks } = beginning;
    let mut partitions: Vec<Partition> = bases.into_iter().map(|base| base.partition).collect();
    let mut shares = Shares::of(&mut partitions, threads, journal.partitions());
    let all = after.iter().map(|(log, after)| journal.end(*log).saturating_sub(*after)).sum();
    let mut done = 0;
    for (log, after) in after {
        let (mut piece, mut remake) = (Piece::default(), remade(&marks, log));
        let mut replayed = |piece: &mut Piece| {
            shares.replay(piece, remake.as_mut())?;
            done += piece.take();
            progress(done, all);
            Ok::<(), Error>(())
        };
        journal.read(log, after, &mut |commit, frame| {
            piece.push(commit, frame);
            if piece.is_full() {
                replayed(&mut piece)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        replayed(&mut piece)?;
        let of_log = heads.iter().filter(|head| journal.log_of(head.partition) == log);
        of_log.copied().try_for_each(|head| refuse_beyond(head, shares.last(head.partition)))?;
        remake.map_or(Ok(()), Remake::end)?;
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

/// Looks on while a log is replayed.
pub trait Observer {
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
    let damaged = |error: codec::Error| Error::Damaged { record: commit, reason: error.to_string() };
    for entry in codec::read_frame(frame).map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if let Some(partition) = place_of(entry.partition).and_then(|place| partitions.get_mut(place)) {
            take(commit, &entry, partition, observer)?;
        }
    }
    Ok(())
}

/// Folds one record into its partition, if it follows.
fn take(commit: LogSeq, entry: &Entry<'_>, partition: &mut Partition, observer: &mut impl Observer) -> Result<(), Error> {
    match next(partition.seq(), entry.seq) {
        Next::Known => Ok(()),
        Next::Follows => {
            let record = entry.decode().map_err(|error| Error::of_commit(commit, &error))?;
            observer.follows(partition, &record)?;
            partition.apply(record);
            Ok(())
        }
        Next::Gap => {
            let (id, last) = (entry.partition.0, partition.seq());
            Err(Error::Damaged { record: commit, reason: format!("record {} of partition {id} follows on {last}", entry.seq) })
        }
    }
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
