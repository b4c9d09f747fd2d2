//! Where facts survive: the journal contract, its backends, and what is built on it.
//!
//! [`contract`] says what a journal is; [`memory`], [`embedded`] and `cql` keep it, and the suite `conformance` holds them to it. [`fencing`] says
//! who may append where many processes can, [`group_commit`] turns the batches of all shards into one sync at a time, [`recovery`]
//! folds a journal back into partitions, and [`rows`] keeps what left memory.
//!
//! [`history`] tells copies of a journal apart, [`marks`] says whether the tables beside a log belong to it, [`retention`] deletes
//! what nothing reads any more, [`scrub`] compares what is on the disk with its checksums, [`backup`] copies a log while it grows and
//! makes a data directory of the copy, [`stoppable`] ends whoever reads a journal. [`lock`] keeps a data directory for one process,
//! [`private`] makes files that only their owner may read, [`backoff`] says how long to wait between tries.
//!
//! `kafka` publishes every fact, and takes what others put into topics for us.
//!
//! Invariant: what is durable is never shown otherwise than it was acknowledged.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

pub mod audit;
pub mod background;
pub mod backoff;
pub mod backup;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
pub mod contract;
#[cfg(feature = "scylla")]
pub mod cql;
pub mod embedded;
pub mod fencing;
pub mod group_commit;
pub mod history;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod lock;
pub mod marks;
pub mod memory;
mod parallel;
pub mod private;
pub mod purged;
pub mod recovery;
pub mod retention;
pub mod rows;
pub mod scrub;
pub mod stoppable;
pub mod sync_times;
pub mod traced;
pub mod watermark;

pub use contract::{
    CommitCheck, Error, Journal, Keep, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit,
    WantedPartitions,
};
pub use lock::DirectoryLock;
