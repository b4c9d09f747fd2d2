//! What an error of the database means to us.
//!
//! Invariant: a full disk is [`Error::Full`] wherever in the chain of causes it stands, and bytes that are not what was
//! written are [`Error::Damaged`], never something an operator would answer with another try.

use crate::contract::{Error, LogSeq};
use std::error::Error as Cause;
use std::io;
use std::path::Path;

/// A failure while the database is in use.
pub(super) fn failed(error: fjall::Error) -> Error {
    match &error {
        fjall::Error::Poisoned => Error::Stopped,
        fjall::Error::Locked => Error::Locked,
        other if is_full(other) => Error::Full,
        other if is_damage(other) => Error::DamagedFile { file: "a file of `tables`".to_owned(), reason: other.to_string() },
        other => Error::Failed(other.to_string()),
    }
}

/// A failure to open or to read the log: `record` is the first that may not be as it was written.
pub(super) fn refused(error: fjall::Error, record: LogSeq) -> Error {
    match &error {
        fjall::Error::InvalidVersion(_) => Error::Incompatible(format!(
            "the database in `tables` is of another version: {error}\n  Open the data with the version that wrote it; if `tables/version` \
             was changed, restore the data directory from a copy."
        )),
        other if is_damage(other) => Error::Damaged { record: record.max(1), reason: other.to_string() },
        _ => failed(error),
    }
}

/// A failure of the files beside the database.
pub(super) fn file_failed(what: &str, path: &Path, error: &io::Error) -> Error {
    if is_full(error) { Error::Full } else { Error::Failed(format!("{what} {}: {error}", path.display())) }
}

/// A failure of the database, with the path of its files.
pub(super) fn tables_failed(path: &Path, error: Error) -> Error {
    match error {
        Error::Failed(reason) => Error::Failed(format!("the tables {}: {reason}", path.display())),
        other => other,
    }
}

pub(super) fn damaged_file(path: &Path, reason: &str) -> Error {
    Error::DamagedFile { file: path.display().to_string(), reason: reason.to_owned() }
}

pub(super) fn damaged_at(record: LogSeq, reason: &str) -> Error {
    Error::Damaged { record, reason: reason.to_owned() }
}

/// Whether bytes are not what was written, and no other try would find them so.
pub(super) fn is_damage(error: &fjall::Error) -> bool {
    use fjall::LsmError;
    match error {
        fjall::Error::JournalRecovery(_) | fjall::Error::Decompress(_) | fjall::Error::Unrecoverable => true,
        fjall::Error::InvalidTrailer | fjall::Error::InvalidTag(_) => true,
        // What the tables of the database say of themselves; only their I/O errors are the disk's.
        fjall::Error::Storage(LsmError::Io(cause)) => is_cut(cause),
        fjall::Error::Storage(_) => true,
        fjall::Error::Io(cause) => is_cut(cause),
        _ => false,
    }
}

/// A file that is gone or ends too early, before the place that is looked for in it.
fn is_cut(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

fn is_full(error: &(dyn Cause + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let full = matches!(io, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded));
    full || error.source().is_some_and(is_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_below_other_errors() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let nested = fjall::Error::Storage(fjall::LsmError::Io(io::Error::from(kind)));
            assert!(matches!(failed(nested), Error::Full));
            assert!(matches!(refused(fjall::Error::Io(io::Error::from(kind)), 7), Error::Full));
            assert!(matches!(file_failed("the file", Path::new("x"), &io::Error::from(kind)), Error::Full));
        }
    }

    #[test]
    fn a_database_that_poisoned_itself_is_stopped() {
        assert!(matches!(failed(fjall::Error::Poisoned), Error::Stopped));
    }

    #[test]
    fn a_checksum_that_does_not_match_names_the_record() {
        let error = fjall::Error::JournalRecovery(fjall::JournalRecoveryError::ChecksumMismatch);
        assert!(matches!(refused(error, 7), Error::Damaged { record: 7, .. }));
    }
}
