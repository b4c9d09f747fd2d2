//! A data directory that is put together from a copy of a log.
//!
//! Invariant: until it is done its description has another name, and whoever opens the directory meanwhile refuses it.

use super::creation::Layout;
use super::watermark::Watermark;
use super::{EmbeddedJournal, Log, Space};
use crate::journal::{Error, LogSeq};
use holdfast_engine::ids::Partitions;
use std::fs::File;
use std::io;
use std::path::Path;

/// A directory that is this process's alone, before anything is in it.
pub(crate) struct Claim {
    layout: Layout,
    lock: File,
}

impl Claim {
    /// # Errors
    /// If another process has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        let layout = Layout::restoring(dir);
        let lock = layout.lock()?;
        Ok(Self { layout, lock })
    }

    /// Keeps the directory for as long as it lives, whatever becomes of the claim.
    ///
    /// # Errors
    /// If the process may open no more files.
    pub(crate) fn share(&self) -> io::Result<File> {
        self.lock.try_clone()
    }
}

impl EmbeddedJournal {
    /// Opens what `fill` puts into the directory, of so many bytes: a log that ends with commit `end`. Its tables are empty.
    ///
    /// # Errors
    /// As `fill`, or if the log is not whole.
    pub(crate) fn restore<E: From<Error>>(
        claim: Claim,
        partitions: Partitions,
        end: LogSeq,
        reserve: u64,
        bytes: u64,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Self, E> {
        let Claim { layout, lock } = claim;
        layout.describe(partitions)?;
        Space { dir: layout.dir.clone(), reserve }.check(bytes)?;
        fill(&layout.dir)?;
        if end == 0 {
            Log::create(&layout.log)?;
        }
        Watermark::open(&layout.acknowledged)?.0.set(end)?;
        layout.create()?;
        Ok(Self::open_locked(&layout, lock, partitions.into(), reserve)?)
    }

    /// The directory is whole: from now on it opens.
    pub(crate) fn restored(dir: &Path) -> Result<(), Error> {
        Layout::at(dir).finish_restoring()
    }
}
