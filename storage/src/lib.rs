//! Where facts survive: the journal contract, its backends, and what is built on it.
//!
//! [`journal`] is the contract, [`memory`], [`embedded`] and `cql` keep it, [`fencing`] says
//! who may append where many processes can, [`group_commit`] turns the batches of all shards
//! into one sync at a time, [`history`] tells copies of a journal apart, [`basis`] says
//! which tables belong to a log, [`recovery`] folds a journal back into partitions, [`projection`] keeps what left memory,
//! [`retention`] deletes what
//! nothing reads any more, [`stoppable`] ends whoever reads a journal, [`scrub`] compares what is on the disk with its checksums, [`backup`] copies a log while it grows and makes a data directory of the copy,
//! [`lock`] keeps a data directory for one process, [`private`] makes files that only their owner may read, `relay` publishes every fact to Kafka, `inbound` takes what others put there for us.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

pub mod background;
pub mod backup;
pub mod basis;
#[cfg(any(test, feature = "test-util"))]
pub mod conformance;
#[cfg(feature = "scylla")]
pub mod cql;
pub mod embedded;
pub mod fencing;
pub mod group_commit;
pub mod history;
#[cfg(feature = "kafka")]
pub mod inbound;
pub mod journal;
pub mod lock;
pub mod memory;
pub mod private;
pub mod projection;
pub mod recovery;
#[cfg(feature = "kafka")]
pub mod relay;
pub mod retention;
pub mod scrub;
#[cfg(feature = "kafka")]
mod sessions;
pub mod stoppable;
pub mod watermark;

pub use journal::{Error, Journal, LogId, LogSeq, Row, Snapshot, Table, WantedPartitions};
pub use lock::DirectoryLock;
