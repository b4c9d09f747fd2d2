//! One file of the log, and how it is read.
//!
//! Invariants: readers go no further than [`Segment::end`], behind which a commit may be half written, and ask for none that
//! is not on disk yet; the file is open while somebody writes or reads it and no longer, so that a long log takes no more open files
//! than a short one.

use super::super::presence::Opened;
use super::record;
use crate::contract::LogSeq;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bytes between two offsets that are remembered: what a reader passes over at most before it is where it wants to be.
const STRIDE: u64 = 64 * 1024;
/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Where a commit begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) commit: LogSeq,
    pub(super) at: u64,
}

/// See the module.
pub(super) struct Segment {
    opened: Opened,
    /// As long as somebody has it open: whoever comes meanwhile shares it.
    file: Mutex<Weak<File>>,
    end: AtomicU64,
    /// One commit in each stride, in order; `None` until somebody reads a file of an earlier process.
    offsets: Mutex<Option<Vec<Offset>>>,
    first: LogSeq,
}

impl Segment {
    /// An empty one.
    pub(super) fn new(first: LogSeq, path: &Path, file: &Arc<File>) -> io::Result<Self> {
        Self::walked(first, path, file, 0, Vec::new())
    }

    /// One whose commits up to the byte `end` are known.
    pub(super) fn walked(first: LogSeq, path: &Path, file: &Arc<File>, end: u64, offsets: Vec<Offset>) -> io::Result<Self> {
        let (opened, file) = (Opened::of(path, &file.metadata()?), Mutex::new(Arc::downgrade(file)));
        Ok(Self { opened, file, end: AtomicU64::new(end), offsets: Mutex::new(Some(offsets)), first })
    }

    /// One that is full, with zeros behind its last commit or not.
    pub(super) fn sealed(first: LogSeq, path: &Path, file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let (opened, end) = (Opened::of(path, &metadata), AtomicU64::new(metadata.len()));
        Ok(Self { opened, file: Mutex::default(), end, offsets: Mutex::new(None), first })
    }

    /// The commit it begins with.
    pub(super) fn first(&self) -> LogSeq {
        self.first
    }

    pub(super) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The file to read from, opened if nobody has it open.
    fn file(&self) -> io::Result<Arc<File>> {
        let mut shared = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = shared.upgrade() {
            return Ok(file);
        }
        let file = Arc::new(self.opened.open()?);
        *shared = Arc::downgrade(&file);
        Ok(file)
    }

    /// Bytes of whole commits.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// A commit of `length` bytes is written.
    pub(super) fn grown(&self, commit: LogSeq, at: u64, length: u64) {
        // A reader may hold it that has no processor: an offset less only makes the next reader's way longer.
        if let Ok(mut offsets) = self.offsets.try_lock() {
            remember(offsets.get_or_insert_default(), Offset { commit, at });
        }
        self.end.store(at + length, Ordering::Release);
    }

    /// Reads from `commit` on, or from at most a stride before it.
    pub(super) fn reader(&self, commit: LogSeq) -> io::Result<Reader> {
        let file = self.file()?;
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let offsets = match &mut *offsets {
            Some(offsets) => offsets,
            unknown => unknown.insert(self.walk(file.clone())?),
        };
        let after = offsets.partition_point(|offset| offset.commit <= commit);
        let first = Offset { commit: self.first, at: 0 };
        let from = after.checked_sub(1).map_or(first, |index| offsets[index]);
        Ok(Reader::new(file, from, self.end()))
    }

    /// Reads all of the file, whatever is known of its end.
    pub(super) fn reader_of_all(&self) -> io::Result<Reader> {
        let file = self.file()?;
        let length = file.metadata()?.len();
        Ok(Reader::new(file, Offset { commit: self.first, at: 0 }, length))
    }

    fn walk(&self, file: Arc<File>) -> io::Result<Vec<Offset>> {
        let mut offsets = Vec::new();
        let mut reader = Reader::new(file, Offset { commit: self.first, at: 0 }, self.end());
        while let Some(record) = reader.next()? {
            remember(&mut offsets, Offset { commit: record.commit, at: record.at });
        }
        Ok(offsets)
    }
}

/// Keeps an offset that is a stride behind the one before it.
pub(super) fn remember(offsets: &mut Vec<Offset>, offset: Offset) {
    if offsets.last().is_none_or(|last| offset.at >= last.at + STRIDE) {
        offsets.push(offset);
    }
}

/// A commit as it lies in the file; its checksum is not looked at yet.
pub(super) struct Record<'a> {
    pub(super) commit: LogSeq,
    pub(super) at: u64,
    pub(super) frame: &'a [u8],
}

/// Reads commits one behind the other.
pub(super) struct Reader {
    pub(super) file: Arc<File>,
    /// Where in the file the buffer begins.
    at: u64,
    pub(super) end: u64,
    /// The commit that comes next.
    pub(super) expected: LogSeq,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were read already.
    read: usize,
}

impl Reader {
    fn new(file: Arc<File>, from: Offset, end: u64) -> Self {
        Self { file, at: from.at, end, expected: from.commit, buffer: Vec::new(), read: 0 }
    }

    /// The byte where the next commit begins.
    pub(super) fn offset(&self) -> u64 {
        self.at + self.read as u64
    }

    /// The next commit, if it is there and whole.
    pub(super) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        if !self.fill(record::HEAD)? {
            return Ok(None);
        }
        let Some((commit, length)) = record::head(&self.buffer[self.read..]) else { return Ok(None) };
        if commit != self.expected || !self.fill(length)? {
            return Ok(None);
        }
        self.expected += 1;
        let start = self.read;
        self.read += length;
        let frame = record::frame(&self.buffer[start..self.read]);
        Ok(Some(Record { commit, at: self.at + start as u64, frame }))
    }

    /// Has `wanted` bytes behind those that were read, if the file has them.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.buffer.len() - self.read >= wanted {
            return Ok(true);
        }
        self.buffer.drain(..self.read);
        self.at += self.read as u64;
        self.read = 0;
        let there = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = wanted.max(CHUNK).min(there);
        if length < wanted {
            return Ok(false);
        }
        let have = self.buffer.len();
        self.buffer.resize(length, 0);
        match self.file.read_exact_at(&mut self.buffer[have..], self.at + have as u64) {
            Ok(()) => Ok(true),
            // Somebody cut the file.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.buffer.truncate(have);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
