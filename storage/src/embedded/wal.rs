//! Reads the write-ahead files of the database before the database does.
//!
//! The database cuts its newest file at the first bytes it cannot parse and goes on: damage in the middle would erase
//! every commit after it, and a torn last write with a wrong checksum would keep it shut for ever. So the files are
//! checked first. Invariant: what may have been acknowledged is never cut; only a torn tail that nobody was promised is.
//!
//! A file is a row of batches: `1 | items u32 | seqno u64`, the items, `3 | xxh3 of the items u64 | "FJL\x03"`. An item is
//! `2 | type | compression | keyspace u64 | key length u16 | length u32 | stored length u32 | key | value`, or
//! `4 | keyspace u64`. Numbers are little-endian, and zeros follow the last batch.

use super::creation::LOG_ID;
use super::failure::{damaged_at, file_failed};
use crate::journal::{Error, LogSeq};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The version of the database whose files look like this.
const VERSION: &[u8; 4] = b"FJL\x03";
/// A thousand years of writes.
const SEQUENCE_END: u64 = 1 << 56;
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Refuses damage before the last acknowledged commit and cuts a torn tail behind it.
pub(super) fn check(database: &Path, acknowledged: LogSeq) -> Result<(), Error> {
    let failed = |error: io::Error| file_failed("the write-ahead files", &error);
    let version = fs::read(database.join("version")).map_err(failed)?;
    if version != VERSION {
        // The database itself refuses it, with a better reason.
        return Ok(());
    }
    let files = files(database).map_err(failed)?;
    let mut last = 0;
    for (index, path) in files.iter().enumerate() {
        let bytes = read(path).map_err(failed)?;
        let end = walk(&bytes, &mut last)?;
        if end == bytes.len() {
            continue;
        }
        let torn = Torn { end, last, acknowledged, newest: index + 1 == files.len() };
        torn.refuse_damage(&bytes)?;
        tracing::warn!(file = %path.display(), at = end, "the last write was torn and never acknowledged: cut");
        cut(path, end as u64).map_err(failed)?;
    }
    Ok(())
}

/// Oldest first.
fn files(database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        files.extend(number.map(|number| (number, path)));
    }
    files.sort_unstable();
    Ok(files.into_iter().map(|(_, path)| path).collect())
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

/// Walks whole batches and returns where they end. `last` is the last commit seen, 0 for none.
fn walk(bytes: &[u8], last: &mut LogSeq) -> Result<usize, Error> {
    let mut at = 0;
    while let Some(batch) = Batch::parse(&bytes[at..]) {
        if let Some(log) = batch.log {
            if *last > 0 && log != *last + 1 {
                return Err(damaged_at(*last + 1, &format!("the write-ahead files go on with {log}")));
            }
            *last = log;
        }
        at += batch.length;
    }
    Ok(at)
}

/// Bytes that are no batch.
struct Torn {
    end: usize,
    last: LogSeq,
    acknowledged: LogSeq,
    newest: bool,
}

impl Torn {
    /// A torn tail is the last thing in the newest file, and no acknowledged commit is in it.
    fn refuse_damage(&self, bytes: &[u8]) -> Result<(), Error> {
        let rest = &bytes[self.end..];
        // Commits are dense, so the one that should follow is known wherever another came before it.
        let record = if self.last > 0 { Some(self.last + 1) } else { begun(rest) };
        let beyond = (1..rest.len()).find_map(|at| Batch::parse(&rest[at..]));
        let promised = record.is_some_and(|record| record <= self.acknowledged);
        if self.newest && beyond.is_none() && !promised {
            return Ok(());
        }
        let before = beyond.and_then(|batch| batch.log).map(|log| log - 1);
        let record = record.or(before).unwrap_or(self.acknowledged).max(1);
        Err(damaged_at(record, &format!("the write-ahead file cannot be read from byte {}", self.end)))
    }
}

/// The commit a batch was begun with, if so much of it is there.
fn begun(bytes: &[u8]) -> Option<LogSeq> {
    let mut rest = Rest { bytes };
    rest.tag(START)?;
    rest.take(12)?;
    rest.tag(ITEM)?;
    rest.item()?.0
}

/// One whole batch.
struct Batch {
    length: usize,
    log: Option<LogSeq>,
}

impl Batch {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest { bytes };
        rest.tag(START)?;
        let items = rest.u32()?;
        // The checksum leaves this number out. Our keys are written once, so a wrong one changes no answer, and where
        // it made the database drop a commit the gap is found. But near its end the database would panic.
        let sequence = rest.u64()?;
        let body = rest.bytes;
        let mut log = None;
        for _ in 0..items {
            match rest.take(1)? {
                [ITEM] => {
                    let (number, length) = rest.item()?;
                    rest.take(length)?;
                    log = log.max(number);
                }
                [CLEAR] => drop(rest.take(8)?),
                _ => return None,
            }
        }
        let body = &body[..body.len() - rest.bytes.len()];
        rest.tag(END)?;
        let sum = rest.u64()?;
        let sealed = rest.take(VERSION.len())? == VERSION && sum == xxhash_rust::xxh3::xxh3_64(body);
        let whole = sealed && sequence < SEQUENCE_END;
        whole.then_some(Self { length: bytes.len() - rest.bytes.len(), log })
    }
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

    /// An item behind its tag, up to its value: the number, if it is a commit, and the length of the value.
    fn item(&mut self) -> Option<(Option<LogSeq>, usize)> {
        self.take(2)?;
        let keyspace = self.u64()?;
        let key_length = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        self.u32()?;
        let length = self.u32()?;
        let key = self.take(usize::from(key_length))?;
        let number = key.try_into().ok().filter(|_| keyspace == LOG_ID).map(LogSeq::from_be_bytes);
        Some((number, usize::try_from(length).ok()?))
    }
}
