//! A number beside a file that grows: of the last acknowledged commit, of the last rows or lines that were reported.
//!
//! What it counts ends at the first bytes that cannot be read, as if the rest had never been written. This file tells
//! the difference between a tail nobody was promised and a record that is gone. Invariant: it is never ahead of what it
//! counts, because it is written after the sync. It is not synced itself: it outlives the process, and after a power
//! failure an older number only makes the check weaker.

use crate::contract::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Number and checksum.
const WIDTH: usize = 12;

/// See the module.
pub struct Watermark {
    file: File,
    path: PathBuf,
}

impl Watermark {
    /// The file and the number in it; 0 for a new file, or one a power failure left without content.
    ///
    /// # Errors
    /// If the file cannot be read or made.
    pub fn open(path: &Path) -> Result<(Self, u64), Error> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(|error| failed(path, &error))?;
        let mut bytes = [0; WIDTH];
        let acknowledged = match (&file).read_exact(&mut bytes) {
            Ok(()) => decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(failed(path, &error)),
        };
        if acknowledged.is_none() && file.metadata().is_ok_and(|file| file.len() > 0) {
            tracing::warn!("{} cannot be read: the end of what it counts is not checked", path.display());
        }
        Ok((Self { file, path: path.to_owned() }, acknowledged.unwrap_or(0)))
    }

    /// # Errors
    /// If the file cannot be written.
    pub fn set(&self, log: u64) -> Result<(), Error> {
        self.file.write_all_at(&encode(log), 0).map_err(|error| failed(&self.path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
        _ => Error::Failed(format!("the mark {}: {error}", path.display())),
    }
}

/// The number with its checksum.
pub(crate) fn encode(log: u64) -> [u8; WIDTH] {
    let mut bytes = [0; WIDTH];
    let number = log.to_le_bytes();
    bytes[..8].copy_from_slice(&number);
    bytes[8..].copy_from_slice(&crc32fast::hash(&number).to_le_bytes());
    bytes
}

/// The inverse of [`encode`]. None: these are other bytes.
pub(crate) fn decode(bytes: &[u8; WIDTH]) -> Option<u64> {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[..8]);
    let log = u64::from_le_bytes(number);
    (encode(log) == *bytes).then_some(log)
}
