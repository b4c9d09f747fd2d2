//! The files of a data directory, how they come to be, and how the database in it is set up.
//!
//! Invariant: creation is all or nothing. The description is written first, the database is made under another name and
//! renamed when it is whole, so a crash at any moment leaves a directory that opens.

use super::description::{Description, FORMAT, LOG_IN_FILES, SNAPSHOTS_IN_FILES};
use super::failure::{damaged_file, failed, file_failed, tables_failed};
use super::presence::InUse;
use crate::contract::{Error, Table, WantedPartitions};
use crate::lock;
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use holdfast_engine::ids::Partitions;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MIB: u64 = 1024 * 1024;

/// Files of tables that are kept open. Beside them are those that are just written.
pub const TABLE_FILES: usize = 256;

/// Where everything is.
pub(super) struct Layout {
    pub(super) dir: PathBuf,
    description: PathBuf,
    pub(super) acknowledged: PathBuf,
    /// Number of the last rows that somebody was told of.
    pub(super) projected: PathBuf,
    pub(super) log: PathBuf,
    pub(super) snapshots: PathBuf,
    pub(super) database: PathBuf,
}

impl Layout {
    pub(super) fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            description: dir.join("holdfast.meta"),
            acknowledged: dir.join("acknowledged"),
            projected: dir.join("projected"),
            log: dir.join("log"),
            snapshots: dir.join("snapshots"),
            database: dir.join("tables"),
        }
    }

    /// Of a directory that is being restored: its description has another name until that is done.
    pub(super) fn restoring(dir: &Path) -> Self {
        let layout = Self::at(dir);
        Self { description: layout.unfinished(), ..layout }
    }

    fn unfinished(&self) -> PathBuf {
        self.dir.join("holdfast.meta.restoring")
    }

    /// Refuses what a restore has not put together yet.
    pub(super) fn refuse_unfinished(&self) -> Result<(), Error> {
        match self.unfinished().try_exists() {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::Incompatible(
                "a restore into this directory was not finished\n  empty it and run `holdfast restore` again".to_owned(),
            )),
            Err(error) => Err(file_failed("the data directory", &self.dir, &error)),
        }
    }

    /// The directory is restored: from now on it opens.
    pub(super) fn finish_restoring(&self) -> Result<(), Error> {
        let done = fs::rename(self.unfinished(), self.dir.join("holdfast.meta")).and_then(|()| self.sync());
        done.map_err(|error| file_failed("the data directory", &self.dir, &error))
    }

    /// The format and the number of partitions the data was created with; describes it if it is new.
    pub(super) fn described(&self, wanted: WantedPartitions) -> Result<(u32, Partitions), Error> {
        match self.description()? {
            Some(found) => Ok((found.format, wanted.accept(found.partitions)?)),
            None if self.exists()? => {
                let reason = "it is missing beside the journal, and says how many partitions the data has";
                Err(damaged_file(&self.description, reason))
            }
            None => {
                let partitions = wanted.accept(wanted.if_new)?;
                self.describe(FORMAT, partitions)?;
                Ok((FORMAT, partitions))
            }
        }
    }

    /// The format that the data says it has, that of today if it says nothing.
    pub(super) fn format(&self) -> Result<u32, Error> {
        Ok(self.description()?.map_or(FORMAT, |found| found.format))
    }

    /// What the data says of itself; `None` if it says nothing.
    pub(super) fn description(&self) -> Result<Option<Description>, Error> {
        match fs::read(&self.description) {
            Ok(bytes) => Description::parse(&bytes, &self.description).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_failed("the description", &self.description, &error)),
        }
    }

    /// A description of an earlier build gets the format of today and a checksum, on the disk when this returns.
    pub(super) fn upgrade_description(&self) -> Result<(), Error> {
        match self.description()? {
            Some(found) if found.format < FORMAT || !found.sealed => self.describe(FORMAT, found.partitions),
            Some(_) | None => Ok(()),
        }
    }

    /// Says what the data is of.
    pub(super) fn describe(&self, format: u32, partitions: Partitions) -> Result<(), Error> {
        let text = Description { format, partitions, sealed: true }.text();
        self.write_description(&text).map_err(|error| file_failed("the description", &self.description, &error))
    }

    fn write_description(&self, text: &str) -> io::Result<()> {
        let new = self.dir.join("holdfast.meta.new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.description)?;
        self.sync()
    }

    /// What is open for as long as the journal is, beside the files of the log.
    pub(super) fn in_use(&self) -> Result<InUse, Error> {
        let files = [self.dir.join(lock::NAME), self.acknowledged.clone(), self.projected.clone(), self.database.join("lock")];
        InUse::of(&files, &self.database).map_err(|error| file_failed("the data directory", &self.dir, &error))
    }

    /// The database of format 1 had another name.
    pub(super) fn rename_database(&self) -> Result<(), Error> {
        match fs::rename(self.dir.join("journal"), &self.database) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_failed("the journal", &self.database, &error)),
            Ok(()) | Err(_) => self.sync().map_err(|error| file_failed("the data directory", &self.dir, &error)),
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    /// Whether anything was kept here before.
    pub(super) fn exists(&self) -> Result<bool, Error> {
        Ok(self.has_tables()? || self.log.try_exists().map_err(|error| file_failed("the log", &self.log, &error))?)
    }

    pub(super) fn has_tables(&self) -> Result<bool, Error> {
        self.database.try_exists().map_err(|error| file_failed("the journal", &self.database, &error))
    }

    /// Makes an empty database. Half of one, left by a crash, does not open: it is thrown away.
    pub(super) fn create(&self) -> Result<(), Error> {
        let failed_at = |error: io::Error| file_failed("the journal", &self.database, &error);
        let new = self.dir.join("tables.new");
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed_at(error)),
            Ok(()) | Err(_) => {}
        }
        let refuse = |error| tables_failed(&new, failed(error));
        let database = self.open(&new).map_err(refuse)?;
        let tables = open_tables(&database).map_err(refuse)?;
        database.persist(PersistMode::SyncAll).map_err(refuse)?;
        drop((tables, database));
        fs::rename(&new, &self.database).and_then(|()| self.sync()).map_err(failed_at)
    }

    /// Memory: at most 4 memtables a keyspace, in practice one; the cache is for archived orders.
    pub(super) fn open(&self, path: &Path) -> fjall::Result<Database> {
        Database::builder(path)
            .manual_journal_persist(true)
            // Bounds what an open has to replay, row by row; beyond it the idle keyspaces are flushed too. The least there can be.
            .max_journaling_size(64 * MIB)
            // One flushes while the other compacts: a long compaction must not hold back a flush, which holds back rows.
            .worker_threads(2)
            .cache_size(64 * MIB)
            .max_cached_files(Some(TABLE_FILES))
            .open()
    }
}

