//! Deletes the oldest files of the log.
//!
//! Invariants: where the log begins is on disk before the first file goes, so that a missing file is one that was deleted on purpose or
//! is refused; files go oldest first and whole, the newest never. What a crash leaves before the beginning goes when the log is settled.

use super::super::failure::damaged_at;
use super::{Log, beginning, failed, opening, path_of};
use crate::contract::{Error, LogSeq};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

/// Deletes files before the beginning: an earlier process ended before it had.
pub(super) fn clear(dir: &Path, first: LogSeq) -> io::Result<()> {
    let before = opening::firsts(dir)?.into_iter().take_while(|one| *one < first);
    before.into_iter().try_for_each(|one| remove(&path_of(dir, one)))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Log {
    /// The commit that it begins with.
    pub(crate) fn first(&self) -> LogSeq {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.keys().next().copied().unwrap_or(1)
    }

    /// The commit of the first file that stays if so many bytes may, and if a file may go when all commits before the one that follows on it
    /// are old.
    pub(crate) fn due_before(&self, most: Option<u64>, is_old: impl Fn(LogSeq) -> Result<bool, Error>) -> Result<LogSeq, Error> {
        let files: Vec<(LogSeq, u64)> = {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            segments.iter().map(|(first, segment)| (*first, segment.end())).collect()
        };
        let mut bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        for (file, next) in files.iter().zip(&files[1..]) {
            let beyond = most.is_some_and(|most| bytes > most);
            if !beyond && !is_old(next.0)? {
                return Ok(file.0);
            }
            bytes -= file.1;
        }
        Ok(files.last().map_or(1, |(newest, _)| *newest))
    }

    /// Deletes the files of which every commit is before `floor`, and says which commit is the first then.
    ///
    /// # Errors
    /// If a file cannot be deleted: it is when the log is opened next.
    pub(crate) fn purge(&self, floor: LogSeq) -> Result<LogSeq, Error> {
        let held = self.holding(floor).ok_or_else(|| damaged_at(floor, "it is purged already"))?;
        let first = held.0.first();
        if first <= self.first() {
            return Ok(self.first());
        }
        beginning::begin_with(&self.dir, first).map_err(|error| failed(&self.dir, &error))?;
        let gone = {
            let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
            let kept = segments.split_off(&first);
            std::mem::replace(&mut *segments, kept)
        };
        for segment in gone.values() {
            let path = segment.opened().path();
            remove(path).map_err(|error| failed(path, &error))?;
        }
        Ok(first)
    }
}
