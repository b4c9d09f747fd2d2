//! Backups of a data directory: a copy of the log up to one commit, with a manifest that has the checksum of every file.
//!
//! Everything else in a data directory follows from its log, so a copy of the log is enough, and one of a server that runs is as
//! good as one of a server that does not: the commits up to the last durable one never change. Of a log whose beginning was deleted,
//! snapshots and rows are copied too (`beginning`). Invariants: a directory is a
//! backup only once it has a whole manifest, which is written last and under another name, so that half a backup is never taken
//! for one; what is restored is, byte for byte, what the manifest says.

mod beginning;
mod manifest;
mod numbers;
mod reader;
mod restore;
mod writer;

pub use manifest::{FileEntry, Manifest};
pub use numbers::leave_out_numbers;
pub use reader::BackupJournal;
pub use restore::Restoration;
pub use writer::{BackupWriter, clear_unfinished};

use crate::contract;
use std::io;
use std::path::{Path, PathBuf};

/// Told how much of the work is done, and how much there is.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no room for it at {}: nothing was left behind\n  make room, or choose another disk", .0.display())]
    NoRoom(PathBuf),
    #[error("{} is there already\n  name a directory that is not there yet: a backup never goes over another", .0.display())]
    Exists(PathBuf),
    #[error("{} is being written by another backup\n  wait for it to end", .0.display())]
    InProgress(PathBuf),
    #[error("{} is in the way, and is not the rest of a backup\n  move it away", .0.display())]
    InTheWay(PathBuf),
    #[error("{} is no finished backup: it has no manifest\n  name the directory that `holdfast backup` made; one that ends with .partial was not finished", .0.display())]
    NotABackup(PathBuf),
    #[error("{} is not empty\n  restore into a directory that is empty or not there yet", .0.display())]
    NotEmpty(PathBuf),
    #[error("the backup is damaged: {file}: {reason}\n  nothing of it was used: restore another one")]
    Damaged { file: String, reason: String },
    #[error("the backup cannot be read by this version: {0}\n  restore it with the version that made it, or a later one")]
    Incompatible(String),
    #[error("it was stopped before it was done: nothing was left behind")]
    Stopped,
    #[error("{path}: {reason}")]
    File { path: String, reason: io::Error },
    #[error(transparent)]
    Journal(#[from] contract::Error),
}

/// Names the path of a failure, and tells a full disk from others.
fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |reason| match reason.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoRoom(path),
        _ => Error::File { path: path.display().to_string(), reason },
    }
}

fn damaged(file: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Damaged { file: file.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests;
