//! The lock of a data directory: whoever writes in it has the lock first.
//!
//! Invariants: one process at a time has a directory for writing, and before it has it nothing in there is made, cut or written,
//! and nothing is read that something is decided from; in that process one journal at a time has it. Those who only read share it.

use crate::contract::Error;
use crate::private;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Its name in the directory. It stays when the lock is released: its removal would let two have it.
pub const NAME: &str = "holdfast.lock";

/// A directory that is this process's alone until the last clone is dropped.
#[derive(Clone)]
pub struct DirectoryLock {
    dir: PathBuf,
    held: Arc<Held>,
}

struct Held {
    _file: File,
    /// Whether a journal has it.
    lent: AtomicBool,
}

/// What a journal has of the lock.
pub(crate) struct Lent(Arc<Held>);

impl DirectoryLock {
    /// Takes the directory, and makes it if it is not there.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it or reads it, or if the file cannot be made.
    pub fn take(dir: &Path) -> Result<Self, Error> {
        private::directory(dir).map_err(|error| failed(dir, &error))?;
        let path = dir.join(NAME);
        let held = Held { _file: lock(&path, &open_or_make)?, lent: AtomicBool::new(false) };
        Ok(Self { dir: dir.to_owned(), held: Arc::new(held) })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives the directory to a journal for as long as that has it.
    ///
    /// # Errors
    /// [`Error::Locked`] while another journal of this process has it: it may still be writing.
    pub(crate) fn lend(&self) -> Result<Lent, Error> {
        if self.held.lent.swap(true, Ordering::AcqRel) { Err(Error::Locked) } else { Ok(Lent(self.held.clone())) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.lent.store(false, Ordering::Release);
    }
}

/// Shares the directory with others who only read it. `None`: nobody ever had it for writing, as in a copy without the file.
///
/// # Errors
/// [`Error::Locked`] if a process has it for writing, or if the file cannot be read.
pub(crate) fn share(dir: &Path) -> Result<Option<File>, Error> {
    let path = dir.join(NAME);
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&path, &error)),
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(Error::Locked),
            // A disk that can only be read may know no locks, and nobody writes on it.
            Err(TryLockError::Error(_)) => Ok(None),
        },
    }
}

fn open_or_make(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Whoever had it before may have removed the file: a lock on a file without a name keeps nobody out.
fn lock(path: &Path, open: &dyn Fn(&Path) -> io::Result<File>) -> Result<File, Error> {
    loop {
        let file = open(path).map_err(|error| failed(path, &error))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked),
            Err(TryLockError::Error(error)) => return Err(failed(path, &error)),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: Metadata, b: Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().and_then(|file| Ok(same(file, path.metadata()?))).unwrap_or(false)
}

fn failed(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
        _ => Error::Failed(format!("the lock of the data directory, {}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_directory_is_one_writers_or_many_readers() {
        let dir = tempfile::tempdir().unwrap();
        assert!(share(dir.path()).unwrap().is_none(), "a reader made a file");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let writer = DirectoryLock::take(dir.path()).unwrap();
        assert!(matches!(DirectoryLock::take(dir.path()), Err(Error::Locked)));
        assert!(matches!(share(dir.path()), Err(Error::Locked)));
        drop(writer);
        let readers = [share(dir.path()).unwrap(), share(dir.path()).unwrap()];
        assert!(readers.iter().all(Option::is_some));
        assert!(matches!(DirectoryLock::take(dir.path()), Err(Error::Locked)));
        drop(readers);
        DirectoryLock::take(dir.path()).unwrap();
    }

    /// An engine that is opened again after a full disk must not write beside the one before it.
    #[test]
    fn one_journal_of_the_process_has_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(dir.path()).unwrap();
        let first = lock.lend().unwrap();
        assert!(matches!(lock.clone().lend(), Err(Error::Locked)));
        drop(first);
        let second = lock.lend().unwrap();
        drop(lock);
        assert!(matches!(DirectoryLock::take(dir.path()), Err(Error::Locked)), "the journal still has it");
        drop(second);
        DirectoryLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_on_a_file_that_was_removed_meanwhile_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let removed = std::cell::Cell::new(false);
        let open = |path: &Path| {
            let file = open_or_make(path)?;
            if !removed.replace(true) {
                fs::remove_file(path)?;
            }
            Ok(file)
        };
        let file = lock(&path, &open).unwrap();
        assert!(is_at(&file, &path));
    }
}