/// The tables of the database, in the order of [`Table::ALL`].
pub(super) type Tables = [Keyspace; Table::ALL.len()];

/// Until format 4 the part of the snapshots.
pub(super) const SNAPSHOTS: &str = "snapshots";

/// The parts that the database of a format has: a list of them, the tables, and once the snapshots.
pub(super) fn parts(format: u32) -> usize {
    match format {
        ..LOG_IN_FILES => 1,
        LOG_IN_FILES..SNAPSHOTS_IN_FILES => 2 + Table::ALL.len(),
        SNAPSHOTS_IN_FILES.. => 1 + Table::ALL.len(),
    }
}

/// The database makes a part anew that it does not find. Where the log is in files of its own there are all of them.
pub(super) fn refuse_missing(database: &Database, layout: &Layout, format: u32) -> Result<(), Error> {
    let snapshots = (format < SNAPSHOTS_IN_FILES).then_some(SNAPSHOTS);
    let mut names = Table::ALL.map(Table::name).into_iter().chain(snapshots);
    match names.find(|name| format >= LOG_IN_FILES && !database.keyspace_exists(name)) {
        Some(name) => Err(damaged_file(&layout.database, &format!("the table of {name} is gone"))),
        None => Ok(()),
    }
}

/// Opens all tables, making those that are missing. The options of one count when it is made.
pub(super) fn open_tables(database: &Database) -> fjall::Result<Tables> {
    let table = |table: Table| database.keyspace(table.name(), table_options);
    let [orders, keys, movements, meta] = Table::ALL;
    Ok([table(orders)?, table(keys)?, table(movements)?, table(meta)?])
}

/// Nearly every question about a key is about one that is not there: the filters answer it from memory, 2 bytes a row.
fn table_options() -> KeyspaceCreateOptions {
    let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(16.0));
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(8 * MIB)
        .filter_policy(FilterPolicy::all(filter))
        .filter_block_pinning_policy(PinningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(true))
}
