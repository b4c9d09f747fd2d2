//! Commits in one order: what is acknowledged, and what was acknowledged once.
//!
//! Invariant: see [`crate::contract`]; this part keeps all of it that speaks of commits.

use super::{Error, LogId, LogSeq};
use holdfast_engine::Causality;
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::ids::{PartitionId, Partitions};
use holdfast_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// A commit of a log and the check value of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitCheck {
    pub commit: LogSeq,
    pub check: u32,
}

/// A file that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The commit it begins with.
    pub first: LogSeq,
    /// What is wrong with it, with its path and the byte.
    pub damage: Option<String>,
}

/// What of a log stays though nothing reads it any more. Without either bound all of it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Commits made before this may go.
    pub since: Option<Timestamp>,
    /// Bytes beyond which the oldest commits may go, whenever they were made.
    pub bytes: Option<u64>,
}

/// Told of every few bytes that were read; breaks to stop.
pub type Pace<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// Most bytes of a commit beyond which it gathers no more, where the backend has no limit of its own.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;

/// Visits commits in order; breaks to stop.
pub type Visit<'a> = dyn FnMut(LogSeq, &[u8]) -> Result<ControlFlow<()>, Error> + 'a;

/// The logs of a journal.
pub trait Log: Send + Sync + 'static {
    fn causality(&self) -> Causality;

    /// Fixed when the data was created.
    fn partitions(&self) -> Partitions;

    /// The log that holds the facts of a partition.
    fn log_of(&self, partition: PartitionId) -> LogId {
        match self.causality() {
            Causality::OneLog => LogId(0),
            Causality::PerPartition => LogId(partition.0),
        }
    }

    /// Every log, in order.
    fn logs(&self) -> Vec<LogId> {
        match self.causality() {
            Causality::OneLog => vec![LogId(0)],
            Causality::PerPartition => self.partitions().all().map(|partition| LogId(partition.0)).collect(),
        }
    }

    /// Bytes beyond which a commit gathers no further batch.
    fn commit_bytes(&self) -> usize {
        COMMIT_BYTES
    }

    /// Writes one batch, of partitions of this log, as one commit. Durable on return.
    ///
    /// # Errors
    /// Any error means the outcome is unknown: the batch is in the log, whole, or it is not.
    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error>;

    /// The last durable commit of a log, 0 for none.
    fn end(&self, log: LogId) -> LogSeq;

    /// The last durable commit of a log with its check value. None: there is none, or it is purged.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn tip(&self, log: LogId) -> Result<Option<CommitCheck>, Error> {
        read_tip(self, log)
    }

    /// Bytes of the commits that are kept, as far as the backend knows without reading them.
    fn bytes(&self) -> u64 {
        0
    }

    /// Looks again where the logs end, if somebody else may be writing them.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn refresh(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the next process will find what this one writes. Asked often, and by one thread a log.
    ///
    /// # Errors
    /// [`Error::Removed`]: nothing is acknowledged any more then.
    fn intact(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Gives up what is still tried, so that the process can end: it fails, its outcome unknown.
    fn give_up(&self) {}

    /// Visits the frame of every commit of a log after `after` that was durable when the call began.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming the commit, or whatever `visit` returns.
    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error>;

    /// The first commit of a log that is kept: 1 until something is purged.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn first(&self, _log: LogId) -> Result<LogSeq, Error> {
        Ok(1)
    }

    /// The first commit that stays by `keep` alone, whatever still reads those before it. Where only [`Self::purge`] can tell, it is
    /// the one behind the end.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn due_before(&self, log: LogId, _keep: Keep) -> Result<LogSeq, Error> {
        Ok(self.end(log) + 1)
    }

    /// Deletes commits before `floor`, the first that anything still reads, that need not stay by `keep`: as many of them
    /// as the backend can, which is none where it keeps everything. Says which is the first then.
    ///
    /// # Errors
    /// If the store does not answer, or the log is another's.
    fn purge(&self, log: LogId, _floor: LogSeq, _keep: Keep) -> Result<LogSeq, Error> {
        self.first(log)
    }

    /// Reads the next full file of the log behind the one that begins with commit `after` from the disk, and compares it with its
    /// checksums. None: there is none, the store sees to that itself, or `pace` broke off.
    ///
    /// # Errors
    /// If the file cannot be read at all.
    fn check_next_file(&self, _after: LogSeq, _pace: Pace<'_>) -> Result<Option<Checked>, Error> {
        Ok(None)
    }
}

/// What tells a commit from others with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub check: u32,
    pub events: u32,
}

/// A commit as it lies in a log. None for 0 and for what is behind the end. Cost: one read of the log.
///
/// # Errors
/// [`Error::Purged`] for what is no longer kept, or if the journal cannot be read.
pub fn find<J: Log + ?Sized>(journal: &J, log: LogId, commit: LogSeq) -> Result<Option<Found>, Error> {
    if commit == 0 || commit > journal.end(log) {
        return Ok(None);
    }
    let mut there = None;
    journal.read(log, commit - 1, &mut |found, frame| {
        if found == commit {
            let events = codec::read_frame(frame)?.count() as u32;
            there = Some(Found { check: codec::frame_check(frame)?, events });
        }
        Ok(ControlFlow::Break(()))
    })?;
    Ok(there)
}

/// The check value of a commit.
///
/// # Errors
/// As [`find`].
pub fn check_of<J: Log + ?Sized>(journal: &J, log: LogId, commit: LogSeq) -> Result<Option<u32>, Error> {
    Ok(find(journal, log, commit)?.map(|found| found.check))
}

/// The last commit of a log, read. None for an empty log, or one whose last commit is purged.
///
/// # Errors
/// If the journal cannot be read.
pub fn read_tip<J: Log + ?Sized>(journal: &J, log: LogId) -> Result<Option<CommitCheck>, Error> {
    let commit = journal.end(log);
    match check_of(journal, log, commit) {
        Ok(check) => Ok(check.map(|check| CommitCheck { commit, check })),
        Err(Error::Purged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
