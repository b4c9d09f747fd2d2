//! From a backup to a data directory.
//!
//! Invariant: until [`Restoration::finish`] the directory is none that anything opens: its description has another name, and a
//! start that finds that name refuses it. So a restore that was killed is never taken for one that was done.

use super::writer::sync_directories;
use super::{Error, FileEntry, Manifest, Progress, at, beginning, damaged};
use crate::contract::{Journal, Log, LogId};
use crate::embedded::{Claim, EmbeddedJournal};
use crate::history;
use crate::lock::{self, DirectoryLock};
use crate::private;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// See the module.
pub struct Restoration {
    journal: Arc<EmbeddedJournal>,
    pub manifest: Manifest,
    /// Dropped last, when the journal is closed.
    target: Target,
}

/// The directory that is filled. What was put into it is removed again if that came to nothing: nobody else can have put it
/// there, as it was empty when it was locked, and is locked until then.
struct Target {
    dir: PathBuf,
    done: bool,
    _lock: DirectoryLock,
}

impl Restoration {
    /// Puts the files of a backup into an empty directory, each of them checked, and opens the journal they make.
    ///
    /// # Errors
    /// If the backup is not whole, the directory is not empty, or there is no room.
    pub fn begin(backup: &Path, dir: &Path, reserve: u64, progress: Progress<'_>) -> Result<Self, Error> {
        let manifest = Manifest::read(backup)?;
        refuse_used(dir)?;
        let claim = Claim::take(dir)?;
        // Again: somebody may have begun to use it meanwhile.
        refuse_used(dir)?;
        let target = Target { dir: dir.to_owned(), done: false, _lock: claim.lock() };
        let (end, partitions) = (manifest.tip.commit, manifest.partitions);
        let copy = |dir: &Path| copy_all(backup, dir, &manifest, progress);
        let begin =
            |journal: &EmbeddedJournal| if manifest.begins_later() { beginning::restore(backup, journal) } else { Ok(()) };
        let journal = EmbeddedJournal::restore(claim, partitions, end, reserve, manifest.bytes(), copy, begin)?;
        let tip = journal.tip(LogId(0))?;
        if journal.end(LogId(0)) != end || tip.is_some_and(|tip| tip != manifest.tip) {
            return Err(damaged("log", format!("it does not end with commit {end}, as the manifest says")));
        }
        if let Some(name) = &manifest.journal {
            history::give_name(&journal, name)?;
        }
        Ok(Self { journal: Arc::new(journal), manifest, target })
    }

    pub fn journal(&self) -> Arc<dyn Journal> {
        self.journal.clone()
    }

    /// Makes it a data directory. Nobody else may have the journal any more.
    ///
    /// # Errors
    /// If that cannot be made durable.
    pub fn finish(self) -> Result<Manifest, Error> {
        let mut target = self.target;
        let (journal, manifest) = (self.journal, self.manifest);
        sync_directories(&target.dir)?;
        EmbeddedJournal::restored(&target.dir)?;
        target.done = true;
        drop(journal);
        Ok(manifest)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.done
            && let Err(error) = empty(&self.dir)
        {
            tracing::warn!(%error, "{} has the rest of a restore that failed: empty it", self.dir.display());
        }
    }
}

fn empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == OsStr::new(OF_THE_SYSTEM) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// In the top directory of a file system.
const OF_THE_SYSTEM: &str = "lost+found";

fn refuse_used(dir: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(dir)(error)),
    };
    for entry in entries {
        let name = entry.map_err(at(dir))?.file_name();
        if ![OF_THE_SYSTEM, lock::NAME].map(OsStr::new).contains(&name.as_os_str()) {
            return Err(Error::NotEmpty(dir.to_owned()));
        }
    }
    Ok(())
}

fn copy_all(backup: &Path, dir: &Path, manifest: &Manifest, progress: Progress<'_>) -> Result<(), Error> {
    let (all, mut done) = (manifest.bytes(), 0);
    for file in &manifest.files {
        if file.is_of_beginning() {
            file.copy_checked(backup, &mut io::sink())?;
        } else {
            copy(backup, dir, file)?;
        }
        done += file.bytes;
        progress(done, all);
    }
    sync_directories(dir)
}

fn copy(backup: &Path, dir: &Path, file: &FileEntry) -> Result<(), Error> {
    let to = dir.join(&file.path);
    if let Some(parent) = to.parent().filter(|parent| *parent != dir) {
        private::directory(parent).map_err(at(parent))?;
    }
    let mut target = private::create(&to).map_err(at(&to))?;
    file.copy_checked(backup, &mut target)?;
    target.sync_all().map_err(at(&to))
}
