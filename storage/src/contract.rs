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

mod error;
mod log;
mod rows;
mod snapshots;

pub use error::Error;
pub use log::{Checked, CommitCheck, Found, Keep, Log, Pace, Visit, check_of, find, read_tip};
pub use rows::{Row, Rows, Table, group};
pub use snapshots::{Snapshot, SnapshotHead, Snapshots};

use holdfast_engine::ids::Partitions;

/// Number of a commit in its log: 1, 2, 3, …
pub type LogSeq = u64;

/// Which log of a journal: 0 where there is one, else the number of the partition that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u16);

/// A journal: logs with the snapshots and the rows that follow from them. See the module for the contract.
pub trait Journal: Log + Snapshots + Rows {}

impl<T: Log + Snapshots + Rows> Journal for T {}

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
