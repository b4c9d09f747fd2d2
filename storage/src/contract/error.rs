//! How a journal fails, and what to do about it where somebody has to do something.
//!
//! Invariant: damage is named, never passed over.

use super::LogSeq;
use holdfast_engine::codec;
use std::path::PathBuf;

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
    /// The first commit that is kept, where one before it was asked for.
    pub fn purged(&self) -> Option<LogSeq> {
        if let Self::Purged { first } = self { Some(*first) } else { None }
    }

    /// A record of this commit that cannot be decoded: damaged, or of a newer build.
    pub fn of_commit(commit: LogSeq, error: &codec::Error) -> Self {
        match error {
            codec::Error::Newer(newer) => Self::Incompatible(format!("log record {commit} cannot be read: {newer}")),
            error => Self::Damaged { record: commit, reason: error.to_string() },
        }
    }
}
