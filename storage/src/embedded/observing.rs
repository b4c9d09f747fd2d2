//! A data directory that is looked at and not written: a copy on a disk that can only be read, or of another owner.
//!
//! The database writes where it opens, so it opens in a directory of its own, which has the write-ahead files and the lists of tables
//! as copies and the tables themselves as links: those never change. Log and snapshots are read where they lie. Invariant: nothing is
//! made, changed or removed below the directory that is looked at.

use super::creation::Layout;
use super::description::{LOG_IN_FILES, SNAPSHOTS_IN_FILES};
use super::failure::damaged_file;
use super::{EmbeddedJournal, Keeper};
use crate::contract::{Error, WantedPartitions};
use crate::lock;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

impl EmbeddedJournal {
    /// Opens the data in `dir` to look at it: whatever writes is [`Error::Stopped`].
    ///
    /// # Errors
    /// As [`Self::open`], or if there is no room for a copy of the write-ahead files of its tables among the temporary files.
    pub fn observe(dir: &Path, any: impl Into<WantedPartitions>) -> Result<Self, Error> {
        let shared = lock::share(dir)?;
        let layout = Layout::at(dir);
        layout.refuse_unfinished()?;
        let missing = || damaged_file(&dir.join("holdfast.meta"), "it is missing");
        let description = layout.description()?.ok_or_else(missing)?;
        let scratch = scratch(dir, description.format)?;
        let path = scratch.path().to_owned();
        let layout = Layout::at(&path);
        if description.format >= LOG_IN_FILES && !layout.has_tables()? {
            return Err(damaged_file(&dir.join("tables"), "it is missing beside the log"));
        }
        let keeper = Keeper::Reader { _shared: shared, _scratch: scratch };
        Self::open_locked(&layout, keeper, any.into(), 0).map_err(|error| named(error, &path, dir))
    }
}

/// Where the database opens.
fn scratch(dir: &Path, format: u32) -> Result<TempDir, Error> {
    let made = tempfile::tempdir().and_then(|scratch| {
        let to = scratch.path();
        ["holdfast.meta", "acknowledged", "projected"]
            .iter()
            .try_for_each(|file| copy_if_there(&dir.join(file), &to.join(file)))?;
        ["tables", "journal"].iter().try_for_each(|database| mirror(&dir.join(database), &to.join(database)))?;
        // The log of format 1 is in its database, and is copied from there.
        if format >= LOG_IN_FILES {
            symlink(dir.canonicalize()?.join("log"), to.join("log"))?;
        }
        // Snapshots of before are in the database too.
        if format >= SNAPSHOTS_IN_FILES {
            symlink(dir.canonicalize()?.join("snapshots"), to.join("snapshots"))?;
        }
        Ok(scratch)
    });
    made.map_err(|error| {
        let (dir, temporary) = (dir.display(), std::env::temp_dir());
        Error::Failed(format!(
            "what the tables of {dir} write cannot be copied to {}: {error}\n  Set TMPDIR to a directory with room for some hundred \
             megabytes",
            temporary.display()
        ))
    })
}

/// The error about the files that were meant.
fn named(error: Error, scratch: &Path, dir: &Path) -> Error {
    let named = |text: String| text.replace(&scratch.display().to_string(), &dir.display().to_string());
    match error {
        Error::Damaged { record, reason } => Error::Damaged { record, reason: named(reason) },
        Error::DamagedFile { file, reason } => Error::DamagedFile { file: named(file), reason },
        Error::Incompatible(reason) => Error::Incompatible(named(reason)),
        Error::Failed(reason) => Error::Failed(named(reason)),
        other => other,
    }
}

fn copy_if_there(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = match fs::read(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    // A copy with the mode of a file that nobody may write could not be written either.
    fs::write(to, bytes)
}

/// The directory with links to what never changes and copies of the rest.
fn mirror(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    fs::create_dir(to)?;
    let tables = from.file_name().is_some_and(|name| name == "tables") && from.parent().is_some_and(is_part);
    for entry in entries {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            mirror(&entry.path(), &copy)?;
        } else if tables {
            symlink(entry.path().canonicalize()?, copy)?;
        } else {
            copy_if_there(&entry.path(), &copy)?;
        }
    }
    Ok(())
}

/// A part of the database has its tables below a directory with its number.
fn is_part(dir: &Path) -> bool {
    dir.parent().and_then(Path::file_name).is_some_and(|name| name == "keyspaces")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Row, Rows, Table};
    use holdfast_engine::ids::Partitions;
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    type Listing = BTreeMap<String, (SystemTime, Vec<u8>)>;

    fn listing(dir: &Path) -> Listing {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let changed = path.metadata().unwrap().modified().unwrap();
            let bytes = if path.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            if path.is_dir() {
                all.extend(listing(&path));
            }
            all.insert(path.display().to_string(), (changed, bytes));
        }
        all
    }

    fn partitions() -> Partitions {
        Partitions::new(4).unwrap()
    }

    fn row(key: &str) -> Row {
        Row { table: Table::Orders, key: key.as_bytes().to_vec(), value: vec![7; 1000], version: 0 }
    }

    /// With rows in tables and in write-ahead files, the last of them torn, and the last commit of the log torn too.
    fn killed() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let journal = EmbeddedJournal::open_with_reserve(dir.path(), partitions(), 0).unwrap();
        journal.project(&[row("early")]).unwrap();
        journal.table(Table::Orders).rotate_memtable_and_wait().unwrap();
        journal.project(&[row("late")]).unwrap();
        drop(journal);
        fs::write(dir.path().join("log/next"), [0; 4096]).unwrap();
        let log = fs::OpenOptions::new().write(true).open(dir.path().join("log/00000000000000000001.log")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&log, b"torn", 0).unwrap();
        dir
    }

    /// `verify` made a lock, cut what was torn and let the database write, also in a copy that was evidence.
    #[test]
    fn looking_at_a_killed_directory_reads_all_and_changes_nothing() {
        let dir = killed();
        fs::remove_file(dir.path().join(lock::NAME)).unwrap();
        let before = listing(dir.path());
        let journal = EmbeddedJournal::observe(dir.path(), partitions()).unwrap();
        for key in ["early", "late"] {
            assert_eq!(journal.get(Table::Orders, key.as_bytes()).unwrap(), Some(row(key).value), "{key}");
        }
        assert!(matches!(journal.project(&[row("more")]), Err(Error::Stopped)));
        let Keeper::Reader { _scratch, .. } = &journal.keeper else { panic!("it writes") };
        let scratch = _scratch.path().to_owned();
        drop(journal);
        assert!(!scratch.exists() && listing(dir.path()) == before, "something was changed");
    }

    #[test]
    fn what_cannot_be_looked_at_is_named_by_its_own_path() {
        let dir = killed();
        let list = fs::read_dir(dir.path().join("tables/keyspaces/0")).unwrap().map(|entry| entry.unwrap().path());
        let list = list.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with('v')).unwrap();
        fs::write(&list, b"other").unwrap();
        let said = EmbeddedJournal::observe(dir.path(), partitions()).err().unwrap().to_string();
        assert!(said.contains(&list.display().to_string()), "{said}");
        fs::remove_dir_all(dir.path().join("tables")).unwrap();
        let said = EmbeddedJournal::observe(dir.path(), partitions()).err().unwrap().to_string();
        assert!(said.contains(&dir.path().join("tables").display().to_string()), "{said}");
    }
}
