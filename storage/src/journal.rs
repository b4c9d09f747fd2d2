//! The contract every journal backend keeps, whatever it is made of. The conformance suite holds each backend to it.
//!
//! A journal is one log of all partitions, or a log for each of them: [`Causality`] says which.
//!
//! - `append` returns when the batch is durable. Commits of a log are numbered densely from 1. One caller a log at a time.
//! - What `append` acknowledged is read back byte for byte by every later `read`, in order, after any crash.
//! - What it did not acknowledge is read back whole or not at all.
//! - A record that is damaged or missing before the end is an [`Error::Damaged`] that names it, never a shorter log.
//! - After a failed `append` the backend refuses everything that writes until it is opened anew: fail-stop.
//! - What is purged is refused to readers as [`Error::Purged`], never left out in silence.
//! - Snapshots can be lost without losing a fact: they follow again from the log. Rows that `project` reported are kept like
//!   commits, since closed orders leave memory for them; the facts behind them are still in the log.

use crate::history::{self, CommitCheck};
use crate::scrub::{Checked, Pace};
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::{PartitionId, Partitions, Seq};
use holdfast_engine::{Causality, codec};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// Number of a commit in its log: 1, 2, 3, …
pub type LogSeq = u64;

/// Which log of a journal: 0 where there is one, else the number of the partition that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u16);

/// The state of one partition at one point of its sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub partition: PartitionId,
    pub seq: Seq,
    /// Every record after `seq` lies in a commit after this one.
    pub after: LogSeq,
    pub state: Vec<u8>,
}

/// What the projections hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Closed orders: order id → history.
    Orders,
    /// Idempotency keys that no order keeps: key hash → fingerprint and answer.
    Keys,
    /// Movements of stock: SKU, first movement → movements.
    Movements,
    /// Positions of the projections themselves.
    Meta,
}

impl Table {
    pub const ALL: [Table; 4] = [Table::Orders, Table::Keys, Table::Movements, Table::Meta];

    pub fn name(self) -> &'static str {
        match self {
            Table::Orders => "orders",
            Table::Keys => "keys",
            Table::Movements => "movements",
            Table::Meta => "meta",
        }
    }
}

/// One row to put into a projection; a row under the same key is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub table: Table,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Of two writers the later wins by this, where the backend cannot keep an old one out: the facts behind the row
    /// only grow. Zero in rows that were read.
    pub version: u64,
}

/// The part of a key up to its first zero byte: rows of one group can be scanned in order.
pub fn group(key: &[u8]) -> &[u8] {
    key.split(|byte| *byte == 0).next().unwrap_or(key)
}

/// A failure of ours, not an answer to a client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Unreachable(String),
    #[error("another process has taken over with epoch {by}")]
    Fenced { by: u64 },
    #[error("the log begins with record {first}: what was before is purged")]
    Purged { first: LogSeq },
    #[error("log record {record} is damaged: {reason}")]
    Damaged { record: LogSeq, reason: String },
    /// A file beside the log, or the log where no record can be named.
    #[error("{file} is damaged: {reason}\n  Keep what is there, and restore the data directory from a copy or a backup.")]
    DamagedFile { file: String, reason: String },
    /// What lies beside each other was not written beside each other.
    #[error("{0}")]
    Mixed(String),
    #[error("{} was removed or replaced while it was in use", .0.display())]
    Removed(PathBuf),
    #[error("the disk is full")]
    Full,
    #[error("the store is stopped after an earlier failure")]
    Stopped,
    #[error("the data directory is in use by another process")]
    Locked,
    #[error("{0}")]
    Incompatible(String),
    #[error(
        "the data was created with {found} partitions, and {wanted} are asked for: their number is fixed when data is created"
    )]
    OtherPartitions { found: u16, wanted: u16 },
    #[error("the data has {found} partitions, too few for {shards} shards: each shard hosts at least one")]
    TooManyShards { found: u16, shards: usize },
    #[error("the store failed: {0}")]
    Failed(String),
    #[error(transparent)]
    Codec(#[from] codec::Error),
}

impl Error {
    /// A record of this commit that cannot be decoded: damaged, or of a newer build.
    pub fn of_commit(commit: LogSeq, error: &codec::Error) -> Self {
        match error {
            codec::Error::Newer(newer) => Self::Incompatible(format!("log record {commit} cannot be read: {newer}")),
            error => Self::Damaged { record: commit, reason: error.to_string() },
        }
    }
}

/// What whoever opens a journal asks of its partitions.
#[derive(Clone, Copy, Debug)]
pub struct WantedPartitions {
    /// New data is created with so many.
    pub if_new: Partitions,
    /// Data that was created with another number is refused.
    pub exactly: bool,
    /// Threads that will host them.
    pub shards: usize,
}

impl From<Partitions> for WantedPartitions {
    /// Whatever is there will do.
    fn from(if_new: Partitions) -> Self {
        Self { if_new, exactly: false, shards: 1 }
    }
}

impl WantedPartitions {
    /// Takes the number the data was created with, before anything of it is claimed.
    ///
    /// # Errors
    /// [`Error::OtherPartitions`] or [`Error::TooManyShards`].
    pub fn accept(self, found: Partitions) -> Result<Partitions, Error> {
        let Self { if_new, exactly, shards } = self;
        if exactly && found != if_new {
            return Err(Error::OtherPartitions { found: found.count(), wanted: if_new.count() });
        }
        if shards > usize::from(found.count()) {
            return Err(Error::TooManyShards { found: found.count(), shards });
        }
        Ok(found)
    }
}

/// Most bytes of a commit beyond which it gathers no more, where the backend has no limit of its own.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;

/// Visits commits in order; breaks to stop.
pub type Visit<'a> = dyn FnMut(LogSeq, &[u8]) -> Result<ControlFlow<()>, Error> + 'a;

/// A journal with its snapshots and projections. See the module for the contract.
pub trait Journal: Send + Sync + 'static {
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

    /// Whether `get` asks another machine: then nobody who serves others may wait for it.
    fn remote(&self) -> bool {
        false
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
        history::tip(self, log)
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

    /// Deletes commits before `floor`, the first that anything still reads, that are older than `age`: as many of them
    /// as the backend can, which is none where it keeps everything. Says which is the first then.
    ///
    /// # Errors
    /// If the store does not answer, or the log is another's.
    fn purge(&self, log: LogId, _floor: LogSeq, _age: Duration) -> Result<LogSeq, Error> {
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

    /// Keeps a snapshot, and the one before it.
    ///
    /// # Errors
    /// If it could not be written; earlier ones are untouched.
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error>;

    /// The whole snapshots of a partition, newest first. Damaged ones are left out.
    ///
    /// # Errors
    /// If the store cannot be read at all.
    fn snapshots(&self, partition: PartitionId) -> Result<Vec<Snapshot>, Error>;

    /// Puts rows in the order given: after a crash the first of them are there, or all. Durable on return.
    ///
    /// # Errors
    /// If they could not be written.
    fn project(&self, rows: &[Row]) -> Result<(), Error>;

    /// Gives up what is still tried, so that the process can end: it fails, its outcome unknown.
    fn give_up(&self) {}

    /// # Errors
    /// If the store cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Up to `limit` rows with `from ≤ key < to`, in order of key. Both are of one [`group`].
    ///
    /// # Errors
    /// If the store cannot be read.
    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error>;
}
