//! Writing a backup beside a journal that goes on.
//!
//! Invariants: until it is finished it lies under `NAME.partial`, which is removed when the writer is dropped, and by the next
//! backup of that name where a process was killed; every file is on disk before the manifest, and the manifest before the name;
//! it never takes the last bytes of a disk, which whoever takes orders may need.

use super::manifest::{FileEntry, Manifest};
use super::{BackupJournal, Error, Progress, at, beginning};
use crate::contract::{self, CommitCheck, Journal, LogId, LogSeq};
use crate::embedded::{LogCopy, Space};
use crate::history;
use crate::private;
use holdfast_engine::codec;
use holdfast_engine::time::Timestamp;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// In a backup that is being written: locked by whoever writes it.
const LOCK: &str = "backup.lock";
/// Commits between two looks at whether to stop.
const STRIDE: u64 = 64;

/// See the module.
pub struct BackupWriter {
    to: PathBuf,
    partial: PathBuf,
    space: Space,
    manifest: Manifest,
    finished: bool,
    _lock: File,
}

impl BackupWriter {
    /// Begins a backup of `journal`, of now, that will be at `to`. So many bytes stay free on the disk, or 0 for all it has.
    ///
    /// # Errors
    /// If there is something at `to` already, or no room for the log.
    pub fn begin(journal: &dyn Journal, to: &Path, reserve: u64, now: Timestamp) -> Result<Self, Error> {
        if to.symlink_metadata().is_ok() {
            return Err(Error::Exists(to.to_owned()));
        }
        let partial = partial_of(to);
        clear(&partial)?;
        let manifest = Manifest {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            journal: history::name(journal)?,
            partitions: journal.partitions(),
            made_at: now,
            tip: CommitCheck { commit: 0, check: 0 },
            events: 0,
            secrets: false,
            files: Vec::new(),
        };
        private::directory(&partial).map_err(at(&partial))?;
        let lock = lock(&partial)?;
        let space = Space { dir: partial.clone(), reserve };
        let writer = Self { to: to.to_owned(), partial, space, manifest, finished: false, _lock: lock };
        writer.has_room(journal.bytes())?;
        Ok(writer)
    }

    fn has_room(&self, bytes: u64) -> Result<(), Error> {
        self.space.check(bytes).map_err(|_| Error::NoRoom(self.to.clone()))
    }

    /// Copies every commit that is durable now, and says which is the last.
    ///
    /// # Errors
    /// [`Error::Stopped`] once `stop` says so, or if the log cannot be read or the copy not be written.
    pub fn copy_log(
        &mut self,
        journal: &dyn Journal,
        stop: &dyn Fn() -> bool,
        progress: Progress<'_>,
    ) -> Result<CommitCheck, Error> {
        let mut copying = Copying::begin(&self.partial, &self.space)?;
        let copied = self.copy_all(journal, &mut copying, stop, progress).and_then(|()| copying.copy.finish());
        let files = copied.map_err(|error| self.explained(error, stop))?;
        let entry = |(name, bytes, checksum)| FileEntry { path: format!("log/{name}"), bytes, checksum };
        self.manifest.files.extend(files.into_iter().map(entry));
        (self.manifest.tip, self.manifest.events) = (copying.tip, copying.events);
        Ok(copying.tip)
    }

    /// Where the beginning of the log was deleted, what is beside the log takes its place. It is read behind the log, so that what came before
    /// the copy is in it, and what came meanwhile is copied behind it: nothing is beyond the log then.
    fn copy_all(
        &mut self,
        journal: &dyn Journal,
        copying: &mut Copying,
        stop: &dyn Fn() -> bool,
        progress: Progress<'_>,
    ) -> Result<(), contract::Error> {
        let first = journal.first(LogId(0))?;
        if first == 1 {
            return copying.commits(journal, 0, stop, progress);
        }
        copying.copy.begin_with(first)?;
        copying.commits(journal, first - 1, stop, progress)?;
        self.manifest.files.extend(beginning::write(journal, first, &self.partial, &self.space, stop)?);
        copying.commits(journal, copying.tip.commit, stop, progress)
    }

    fn explained(&self, error: contract::Error, stop: &dyn Fn() -> bool) -> Error {
        match error {
            contract::Error::Full => Error::NoRoom(self.to.clone()),
            contract::Error::Stopped if stop() => Error::Stopped,
            other => other.into(),
        }
    }

