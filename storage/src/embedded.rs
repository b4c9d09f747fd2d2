//! The default journal: one `fjall` database in the data directory.
//!
//! A commit is one frame under the next log number, written to the write-ahead file of the database and synced; nothing
//! else is in that sync. Invariants: no acknowledged commit is ever silently left out (see [`wal`] and [`watermark`]:
//! the database alone would shorten the log at the first bytes it cannot parse); after a failed append nothing is
//! written until the directory is opened anew; one process at a time.

mod creation;
mod failure;
mod rows;
mod snapshots;
mod space;
mod wal;
mod watermark;

use crate::journal::{Error, Journal, LogId, LogSeq, Row, Snapshot, Table, Visit};
use creation::Layout;
use failure::{damaged_at, failed, refused};
use fjall::{Database, Keyspace, PersistMode};
use holdfast_engine::Causality;
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::ids::{PartitionId, Partitions};
use rows::Rows;
use space::Space;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use watermark::Watermark;

pub use space::{RESERVE, has_room};

/// See the module. Closing is dropping it.
pub struct EmbeddedJournal {
    partitions: Partitions,
    end: AtomicU64,
    stopped: AtomicBool,
    /// Serialises appends, which the contract asks of the caller: numbers stay dense even if two call at once.
    mark: Mutex<Watermark>,
    log: Keyspace,
    snapshots: Keyspace,
    tables: [Keyspace; Table::ALL.len()],
    rows: Rows,
    database: Database,
    space: Space,
    /// Released last, when the database is closed.
    _lock: File,
}

impl EmbeddedJournal {
    /// Opens the data in `dir`, or creates it with `partitions_if_new`.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it, [`Error::Incompatible`] if another version wrote it,
    /// [`Error::Damaged`] naming the first record that is not as it was acknowledged, [`Error::Full`] without space.
    pub fn open(dir: &Path, partitions_if_new: Partitions) -> Result<Self, Error> {
        Self::open_with_reserve(dir, partitions_if_new, RESERVE)
    }

    /// As [`Self::open`], with so many bytes to stay free on the disk, or 0 to open on a full one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_reserve(dir: &Path, partitions_if_new: Partitions, reserve: u64) -> Result<Self, Error> {
        let layout = Layout::at(dir);
        let lock = layout.lock()?;
        let partitions = layout.partitions(partitions_if_new)?;
        let (mark, acknowledged) = Watermark::open(&layout.acknowledged)?;
        if layout.exists()? {
            wal::check(&layout.database, acknowledged)?;
        } else if acknowledged > 0 {
            return Err(damaged_at(1, "the journal is gone"));
        } else {
            layout.create()?;
        }
        let refuse = |error| refused(error, acknowledged);
        let database = layout.open(&layout.database).map_err(refuse)?;
        let keyspaces = creation::Keyspaces::open(&database).map_err(refuse)?;
        let end = checked_end(&keyspaces.log, acknowledged)?;
        let space = Space { dir: dir.to_owned(), reserve };
        space.check(database.write_buffer_size())?;
        Ok(Self {
            partitions,
            end: AtomicU64::new(end),
            stopped: AtomicBool::new(false),
            mark: Mutex::new(mark),
            log: keyspaces.log,
            snapshots: keyspaces.snapshots,
            tables: keyspaces.tables,
            rows: Rows::start()?,
            database,
            space,
            _lock: lock,
        })
    }

    fn write(&self, log: LogSeq, frame: Vec<u8>, mark: &Watermark) -> Result<(), Error> {
        // What is in memory only has yet to be written to tables, this commit included.
        self.space.check(self.database.write_buffer_size().saturating_add(2 * frame.len() as u64))?;
        self.log.insert(log.to_be_bytes(), frame).map_err(failed)?;
        self.persist()?;
        mark.set(log)
    }

    /// Flushes what was written and waits for the disk.
    ///
    /// `SyncData` is `fdatasync`, which covers the length of the file; the database makes the entry of a new
    /// write-ahead file in its directory durable before it uses the file.
    fn persist(&self) -> Result<(), Error> {
        self.database.persist(PersistMode::SyncData).map_err(failed)
    }

    fn last(&self) -> LogSeq {
        self.end.load(Ordering::Acquire)
    }

    /// Refuses after a failed append. What this instance wrote since is not known to be on disk.
    fn running(&self) -> Result<(), Error> {
        if self.stopped.load(Ordering::Acquire) { Err(Error::Stopped) } else { Ok(()) }
    }

    fn table(&self, table: Table) -> &Keyspace {
        let [orders, keys, movements, meta] = &self.tables;
        match table {
            Table::Orders => orders,
            Table::Keys => keys,
            Table::Movements => movements,
            Table::Meta => meta,
        }
    }
}

