//! A number beside the log or the tables: of the last acknowledged commit, or of the last rows that were reported.
//!
//! Log and tables end at the first bytes that cannot be read, as if the rest had never been written. This file tells
//! the difference between a tail nobody was promised and a record that is gone. Invariant: it is never ahead of what it
//! counts, because it is written after the sync. It is not synced itself: it outlives the process, and after a power
//! failure an older number only makes the check weaker.

use super::failure::file_failed;
use crate::journal::{Error, LogSeq};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Number and checksum.
const WIDTH: usize = 12;

pub(super) struct Watermark {
    file: File,
    path: PathBuf,
}

impl Watermark {
    /// The file and the number in it; 0 for a new file, or one a power failure left without content.
    pub(super) fn open(path: &Path) -> Result<(Self, LogSeq), Error> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
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

    pub(super) fn set(&self, log: LogSeq) -> Result<(), Error> {
        self.file.write_all_at(&encode(log), 0).map_err(|error| failed(&self.path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    file_failed("the number of the last acknowledged commit", path, error)
}

fn encode(log: LogSeq) -> [u8; WIDTH] {
    let mut bytes = [0; WIDTH];
    let number = log.to_le_bytes();
    bytes[..8].copy_from_slice(&number);
    bytes[8..].copy_from_slice(&crc32fast::hash(&number).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; WIDTH]) -> Option<LogSeq> {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[..8]);
    let log = LogSeq::from_le_bytes(number);
    (encode(log) == *bytes).then_some(log)
}
