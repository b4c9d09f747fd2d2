//! A file of the log that nobody writes any more, read from the disk and compared with its checksums.
//!
//! Invariant: it is whole if its commits follow on each other from the one it is named after to the one before the next file, with
//! nothing but zeros behind them.

use super::Log;
use super::segment::{Reader, Segment};
use crate::contract::{Checked, Error, LogSeq, Pace};
use holdfast_engine::codec;
use rustix::fs::{Advice, fadvise};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError};

/// Bytes compared with zero at once.
const PIECE: usize = 64 * 1024;

/// Why a file was not compared to its end.
enum Ended {
    Damaged(u64, String),
    Stopped,
    Failed(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Ended::Failed(error)
    }
}

impl Log {
    /// Compares the next file behind the one that begins with `after`, if it is full. None: there is no such file, or it was
    /// told to stop. A file that was deleted meanwhile is not damaged.
    pub(crate) fn check_next(&self, after: LogSeq, pace: Pace<'_>) -> Result<Option<Checked>, Error> {
        let Some((segment, first, next)) = self.sealed_behind(after) else { return Ok(None) };
        let path = segment.opened().path();
        let damage = match check(&segment, first, next, pace) {
            Ok(()) => None,
            Err(Ended::Failed(_)) if first < self.first() => None,
            Err(Ended::Stopped) => return Ok(None),
            // As bad as damage: the bytes that were written do not come back.
            Err(Ended::Failed(error)) => Some(format!("{} cannot be read: {error}", path.display())),
            Err(Ended::Damaged(at, reason)) => Some(format!("{} is damaged from byte {at}: {reason}", path.display())),
        };
        Ok(Some(Checked { first, damage }))
    }

    fn sealed_behind(&self, after: LogSeq) -> Option<(Arc<Segment>, LogSeq, LogSeq)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let mut behind = segments.range(after + 1..);
        let (first, segment) = behind.next()?;
        let (next, _) = behind.next()?;
        Some((segment.clone(), *first, *next))
    }
}

fn check(segment: &Segment, first: LogSeq, next: LogSeq, pace: Pace<'_>) -> Result<(), Ended> {
    let mut reader = segment.reader_of_all()?;
    // What memory has of it says nothing about the disk. Where that is not possible memory is read.
    let _ = fadvise(&*reader.file, 0, None, Advice::DontNeed);
    for commit in first..next {
        let at = reader.offset();
        let Some(record) = reader.next()? else { return Err(Ended::Damaged(at, format!("commit {commit} cannot be read"))) };
        codec::read_frame(record.frame).map_err(|error| Ended::Damaged(at, format!("commit {commit}: {error}")))?;
        let bytes = record.frame.len() as u64;
        if pace(bytes).is_break() {
            return Err(Ended::Stopped);
        }
    }
    check_rest(&reader)
}

fn check_rest(reader: &Reader) -> Result<(), Ended> {
    let (mut piece, mut at) = (vec![0; PIECE], reader.offset());
    while at < reader.end {
        let bytes = usize::try_from(reader.end - at).unwrap_or(PIECE).min(PIECE);
        reader.file.read_exact_at(&mut piece[..bytes], at)?;
        if let Some(place) = piece[..bytes].iter().position(|byte| *byte != 0) {
            return Err(Ended::Damaged(at + place as u64, "something follows on its last commit".to_owned()));
        }
        at += bytes as u64;
    }
    Ok(())
}
