//! Whether what is open is still where the next process will look for it.
//!
//! A file that was removed can be written and synced as before, and all of it is gone when it is closed. Invariant: a file is taken for
//! present only if its path leads to it now: a directory that was moved away, or replaced by another, has none.

use super::wal;
use crate::contract::Error;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A file or directory, and what it was when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    identity: Identity,
}

/// Device, number on it, and birth, where the file system knows that: the number of a file that was removed goes to another.
type Identity = (u64, u64, Option<SystemTime>);

impl Opened {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(path, &fs::metadata(path)?))
    }

    /// A file that was opened at `path`.
    pub(super) fn of(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.to_owned(), identity: identity(metadata) }
    }

    /// Opens it again to read.
    ///
    /// # Errors
    /// If it cannot be opened, or something else is there.
    pub(super) fn open(&self) -> io::Result<File> {
        let file = File::open(&self.path)?;
        let same = identity(&file.metadata()?) == self.identity;
        if same { Ok(file) } else { Err(io::Error::new(ErrorKind::NotFound, "another file has taken its place")) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// [`Error::Removed`] if something else is there, or nothing.
    pub(super) fn check(&self) -> Result<(), Error> {
        let there = match fs::metadata(&self.path) {
            Ok(found) => identity(&found) == self.identity,
            // Whatever else keeps us from looking does not keep us from writing.
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        };
        if there { Ok(()) } else { Err(removed(&self.path)) }
    }
}

/// Names the directory if it is not there either.
fn removed(path: &Path) -> Error {
    let missing = path.ancestors().take_while(|path| !path.exists()).last();
    Error::Removed(missing.unwrap_or(path).to_owned())
}

/// What a journal has open beside the files of its log. Files, not directories: on a layered file system a directory may become another
/// when the first file is written into it.
pub(super) struct InUse {
    files: Vec<Opened>,
    database: PathBuf,
    /// Write-ahead files that the database has made: it makes the next before it removes any.
    made: AtomicU64,
}

impl InUse {
    pub(super) fn of(files: &[PathBuf], database: &Path) -> io::Result<Self> {
        let files = files.iter().map(|path| Opened::at(path)).collect::<io::Result<_>>()?;
        let made = AtomicU64::new(wal::made(database)?);
        Ok(Self { files, database: database.to_owned(), made })
    }

    /// # Errors
    /// [`Error::Removed`] with a file that is not there any more. Any thread may ask.
    pub(super) fn check_files(&self) -> Result<(), Error> {
        self.files.iter().try_for_each(Opened::check)
    }

    /// # Errors
    /// [`Error::Removed`] with what is not there any more. One thread at a time may ask.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_files()?;
        let made = match wal::made(&self.database) {
            Ok(made) => made,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(removed(&self.database)),
            Err(_) => return Ok(()),
        };
        let before = self.made.fetch_max(made, Ordering::Relaxed);
        if made < before { Err(removed(&wal::path_of(&self.database, before - 1))) } else { Ok(()) }
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}

#[cfg(test)]
mod tests {
    use crate::conformance::{World, partitions};
    use crate::contract::{Error, Journal, Log, LogId};
    use crate::embedded::EmbeddedJournal;
    use crate::group_commit::{Committer, Notice, Notify};
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;
    use tempfile::TempDir;

    const LOG: LogId = LogId(0);
    /// Far more than a look takes.
    const TIMEOUT: Duration = Duration::from_secs(30);

    struct Running {
        scratch: TempDir,
        world: World,
        journal: Arc<EmbeddedJournal>,
    }

    impl Running {
        /// A journal with a commit, in a directory of another.
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let mut world = World::new(partitions());
            let journal = EmbeddedJournal::open(&scratch.path().join("data"), partitions()).unwrap();
            journal.append(LOG, &world.set_stock("A", 1)).unwrap();
            Self { scratch, world, journal: Arc::new(journal) }
        }
    }

    type Loss = (&'static str, fn(&Path));

    /// Everything that can be taken away, by name.
    const LOSSES: [Loss; 11] = [
        ("the directory is removed", |data| fs::remove_dir_all(data).unwrap()),
        ("it is moved away", |data| fs::rename(data, data.with_extension("away")).unwrap()),
        ("it is replaced by an empty one", |data| {
            fs::rename(data, data.with_extension("away")).unwrap();
            fs::create_dir(data).unwrap();
        }),
        ("the log is removed", |data| fs::remove_dir_all(data.join("log")).unwrap()),
        ("a file of the log is removed", |data| fs::remove_file(data.join(FIRST_FILE)).unwrap()),
        ("a file of the log is replaced by its copy", |data| {
            fs::copy(data.join(FIRST_FILE), data.join("copy")).unwrap();
            fs::rename(data.join("copy"), data.join(FIRST_FILE)).unwrap();
        }),
        ("the tables are removed", |data| fs::remove_dir_all(data.join("tables")).unwrap()),
        ("their write-ahead file is removed", |data| fs::remove_file(data.join("tables/0.jnl")).unwrap()),
        ("their lock is removed", |data| fs::remove_file(data.join("tables/lock")).unwrap()),
        ("the lock is removed", |data| fs::remove_file(data.join("holdfast.lock")).unwrap()),
        ("the number of the last commit is removed", |data| fs::remove_file(data.join("acknowledged")).unwrap()),
    ];
    const FIRST_FILE: &str = "log/00000000000000000001.log";
    /// Those that take away the file that commits go to.
    const OF_THE_LOG: usize = 6;

    #[test]
    fn a_commit_to_a_log_that_is_not_at_its_path_is_not_acknowledged() {
        for (name, lose) in &LOSSES[..OF_THE_LOG] {
            let Running { scratch, mut world, journal } = Running::new();
            lose(&scratch.path().join("data"));
            let refused = journal.append(LOG, &world.set_stock("B", 1));
            assert!(matches!(refused, Err(Error::Removed(_))), "{name}: {refused:?}");
            assert!(matches!(journal.append(LOG, &world.set_stock("C", 1)), Err(Error::Stopped)), "{name}");
        }
    }

    #[test]
    fn what_is_taken_away_while_nobody_writes_is_noticed_too() {
        for (name, lose) in LOSSES {
            let Running { scratch, world: _, journal } = Running::new();
            let (sender, receiver) = crossbeam::channel::unbounded();
            let watch: Notify = Arc::new(move |notice| drop(sender.send(notice)));
            let journal: Arc<dyn Journal> = journal;
            let (_committer, _) = Committer::start(&journal, &watch).unwrap();
            lose(&scratch.path().join("data"));
            match receiver.recv_timeout(TIMEOUT) {
                Ok(Notice::Failed(error)) => assert!(matches!(*error, Error::Removed(_)), "{name}: {error}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_journal_that_is_where_it_was_goes_on() {
        let Running { scratch, mut world, journal } = Running::new();
        fs::write(scratch.path().join("data/somebody-elses"), "").unwrap();
        fs::remove_file(scratch.path().join("data/somebody-elses")).unwrap();
        assert!(journal.intact().is_ok());
        // As the database does when a write-ahead file is full, and later when nothing needs it any more.
        fs::copy(scratch.path().join("data/tables/0.jnl"), scratch.path().join("data/tables/1.jnl")).unwrap();
        assert!(journal.intact().is_ok());
        fs::remove_file(scratch.path().join("data/tables/0.jnl")).unwrap();
        assert!(journal.intact().is_ok());
        assert!(journal.append(LOG, &world.set_stock("B", 1)).is_ok());
    }
}
