//! A copy of a log, in files as the log itself has them, for a directory that is opened later.
//!
//! Invariants: it is as dense as what it is a copy of; when it is finished every byte is on disk and no longer in memory, so
//! that whoever reads it reads the disk. It is written in pieces that a commit beside it need not wait for.

use super::{LARGEST, beginning, failed, path_of, record};
use crate::contract::{Error, LogSeq};
use crate::embedded::Space;
use crate::private;
use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Bytes written and synced at once.
const PIECE: usize = 1024 * 1024;

/// Name, bytes and checksum of a file.
pub(crate) type Copied = (String, u64, u128);

/// See the module.
pub(crate) struct LogCopy {
    dir: PathBuf,
    space: Space,
    current: Option<Current>,
    /// Not written yet.
    piece: Vec<u8>,
    /// One commit, kept for its room.
    record: Vec<u8>,
    files: Vec<Copied>,
}

/// The file that is being written.
struct Current {
    name: String,
    file: File,
    /// With those of the piece.
    bytes: u64,
    hash: Xxh3,
}

impl LogCopy {
    /// # Errors
    /// If the directory cannot be made.
    pub(crate) fn create(dir: &Path, space: Space) -> Result<Self, Error> {
        private::directory(dir).map_err(|error| failed(dir, &error))?;
        let (piece, record) = (Vec::with_capacity(PIECE), Vec::new());
        Ok(Self { dir: dir.to_owned(), space, current: None, piece, record, files: Vec::new() })
    }

    /// The log begins with this commit, and what was before it is not copied.
    ///
    /// # Errors
    /// If that cannot be written down.
    pub(crate) fn begin_with(&mut self, first: LogSeq) -> Result<(), Error> {
        let bytes = beginning::begin_with(&self.dir, first).map_err(|error| failed(&self.dir, &error))?;
        self.files.push((beginning::NAME.to_owned(), bytes.len() as u64, xxh3_128(&bytes)));
        Ok(())
    }

    /// The next commit.
    ///
    /// # Errors
    /// If it cannot be written; [`Error::Full`] also where that would take space that others need.
    pub(crate) fn add(&mut self, commit: LogSeq, frame: &[u8]) -> Result<(), Error> {
        record::encode(commit, frame, &mut self.record);
        let length = self.record.len() as u64;
        if self.current.as_ref().is_some_and(|current| current.bytes + length > LARGEST) {
            self.end_file()?;
        }
        if self.current.is_none() {
            self.current = Some(self.begin_file(commit)?);
        }
        if let Some(current) = &mut self.current {
            current.bytes += length;
        }
        self.piece.extend_from_slice(&self.record);
        if self.piece.len() >= PIECE { self.write_piece() } else { Ok(()) }
    }

    /// The files, once they are on disk.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn finish(mut self) -> Result<Vec<Copied>, Error> {
        self.end_file()?;
        Ok(self.files)
    }

    fn begin_file(&self, first: LogSeq) -> Result<Current, Error> {
        let path = path_of(&self.dir, first);
        let file = private::create(&path).map_err(|error| failed(&path, &error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Current { name, file, bytes: 0, hash: Xxh3::new() })
    }

    fn write_piece(&mut self) -> Result<(), Error> {
        let Some(current) = &mut self.current else { return Ok(()) };
        self.space.check(self.piece.len() as u64)?;
        current.write(&self.piece).map_err(|error| failed(&self.dir, &error))?;
        self.piece.clear();
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), Error> {
        self.write_piece()?;
        let Some(Current { name, file, bytes, hash }) = self.current.take() else { return Ok(()) };
        file.sync_all().map_err(|error| failed(&self.dir, &error))?;
        // Where that is not possible the pages in memory are read, as they were written.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        self.files.push((name, bytes, hash.digest128()));
        Ok(())
    }
}

impl Current {
    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hash.update(piece);
        self.file.write_all(piece)?;
        self.file.sync_data()
    }
}