/// The last number of the log, if the log begins with 1 and reaches what was acknowledged.
fn checked_end(log: &Keyspace, acknowledged: LogSeq) -> Result<LogSeq, Error> {
    let refuse = |error| refused(error, acknowledged);
    let first = log.first_key_value().map(fjall::Guard::key).transpose().map_err(refuse)?;
    let last = log.last_key_value().map(fjall::Guard::key).transpose().map_err(refuse)?;
    let end = last.as_deref().map_or(Ok(0), log_of)?;
    match first.as_deref().map(log_of).transpose()? {
        Some(first) if first != 1 => Err(damaged_at(1, &format!("the log begins with {first}"))),
        Some(_) | None if end < acknowledged => {
            Err(damaged_at(end + 1, &format!("the log ends before it, and {acknowledged} was acknowledged")))
        }
        Some(_) | None => Ok(end),
    }
}

fn log_of(key: &[u8]) -> Result<LogSeq, Error> {
    let bytes = key.try_into().map_err(|_| Error::Failed("a key of the log is not a number".to_owned()))?;
    Ok(LogSeq::from_be_bytes(bytes))
}

impl Journal for EmbeddedJournal {
    fn causality(&self) -> Causality {
        Causality::OneLog
    }

    fn partitions(&self) -> Partitions {
        self.partitions
    }

    fn append(&self, _: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        let mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        self.running()?;
        let log = self.last() + 1;
        match self.write(log, batch.frame(), &mark) {
            Ok(()) => {
                self.end.store(log, Ordering::Release);
                Ok(log)
            }
            Err(error) => {
                self.stopped.store(true, Ordering::Release);
                Err(error)
            }
        }
    }

    fn end(&self, _: LogId) -> LogSeq {
        self.last()
    }

    fn read(&self, _: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        let end = self.last();
        if after >= end {
            return Ok(());
        }
        let mut log = after;
        for row in self.log.range((after + 1).to_be_bytes()..=end.to_be_bytes()) {
            log += 1;
            let (key, frame) = row.into_inner().map_err(|error| refused(error, log))?;
            if log_of(&key)? != log {
                return Err(damaged_at(log, "it is missing"));
            }
            codec::read_frame(&frame).map_err(|error| damaged_at(log, &error.to_string()))?;
            if visit(log, &frame)?.is_break() {
                return Ok(());
            }
        }
        if log < end {
            return Err(damaged_at(log + 1, "it is missing"));
        }
        Ok(())
    }

    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.running()?;
        snapshots::save(&self.snapshots, snapshot, || self.persist())
    }

    fn snapshots(&self, partition: PartitionId) -> Result<Vec<Snapshot>, Error> {
        snapshots::load_all(&self.snapshots, partition)
    }

    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        self.running()?;
        // Two rows under one key of one batch have the same age in the database: only the last may go in.
        let last: BTreeMap<(Table, &[u8]), &[u8]> = rows.iter().map(|row| ((row.table, &*row.key), &*row.value)).collect();
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for ((table, key), value) in last {
            batch.insert(self.table(table), key, value);
        }
        self.rows.commit(batch)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.table(table).get(key).map_err(failed)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        if from >= to {
            return Ok(Vec::new());
        }
        let rows = self.table(table).range(from..to).take(limit);
        let rows = rows.map(|row| row.into_inner().map_err(failed));
        rows.map(|row| row.map(|(key, value)| Row { table, key: key.to_vec(), value: value.to_vec(), version: 0 })).collect()
    }
}

#[cfg(test)]
mod tests;
