//! The log: commits in files of our own, one behind the other.
//!
//! A file is full of zeros before it is used. A commit then changes neither its length nor where it lies on the disk, and
//! `fdatasync` writes the data and nothing else (docs/adr/0008). Invariants: commits are dense from 1, or from the first that was kept on
//! purpose; a file is begun
//! when every commit before it is on disk, so only the newest can be torn; after a failed append there is no other.

mod ahead;
mod beginning;
mod checking;
mod copy;
mod opening;
mod purging;
mod record;
mod segment;

use super::failure::{damaged_at, file_failed};
use super::space::Space;
use crate::contract::{Error, LogSeq, Visit};
use ahead::Ahead;
pub(crate) use copy::LogCopy;
use holdfast_engine::codec;
use opening::Loose;
use segment::Segment;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Bytes of the first file. Each is twice as large as the one before it, so that a small shop has small files.
const FIRST: u64 = 1024 * 1024;
/// Bytes of every file of a large log.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What a disk and its cache take at once. A commit is written up to the end of its last one: the zeros are there already,
/// and a page that is written whole need not be read first.
const PAGE: usize = 4096;
/// Files of the log at whose paths is looked at once.
const LOOKED_AT: usize = 64;

/// See the module. One thread appends at a time, any number read.
pub(crate) struct Log {
    dir: PathBuf,
    /// By the first commit of each.
    segments: RwLock<BTreeMap<LogSeq, Arc<Segment>>>,
    tail: Mutex<Tail>,
    ahead: Ahead,
    /// Where the next look at files goes on.
    looked: AtomicU64,
    /// What an earlier process may have left half done.
    loose: Loose,
}

/// Where the next commit goes.
struct Tail {
    segment: Arc<Segment>,
    /// Of the segment. It is closed when the next is begun and nobody reads it.
    file: Arc<File>,
    /// Bytes that were made of zeros, or would have been. A commit that does not fit begins the next file.
    size: u64,
    /// The bytes of a commit, kept for their room.
    record: Vec<u8>,
}

impl Log {
    /// Makes an empty log, also where a crash left half of one.
    ///
    /// # Errors
    /// [`Error::Damaged`] if there is a log with commits already, or if a file cannot be written.
    pub(super) fn create(dir: &Path) -> Result<(), Error> {
        let make = || {
            fs::create_dir_all(dir)?;
            if !opening::is_blank(dir)? {
                return Ok(false);
            }
            ahead::zeros(&path_of(dir, 1), FIRST, &mut || false)?;
            File::open(dir)?.sync_all().map(|()| true)
        };
        match make() {
            Ok(true) => Ok(()),
            Ok(false) => Err(damaged_at(1, "there is a log, but the tables beside it are gone")),
            Err(error) => Err(failed(dir, &error)),
        }
    }

