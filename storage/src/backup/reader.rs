//! A backup as a journal that can be read and nothing else: what `verify` folds.
//!
//! Invariant: it has the log and no table. What left memory is found again by folding the log from its first commit, as a
//! restore does.

use super::{Error, Manifest, Progress, damaged};
use crate::contract::{self, Log as _, LogId, LogSeq, Row, Rows, Snapshot, Snapshots, Table, Visit};
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
        let journal = Self { partitions, end: found, log: log.map(|(log, _)| log) };
        let tip = journal.tip(LogId(0))?;
        if found != end || tip.is_some_and(|tip| tip != manifest.tip) {
            return Err(damaged("log", format!("it ends with another commit {found} than commit {end} of the manifest")));
        }
        Ok(journal)
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
}

impl Snapshots for BackupJournal {
    fn save_snapshot(&self, _: &Snapshot) -> Result<(), contract::Error> {
        Err(contract::Error::Stopped)
    }

    fn snapshots(&self, _: PartitionId) -> Result<Vec<Snapshot>, contract::Error> {
        Ok(Vec::new())
    }
}

impl Rows for BackupJournal {
    fn project(&self, _: &[Row]) -> Result<(), contract::Error> {
        Err(contract::Error::Stopped)
    }

    fn get(&self, _: Table, _: &[u8]) -> Result<Option<Vec<u8>>, contract::Error> {
        Ok(None)
    }

    fn scan(&self, _: Table, _: &[u8], _: &[u8], _: usize) -> Result<Vec<Row>, contract::Error> {
        Ok(Vec::new())
    }
}
