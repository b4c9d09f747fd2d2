//! The default journal: a log in files of our own, and a `fjall` database for what follows from it, in the data directory.
//!
//! A commit is one frame under the next log number, written to the newest file of the log and synced; nothing else is in
//! that sync. Invariants: no acknowledged commit is ever silently left out (see [`log`] and [`crate::watermark`]); after a failed
//! append nothing is written until the directory is opened anew; one process at a time.

mod closing;
mod creation;
mod description;
mod failure;
mod log;
mod manifests;
mod observing;
mod presence;
mod restoring;
mod snapshots;
mod space;
mod upgrade;
mod wal;

use crate::contract::{
    self, Checked, CommitCheck, Error, Keep, Log as _, LogId, LogSeq, Pace, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table,
    Visit, WantedPartitions,
};
use crate::lock::{DirectoryLock, Lent};
use crate::marks::{self, Marks};
use crate::recovery;
use crate::rows::meta::LAST_ROWS;
use crate::watermark::Watermark;
use creation::{Layout, Tables};
use description::{FORMAT, LOG_IN_FILES, SNAPSHOTS_IN_FILES};
use failure::{damaged_at, failed, refused, tables_failed};
use fjall::{Database, Keyspace, PersistMode};
use holdfast_engine::Causality;
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::ids::{PartitionId, Partitions};
use presence::InUse;
pub(crate) use restoring::Claim;
pub use restoring::refuse_unfinished;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

pub use creation::TABLE_FILES;
pub(crate) use log::{Log, LogCopy};
pub(crate) use space::Space;
pub use space::{RESERVE, has_room};

/// See the module. Closing is dropping it.
pub struct EmbeddedJournal {
    partitions: Partitions,
    end: AtomicU64,
    /// The commit at the end with its check value.
    tip: Mutex<Option<CommitCheck>>,
    stopped: AtomicBool,
    /// Serialises appends, which the contract asks of the caller: numbers stay dense even if two call at once.
    mark: Mutex<Watermark>,
    /// The number of the last rows, in the tables under [`LAST_ROWS`] and beside them: what left memory is in rows only.
    projected: Mutex<(Watermark, u64)>,
    log: Log,
    snapshots: snapshots::Files,
    tables: Tables,
    database: Database,
    space: Space,
    /// Of a writer.
    in_use: Option<InUse>,
    /// Released last, when the database is closed.
    keeper: Keeper,
}

/// Who has the directory.
enum Keeper {
    Writer {
        _lock: Lent,
    },
    Reader {
        /// With others, if it was ever written where it lies.
        _shared: Option<File>,
        /// Where the database is.
        _scratch: TempDir,
    },
}

impl Keeper {
    fn writes(&self) -> bool {
        matches!(self, Keeper::Writer { .. })
    }
}

impl EmbeddedJournal {
    /// Opens the data in `dir`, or creates it with the wanted partitions.
    ///
    /// # Errors
    /// [`Error::OtherPartitions`] or [`Error::TooManyShards`] if the data has not what is wanted,
    /// [`Error::Locked`] if another process has it, [`Error::Incompatible`] if another version wrote it,
    /// [`Error::Damaged`] naming the first record that is not as it was acknowledged, [`Error::Full`] without space.
    pub fn open(dir: &Path, partitions: impl Into<WantedPartitions>) -> Result<Self, Error> {
        Self::open_with_reserve(dir, partitions, RESERVE)
    }