    /// Whether no commit was ever written.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn is_blank(dir: &Path) -> Result<bool, Error> {
        let blank = if dir.try_exists().map_err(|error| failed(dir, &error))? { opening::is_blank(dir) } else { Ok(true) };
        blank.map_err(|error| failed(dir, &error))
    }

    /// Opens the log and returns its last commit. Nothing is changed before [`Self::settle`], which must come before anybody
    /// is told of what was found.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming the first commit that is not as it was acknowledged.
    pub(super) fn look(dir: &Path, acknowledged: LogSeq, space: Space) -> Result<(Self, LogSeq), Error> {
        Self::found(dir, opening::look(dir, acknowledged, true)?, space)
    }

    /// Opens a log that nobody writes, and never will: it may be on a disk that cannot be written.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub(crate) fn look_only(dir: &Path, acknowledged: LogSeq, space: Space) -> Result<(Self, LogSeq), Error> {
        Self::found(dir, opening::look(dir, acknowledged, false)?, space)
    }

    fn found(dir: &Path, found: opening::Found, space: Space) -> Result<(Self, LogSeq), Error> {
        let (segment, file) = found.newest;
        let size = file.metadata().map_err(|error| failed(dir, &error))?.len();
        let ahead = Ahead::start(dir.join(ahead::NAME), space)?;
        let tail = Mutex::new(Tail { segment, file, size, record: Vec::new() });
        let log = Self {
            dir: dir.to_owned(),
            segments: RwLock::new(found.segments),
            tail,
            ahead,
            looked: AtomicU64::new(0),
            loose: found.loose,
        };
        Ok((log, found.end))
    }

    /// Cuts what is torn, gives back the space of a file that an earlier process made ahead and of those that it had not deleted yet,
    /// and makes sure that what was found is on disk.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn settle(&self) -> Result<(), Error> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let cleared = ahead::forget(&self.dir.join(ahead::NAME)).and_then(|()| purging::clear(&self.dir, self.first()));
        cleared.map_err(|error| failed(&self.dir, &error))?;
        self.loose.settle(&tail.file, &self.dir).map_err(|error| failed(&self.dir, &error))
    }

    /// Opens the log and settles it.
    ///
    /// # Errors
    /// As [`Self::look`] and [`Self::settle`].
    pub(super) fn open(dir: &Path, acknowledged: LogSeq, space: Space) -> Result<(Self, LogSeq), Error> {
        let (log, end) = Self::look(dir, acknowledged, space)?;
        log.settle()?;
        Ok((log, end))
    }

    /// Writes a commit and waits for the disk.
    ///
    /// # Errors
    /// If it may not be on disk. Then the log must be opened anew before anything else is appended.
    pub(super) fn append(&self, commit: LogSeq, frame: &[u8]) -> Result<(), Error> {
        self.add(commit, frame)?;
        self.sync()
    }

    /// As [`Self::append`], without waiting: [`Self::sync`] does. Until then nobody may read it.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(super) fn add(&self, commit: LogSeq, frame: &[u8]) -> Result<(), Error> {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        record::encode(commit, frame, &mut tail.record);
        if tail.is_full() {
            self.begin(&mut tail, commit).map_err(|error| failed(&self.dir, &error))?;
        }
        tail.write(commit).map_err(|error| failed(&self.dir, &error))?;
        if tail.segment.end() > tail.size / 2 {
            self.ahead.prepare(next_size(tail.size));
        }
        Ok(())
    }

    /// Waits until everything added is on disk.
    ///
    /// # Errors
    /// As [`Self::append`], or if the file is on no disk any more under its name.
    pub(super) fn sync(&self) -> Result<(), Error> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.file.sync_data().map_err(|error| failed(&self.dir, &error))?;
        tail.segment.opened().check()
    }

    /// Whether the files are still at their paths: some of them at each look, so that a long log holds up no commit.
    ///
    /// # Errors
    /// [`Error::Removed`] with one that is not.
    pub(super) fn intact(&self) -> Result<(), Error> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let from = self.looked.load(Ordering::Relaxed);
        let round = segments.range(from..).chain(segments.range(..from));
        for (first, segment) in round.take(LOOKED_AT) {
            segment.opened().check()?;
            self.looked.store(first + 1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Begins the next file with `first`, with one that is ready or else with an empty one: it only syncs more slowly.
    fn begin(&self, tail: &mut Tail, first: LogSeq) -> io::Result<()> {
        tail.file.sync_data()?;
        let path = path_of(&self.dir, first);
        let (file, size) = match self.ahead.take() {
            Some((file, size)) => {
                fs::rename(self.dir.join(ahead::NAME), &path)?;
                (file, size)
            }
            None => (File::options().read(true).write(true).create_new(true).open(&path)?, next_size(tail.size)),
        };
        File::open(&self.dir)?.sync_all()?;
        let file = Arc::new(file);
        let segment = Arc::new(Segment::new(first, &path, &file)?);
        self.segments.write().unwrap_or_else(PoisonError::into_inner).insert(first, segment.clone());
        (tail.segment, tail.file, tail.size) = (segment, file, size);
        Ok(())
    }

    /// Visits the commits after `after` up to `end`, which must be on disk.
    ///
    /// # Errors
    /// [`Error::Purged`], [`Error::Damaged`] naming the commit, or whatever `visit` returns.
    pub(crate) fn read(&self, after: LogSeq, end: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut next = after.saturating_add(1);
        while next <= end {
            let purged = || Error::Purged { first: self.first() };
            let (segment, last) = self.holding(next).ok_or_else(purged)?;
            let last = last.min(end);
            let unreadable = |error: io::Error| failed(segment.opened().path(), &error);
            // It may have gone between the look and the reading; who has it open reads on.
            let gone = |error| if next < self.first() { purged() } else { unreadable(error) };
            let mut reader = segment.reader(next).map_err(gone)?;
            while next <= last {
                let expected = reader.expected;
                let record = reader.next().map_err(unreadable)?;
                let record = record.ok_or_else(|| damaged_at(expected, "it is missing"))?;
                if record.commit < next {
                    continue;
                }
                codec::read_frame(record.frame).map_err(|error| damaged_at(next, &error.to_string()))?;
                next += 1;
                if visit(record.commit, record.frame)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Bytes of its commits: of files that an earlier process filled, with the zeros behind the last.
    pub(super) fn bytes(&self) -> u64 {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.values().map(|segment| segment.end()).sum()
    }

    /// The file that should have a commit, and the last commit that should be in it.
    fn holding(&self, commit: LogSeq) -> Option<(Arc<Segment>, LogSeq)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let (_, segment) = segments.range(..=commit).next_back()?;
        let later = segments.range(commit + 1..).next();
        Some((segment.clone(), later.map_or(LogSeq::MAX, |(first, _)| first - 1)))
    }
}

impl Tail {
    fn is_full(&self) -> bool {
        self.segment.end() > 0 && self.segment.end() + self.record.len() as u64 > self.size
    }

    fn write(&mut self, commit: LogSeq) -> io::Result<()> {
        let (at, length) = (self.segment.end(), self.record.len());
        let behind = (at + length as u64) % PAGE as u64;
        self.record.resize(length + (PAGE - behind as usize) % PAGE, 0);
        self.file.write_all_at(&self.record, at)?;
        self.segment.grown(commit, at, length as u64);
        if self.record.capacity() as u64 > FIRST {
            self.record = Vec::new();
        }
        Ok(())
    }
}

fn next_size(size: u64) -> u64 {
    size.saturating_mul(2).clamp(FIRST, LARGEST)
}

fn path_of(dir: &Path, first: LogSeq) -> PathBuf {
    dir.join(format!("{first:020}.log"))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    file_failed("the log", path, error)
}

#[cfg(test)]
mod tests;
