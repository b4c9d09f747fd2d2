//! A data directory that is put together from a copy of a log.
//!
//! Invariant: until it is done its description has another name, and whoever opens the directory meanwhile refuses it.

use super::creation::Layout;
use super::description::FORMAT;
use super::snapshots::Files;
use super::{EmbeddedJournal, Keeper, Log, Space};
use crate::contract::{Error, LogSeq};
use crate::lock::DirectoryLock;
use crate::watermark::Watermark;
use holdfast_engine::ids::Partitions;
use std::path::Path;

/// A directory that is this process's alone, before anything is in it.
pub(crate) struct Claim {
    layout: Layout,
    lock: DirectoryLock,
}

impl Claim {
    /// # Errors
    /// If another process has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        let lock = DirectoryLock::take(dir)?;
        Ok(Self { layout: Layout::restoring(dir), lock })
    }

    /// Keeps the directory for as long as it lives, whatever becomes of the claim.
    pub(crate) fn lock(&self) -> DirectoryLock {
        self.lock.clone()
    }
}

/// # Errors
/// If a restore into the directory was not finished, with what to do.
pub fn refuse_unfinished(dir: &Path) -> Result<(), Error> {
    Layout::at(dir).refuse_unfinished()
}

impl EmbeddedJournal {
    /// Opens what `fill` puts into the directory, of so many bytes: a log that ends with commit `end`. Its tables have what `begin` puts
    /// into them.
    ///
    /// # Errors
    /// As `fill` and `begin`, or if the log is not whole.
    pub(crate) fn restore<E: From<Error>>(
        claim: Claim,
        partitions: Partitions,
        end: LogSeq,
        reserve: u64,
        bytes: u64,
        fill: impl FnOnce(&Path) -> Result<(), E>,
        begin: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Self, E> {
        let Claim { layout, lock } = claim;
        layout.describe(FORMAT, partitions)?;
        Space { dir: layout.dir.clone(), reserve }.check(bytes)?;
        fill(&layout.dir)?;
        if end == 0 {
            Log::create(&layout.log)?;
        }
        Watermark::open(&layout.acknowledged)?.0.set(end)?;
        layout.create()?;
        let journal = Self::assembled(&layout, Keeper::Writer { _lock: lock.lend()? }, partitions.into(), reserve)?;
        Files::open(&layout.snapshots)?;
        // What is put beside the log says which commit it follows from.
        journal.look_at_tip()?;
        begin(&journal)?;
        journal.resume(&layout)?;
        Ok(journal)
    }

    /// The directory is whole: from now on it opens.
    pub(crate) fn restored(dir: &Path) -> Result<(), Error> {
        Layout::at(dir).finish_restoring()
    }
}