    /// As [`Self::open`], with so many bytes to stay free on the disk, or 0 to open on a full one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_reserve(dir: &Path, wanted: impl Into<WantedPartitions>, reserve: u64) -> Result<Self, Error> {
        Self::open_under(&DirectoryLock::take(dir)?, wanted, reserve)
    }

    /// As [`Self::open_with_reserve`], in a directory that this process has already.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Error::Locked`] while another journal of this process is open in it.
    pub fn open_under(lock: &DirectoryLock, wanted: impl Into<WantedPartitions>, reserve: u64) -> Result<Self, Error> {
        let lent = lock.lend()?;
        let layout = Layout::at(lock.dir());
        layout.refuse_unfinished()?;
        Self::open_locked(&layout, Keeper::Writer { _lock: lent }, wanted.into(), reserve)
    }

    fn open_locked(layout: &Layout, keeper: Keeper, wanted: WantedPartitions, reserve: u64) -> Result<Self, Error> {
        let journal = Self::assembled(layout, keeper, wanted, reserve)?;
        journal.resume(layout)?;
        Ok(journal)
    }

    /// Its parts are whole, and whether they belong together is not known.
    fn assembled(layout: &Layout, keeper: Keeper, wanted: WantedPartitions, reserve: u64) -> Result<Self, Error> {
        let (format, partitions) = layout.described(wanted)?;
        let (mark, acknowledged) = Watermark::open(&layout.acknowledged)?;
        let (projected, watermark) = Watermark::open(&layout.projected)?;
        if format < LOG_IN_FILES {
            layout.rename_database()?;
        }
        let format = if layout.has_tables()? {
            manifests::check(&layout.database, creation::parts(format))?;
            wal::check(&layout.database, acknowledged, format >= LOG_IN_FILES)?;
            format
        } else if acknowledged > 0 {
            return Err(damaged_at(1, "the tables beside the log are gone"));
        } else {
            Log::create(&layout.log)?;
            layout.create()?;
            FORMAT
        };
        let refuse = |error| tables_failed(&layout.database, refused(error, acknowledged));
        let database = layout.open(&layout.database).map_err(refuse)?;
        let space = Space { dir: layout.dir.clone(), reserve };
        creation::refuse_missing(&database, layout, format)?;
        let tables = creation::open_tables(&database).map_err(refuse)?;
        if format < LOG_IN_FILES {
            space.check(database.write_buffer_size())?;
            upgrade::copy_log(&database, layout, acknowledged, &space)?;
            layout.describe(LOG_IN_FILES, partitions)?;
        }
        upgrade::drop_log(&database).map_err(refuse)?;
        let look = if keeper.writes() { Log::look } else { Log::look_only };
        let (log, end) = look(&layout.log, acknowledged, space.clone())?;
        let rows = last_rows(&tables)?;
        if rows < watermark {
            let reason = format!("it ends with rows {rows}, and {watermark} were reported: it is older than the files beside it");
            return Err(failure::damaged_file(&layout.database, &reason));
        }
        Ok(Self {
            partitions,
            end: AtomicU64::new(end),
            tip: Mutex::new(None),
            stopped: AtomicBool::new(!keeper.writes()),
            mark: Mutex::new(mark),
            projected: Mutex::new((projected, rows)),
            log,
            snapshots: snapshots::Files::at(&layout.snapshots),
            tables,
            database,
            space,
            in_use: keeper.writes().then(|| layout.in_use()).transpose()?,
            keeper,
        })
    }

    /// What an earlier format had in the database goes into files. Before the first row is written, the description says so: a build
    /// that would not find them refuses the data from now on.
    fn upgrade(&self, layout: &Layout) -> Result<(), Error> {
        let upgrades = self.database.keyspace_exists(creation::SNAPSHOTS) && layout.format()? < SNAPSHOTS_IN_FILES;
        if upgrades || self.keeper.writes() {
            snapshots::Files::open(&layout.snapshots)?;
            // Where nothing else of the directory changes its entry must not be lost.
            layout.sync().map_err(|error| failure::file_failed("the data directory", &layout.dir, &error))?;
        }
        if upgrades {
            upgrade::copy_snapshots(&self.database, self.partitions, &self.snapshots, self.basis(), &self.space)?;
        }
        if self.keeper.writes() {
            layout.upgrade_description()?;
            upgrade::drop_snapshots(&self.database).map_err(failed)?;
        }
        Ok(())
    }

    /// Nothing of the log is changed before tables and snapshots are known to belong to it.
    fn resume(&self, layout: &Layout) -> Result<(), Error> {
        Marks::read(self, &self.logs())?.check(self)?;
        marks::check_snapshots(self, LogId(0), self.snapshots.basis(self.partitions))?;
        if self.keeper.writes() {
            self.log.settle()?;
            self.space.check(self.database.write_buffer_size())?;
        }
        self.look_at_tip()?;
        self.upgrade(layout)
    }

    fn look_at_tip(&self) -> Result<(), Error> {
        *self.tip.lock().unwrap_or_else(PoisonError::into_inner) = contract::read_tip(self, LogId(0))?;
        Ok(())
    }

    fn write(&self, log: LogSeq, batch: &Batch, mark: &Watermark) -> Result<(), Error> {
        // What is in memory only has yet to be written to tables.
        self.space.check(self.database.write_buffer_size().saturating_add(batch.entries.len() as u64))?;
        let frame = batch.frame();
        self.log.append(log, &frame)?;
        let tip = CommitCheck { commit: log, check: codec::frame_check(&frame)? };
        *self.tip.lock().unwrap_or_else(PoisonError::into_inner) = Some(tip);
        mark.set(log)
    }

    /// What all that is durable follows from.
    fn basis(&self) -> CommitCheck {
        let tip = *self.tip.lock().unwrap_or_else(PoisonError::into_inner);
        tip.unwrap_or(CommitCheck { commit: 0, check: 0 })
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

fn last_rows([_, _, _, meta]: &Tables) -> Result<u64, Error> {
    let number = meta.get(LAST_ROWS).map_err(failed)?;
    Ok(number.and_then(|number| (*number).try_into().ok()).map_or(0, u64::from_be_bytes))
}

impl Drop for EmbeddedJournal {
    fn drop(&mut self) {
        if self.running().is_ok() && !std::thread::panicking() {
            closing::flush(&self.database, &self.tables);
        }
    }
}

impl contract::Log for EmbeddedJournal {
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
        match self.write(log, batch, &mark) {
            Ok(()) => {
                self.end.store(log, Ordering::Release);
                Ok(log)
            }
            Err(error) => {
                self.stopped.store(true, Ordering::Release);
                // Where the files are gone, what the system says of it is of no help.
                Err(self.intact().err().unwrap_or(error))
            }
        }
    }

    fn intact(&self) -> Result<(), Error> {
        let intact = self.in_use.as_ref().map_or(Ok(()), InUse::check).and_then(|()| self.log.intact());
        self.stopped.fetch_or(intact.is_err(), Ordering::AcqRel);
        intact
    }

    fn end(&self, _: LogId) -> LogSeq {
        self.last()
    }

    fn tip(&self, _: LogId) -> Result<Option<CommitCheck>, Error> {
        Ok(*self.tip.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn first(&self, _: LogId) -> Result<LogSeq, Error> {
        Ok(self.log.first())
    }

    fn due_before(&self, _: LogId, keep: Keep) -> Result<LogSeq, Error> {
        self.log.due_before(keep.bytes, |commit| match keep.since {
            // No later commit has an earlier time.
            Some(since) => Ok(recovery::made_at(self, LogId(0), commit)?.is_some_and(|at| at < since)),
            None => Ok(false),
        })
    }

    /// Whole files go: what is left of one that holds a later commit stays.
    fn purge(&self, log: LogId, floor: LogSeq, keep: Keep) -> Result<LogSeq, Error> {
        self.running()?;
        // The last commit stays whatever nobody reads: it says which history this is.
        let floor = floor.min(self.due_before(log, keep)?).min(self.last());
        self.log.purge(floor.max(self.log.first()))
    }

    fn read(&self, _: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.log.read(after, self.last(), visit)
    }

    fn check_next_file(&self, after: LogSeq, pace: Pace<'_>) -> Result<Option<Checked>, Error> {
        self.log.check_next(after, pace)
    }
}

impl Snapshots for EmbeddedJournal {
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.running()?;
        // Never into a directory that has taken the place of this one.
        self.in_use.as_ref().map_or(Ok(()), InUse::check_files)?;
        self.space.check(self.database.write_buffer_size().saturating_add(snapshot.state.len() as u64))?;
        self.snapshots.save(snapshot, self.basis())
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        Ok(self.snapshots.heads(partition))
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        Ok(self.snapshots.load(head))
    }
}

impl Rows for EmbeddedJournal {
    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        self.running()?;
        // Two rows under one key of one batch have the same age in the database: only the last may go in.
        let last: BTreeMap<(Table, &[u8]), &[u8]> = rows.iter().map(|row| ((row.table, &*row.key), &*row.value)).collect();
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for ((table, key), value) in last {
            batch.insert(self.table(table), key, value);
        }
        let mut projected = self.projected.lock().unwrap_or_else(PoisonError::into_inner);
        let number = projected.1 + 1;
        batch.insert(self.table(Table::Meta), LAST_ROWS, number.to_be_bytes());
        batch.commit().map_err(failed)?;
        projected.1 = number;
        projected.0.set(number)
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