    /// Copies a file to `path` below the backup, if there is one.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn copy_file(&mut self, source: &Path, path: &str) -> Result<(), Error> {
        let mut from = match File::open(source) {
            Ok(from) => from,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(source)(error)),
        };
        self.has_room(from.metadata().map_err(at(source))?.len())?;
        let to = self.partial.join(path);
        if let Some(parent) = to.parent().filter(|parent| *parent != self.partial) {
            private::directory(parent).map_err(at(parent))?;
        }
        let copied = private::create(&to).and_then(|mut copy| {
            let entry = FileEntry::copy(path, &mut from, &mut copy)?;
            copy.sync_all().map(|()| entry)
        });
        self.manifest.files.push(copied.map_err(at(&to))?);
        Ok(())
    }

    /// API keys and secrets are among the files.
    pub fn has_secrets(&mut self) {
        self.manifest.secrets = true;
    }

    /// What was copied, read from the disk as a restore will.
    ///
    /// # Errors
    /// If it is not what was written.
    pub fn journal(&self) -> Result<BackupJournal, Error> {
        BackupJournal::open(&self.partial, &self.manifest)
    }

    /// Makes a backup of what was written.
    ///
    /// # Errors
    /// If it cannot be made durable, or somebody made something at its place meanwhile.
    pub fn finish(mut self) -> Result<Manifest, Error> {
        sync_directories(&self.partial)?;
        self.manifest.write(&self.partial)?;
        if self.to.symlink_metadata().is_ok() {
            return Err(Error::Exists(self.to.clone()));
        }
        fs::rename(&self.partial, &self.to).map_err(at(&self.to))?;
        self.finished = true;
        sync_directory(above(&self.to))?;
        // Not before: without a lock the next backup would take it for what a killed one left. A kill that leaves the file
        // here does no harm, as no manifest names it.
        fs::remove_file(self.to.join(LOCK)).map_err(at(&self.to))?;
        Ok(self.manifest.clone())
    }
}

impl Drop for BackupWriter {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = remove(&self.partial)
        {
            tracing::warn!(%error, "{} is left of a backup that failed: remove it", self.partial.display());
        }
    }
}

/// A log that is being copied.
struct Copying {
    copy: LogCopy,
    /// The last commit that was.
    tip: CommitCheck,
    events: u64,
}

impl Copying {
    fn begin(partial: &Path, space: &Space) -> Result<Self, contract::Error> {
        let copy = LogCopy::create(&partial.join("log"), space.clone())?;
        Ok(Self { copy, tip: CommitCheck { commit: 0, check: 0 }, events: 0 })
    }

    /// Copies the commits after `after` that are durable now.
    fn commits(
        &mut self,
        journal: &dyn Journal,
        after: LogSeq,
        stop: &dyn Fn() -> bool,
        progress: Progress<'_>,
    ) -> Result<(), contract::Error> {
        let end = journal.end(LogId(0));
        journal.read(LogId(0), after, &mut |commit, frame| {
            if commit > end {
                return Ok(ControlFlow::Break(()));
            }
            if commit.is_multiple_of(STRIDE) && stop() {
                return Err(contract::Error::Stopped);
            }
            self.copy.add(commit, frame)?;
            self.events += codec::read_frame(frame)?.count() as u64;
            self.tip = CommitCheck { commit, check: codec::frame_check(frame)? };
            progress(commit, end);
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Removes what killed backups left in a directory of backups.
///
/// # Errors
/// If it cannot be read, or something cannot be removed.
pub fn clear_unfinished(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        // An empty one was killed before it had its lock.
        let ours = path.join(LOCK).exists() || Manifest::is_in(&path) || is_empty(&path);
        if ours && path.extension().is_some_and(|extension| extension == "partial") {
            match clear(&path) {
                // Another server makes its backups here too.
                Err(Error::InProgress(_)) => {}
                cleared => cleared?,
            }
        }
    }
    Ok(())
}

fn partial_of(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Removes what a killed backup left there, and nothing else.
fn clear(partial: &Path) -> Result<(), Error> {
    if partial.symlink_metadata().is_err() {
        return Ok(());
    }
    // An earlier version left a manifest without a lock if it was killed between its last two steps.
    if !is_empty(partial) && !partial.join(LOCK).exists() && !Manifest::is_in(partial) {
        return Err(Error::InTheWay(partial.to_owned()));
    }
    let _lock = if partial.join(LOCK).exists() { Some(lock(partial)?) } else { None };
    remove(partial).map_err(at(partial))
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// The lock goes last: what a kill leaves of a removal is still known to be ours.
fn remove(partial: &Path) -> io::Result<()> {
    for entry in fs::read_dir(partial)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != LOCK {
            fs::remove_file(entry.path())?;
        }
    }
    match fs::remove_file(partial.join(LOCK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::remove_dir(partial),
    }
}

fn lock(partial: &Path) -> Result<File, Error> {
    let path = partial.join(LOCK);
    let file = File::create(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InProgress(partial.to_owned())),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

/// Makes the entries of a directory and of those in it durable.
pub(super) fn sync_directories(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        if path.is_dir() {
            sync_directory(&path)?;
        }
    }
    sync_directory(dir)
}

fn sync_directory(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

/// The directory that something is in.
fn above(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
