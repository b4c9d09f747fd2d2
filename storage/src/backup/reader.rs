//! A backup as a journal that can be read and nothing else: what `verify` folds.
//!
//! Invariant: it has the log, and of one that is whole no table: what left memory is found again by folding it from its first commit, as
//! a restore does. Of a log whose beginning was deleted it has snapshots and rows.

use super::beginning::Beginning;
use super::{Error, Manifest, Progress, damaged};
use crate::contract::{self, Log as _, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use crate::embedded::{Log, Space};
use holdfast_engine::Causality;
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::{PartitionId, Partitions};
use std::io;
use std::path::Path;

/// See the module.
pub struct BackupJournal {
    partitions: Partitions,
    end: LogSeq,
    /// None where there is no commit.
    log: Option<Log>,
    /// Of a log that does not begin with its first commit.
    beginning: Option<Beginning>,
}

impl BackupJournal {
    /// A finished backup, every file of which is as it was written.
    ///
    /// # Errors
    /// [`Error::NotABackup`], or [`Error::Damaged`] naming the file.
    pub fn check(backup: &Path, progress: Progress<'_>) -> Result<Self, Error> {
        let manifest = Manifest::read(backup)?;
        let (all, mut done) = (manifest.bytes(), 0);
        for file in &manifest.files {
            file.copy_checked(backup, &mut io::sink())?;
            done += file.bytes;
            progress(done, all);
        }
        Self::open(backup, &manifest)
    }

    pub(super) fn open(dir: &Path, manifest: &Manifest) -> Result<Self, Error> {
        let (partitions, end) = (manifest.partitions, manifest.tip.commit);
        let space = Space { dir: dir.to_owned(), reserve: 0 };
        let log = if end > 0 { Some(Log::look_only(&dir.join("log"), end, space)?) } else { None };
        let found = log.as_ref().map_or(0, |(_, found)| *found);
        let beginning = manifest.begins_later().then(|| Beginning::open(dir)).transpose()?;
        let journal = Self { partitions, end: found, log: log.map(|(log, _)| log), beginning };
        let tip = journal.tip(LogId(0))?;
        if found != end || tip.is_some_and(|tip| tip != manifest.tip) {
            return Err(damaged("log", format!("it ends with another commit {found} than commit {end} of the manifest")));
        }
        Ok(journal)
    }
}

impl BackupJournal {
    /// What stands for the records of a partition that were deleted before the backup.
    fn of_beginning(&self, partition: PartitionId) -> Result<Option<Snapshot>, contract::Error> {
        self.beginning.as_ref().map_or(Ok(None), |beginning| beginning.snapshot(partition)).map_err(unread)
    }
}

fn unread(error: Error) -> contract::Error {
    match error {
        Error::Damaged { file, reason } => contract::Error::DamagedFile { file, reason },
        Error::Journal(error) => error,
        other => contract::Error::Failed(other.to_string()),
    }
}

impl contract::Log for BackupJournal {
    fn causality(&self) -> Causality {
        Causality::OneLog
    }

    fn partitions(&self) -> Partitions {
        self.partitions
    }

    fn append(&self, _: LogId, _: &Batch) -> Result<LogSeq, contract::Error> {
        Err(contract::Error::Stopped)
    }

    fn end(&self, _: LogId) -> LogSeq {
        self.end
    }

    fn read(&self, _: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), contract::Error> {
        self.log.as_ref().map_or(Ok(()), |log| log.read(after, self.end, visit))
    }

    fn first(&self, _: LogId) -> Result<LogSeq, contract::Error> {
        Ok(self.log.as_ref().map_or(1, Log::first))
    }
}

impl Snapshots for BackupJournal {
    fn save_snapshot(&self, _: &Snapshot) -> Result<(), contract::Error> {
        Err(contract::Error::Stopped)
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, contract::Error> {
        Ok(self.of_beginning(partition)?.iter().map(Snapshot::head).collect())
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, contract::Error> {
        Ok(self.of_beginning(head.partition)?.filter(|snapshot| snapshot.head() == head))
    }
}

impl Rows for BackupJournal {
    fn project(&self, _: &[Row]) -> Result<(), contract::Error> {
        Err(contract::Error::Stopped)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, contract::Error> {
        let behind = [key, &[0]].concat();
        Ok(self.scan(table, key, &behind, 1)?.pop().map(|row| row.value))
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, contract::Error> {
        self.beginning.as_ref().map_or(Ok(Vec::new()), |beginning| beginning.scan(table, from, to, limit)).map_err(unread)
    }
}
