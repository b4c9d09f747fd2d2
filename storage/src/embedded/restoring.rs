//! A data directory that is put together from a copy of a log.
//!
//! Invariant: until it is done its description has another name, and whoever opens the directory meanwhile refuses it.

use super::creation::Layout;
use super::watermark::Watermark;
use super::{EmbeddedJournal, Log, Space};
use crate::journal::{Error, LogSeq};
use holdfast_engine::ids::Partitions;
use std::path::Path;

impl EmbeddedJournal {
    /// Opens what `fill` puts into the directory, of so many bytes: a log that ends with commit `end`. Its tables are empty.
    ///
    /// # Errors
    /// As `fill`, or if the log is not whole.
    pub(crate) fn restore<E: From<Error>>(
        dir: &Path,
        partitions: Partitions,
        end: LogSeq,
        reserve: u64,
        bytes: u64,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Self, E> {
        let layout = Layout::restoring(dir);
        let lock = layout.lock()?;
        layout.describe(partitions)?;
        Space { dir: dir.to_owned(), reserve }.check(bytes)?;
        fill(dir)?;
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
