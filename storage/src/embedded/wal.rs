//! Reads the write-ahead files of the database before the database does.
//!
//! The database cuts its newest file at the first bytes it cannot parse and goes on: damage in the middle would erase rows
//! that orders have left memory for, and a torn last write with a wrong checksum would keep it shut for ever. So the files
//! are checked first. Invariant: only a torn tail is cut. Whether somebody was told of it shows in the number of the last
//! rows (see [`super::EmbeddedJournal`]).
//!
//! A file is a row of batches: `1 | items u32 | seqno u64`, the items, `3 | xxh3 of the items u64 | "FJL\x03"`. An item is
//! `2 | type | compression | keyspace u64 | key length u16 | length u32 | stored length u32 | key | value`, or
//! `4 | keyspace u64`. Numbers are little-endian, and zeros follow the last batch.

use super::failure::{damaged_at, file_failed};
use crate::contract::{Error, LogSeq};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The version of the database whose files look like this.
const VERSION: &[u8; 4] = b"FJL\x03";
/// A thousand years of writes.
const SEQUENCE_END: u64 = 1 << 56;
/// The numbers of batches grow by one, and by what the database itself writes in between.
const LARGEST_STEP: u64 = 1 << 16;
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Refuses damage in the middle and cuts a torn tail, if it may: in format 1 commits of the log were in there too.
pub(super) fn check(database: &Path, acknowledged: LogSeq, may_cut: bool) -> Result<(), Error> {
    let failed = |error: io::Error| file_failed("the write-ahead files in", database, &error);
    let version = fs::read(database.join("version")).map_err(failed)?;
    if version != VERSION {
        // The database itself refuses it, with a better reason.
        return Ok(());
    }
    let files = files(database).map_err(failed)?;
    let mut last = None;
    for (index, path) in files.iter().enumerate() {
        let bytes = read(path).map_err(failed)?;
        let end = walk(&bytes, &mut last);
        if end == bytes.len() {
            continue;
        }
        let rest = &bytes[end..];
        // A whole batch under a number that does not follow is not torn.
        let beyond = (0..rest.len()).any(|at| batch(&rest[at..]).is_some());
        if beyond || index + 1 < files.len() {
            let reason = format!("the write-ahead file {} of the tables cannot be read from byte {end}", path.display());
            return Err(damaged_at(acknowledged.max(1), &reason));
        }
        if !may_cut {
            let reason = "the data is of format 1 and its last write is torn: open it once with the version that wrote it";
            return Err(Error::Incompatible(reason.to_owned()));
        }
        tracing::warn!(file = %path.display(), at = end, "the last write to the tables was torn: cut");
        cut(path, end as u64).map_err(failed)?;
    }
    Ok(())
}

/// Oldest first.
fn files(database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut numbers = numbers(database)?;
    numbers.sort_unstable();
    Ok(numbers.into_iter().map(|number| path_of(database, number)).collect())
}

fn numbers(database: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(database)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok()));
    }
    Ok(numbers)
}

/// How many there have been, as their numbers say: they begin with 0, and the newest is never removed.
pub(super) fn made(database: &Path) -> io::Result<u64> {
    Ok(numbers(database)?.into_iter().max().map_or(0, |newest| newest.saturating_add(1)))
}

pub(super) fn path_of(database: &Path, number: u64) -> PathBuf {
    database.join(format!("{number}.jnl"))
}

/// The file without the zeros it was made with. A batch never ends with a zero.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut bytes = fs::read(path)?;
    let mut length = bytes.len();
    while length >= ZEROS.len() && bytes[length - ZEROS.len()..length] == ZEROS {
        length -= ZEROS.len();
    }
    length = bytes[..length].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(length);
    Ok(bytes)
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

/// Where the batches end that are whole and follow on each other. `last` is the number of the last one.
fn walk(bytes: &[u8], last: &mut Option<u64>) -> usize {
    let mut at = 0;
    while let Some((length, number)) = batch(&bytes[at..]) {
        if last.is_some_and(|last| !(last + 1..last + LARGEST_STEP).contains(&number)) {
            break;
        }
        (at, *last) = (at + length, Some(number));
    }
    at
}

/// The length and the number of the batch that begins here, if it is whole.
fn batch(bytes: &[u8]) -> Option<(usize, u64)> {
    let mut rest = Rest { bytes };
    rest.tag(START)?;
    let items = rest.u32()?;
    // The checksum leaves this number out, which says which of two rows under a key is the newer. Near its end the database
    // would panic.
    let sequence = rest.u64()?;
    let body = rest.bytes;
    for _ in 0..items {
        match rest.take(1)? {
            [ITEM] => rest.item()?,
            [CLEAR] => drop(rest.take(8)?),
            _ => return None,
        }
    }
    let body = &body[..body.len() - rest.bytes.len()];
    rest.tag(END)?;
    let sum = rest.u64()?;
    let sealed = rest.take(VERSION.len())? == VERSION && sum == xxhash_rust::xxh3::xxh3_64(body);
    let whole = sealed && sequence < SEQUENCE_END;
    whole.then_some((bytes.len() - rest.bytes.len(), sequence))
}

/// What is not yet parsed.
struct Rest<'a> {
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn tag(&mut self, tag: u8) -> Option<()> {
        (self.take(1)? == [tag]).then_some(())
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// An item behind its tag.
    fn item(&mut self) -> Option<()> {
        self.take(2 + 8)?;
        let key = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        self.u32()?;
        let value = self.u32()?;
        self.take(usize::from(key))?;
        self.take(usize::try_from(value).ok()?).map(drop)
    }
}
