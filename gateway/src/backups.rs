//! What is in a backup, and how one is made: copied, verified, and only then a backup.
//!
//! Invariant: nothing is called a backup that `holdfast verify` would find anything wrong with, and no secret leaves the data
//! directory unless that was asked for.

use crate::keys;
use crate::providers::sandbox;
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_storage::Journal;
use holdfast_storage::audit::{Report, audit};
use holdfast_storage::backup::{self, BackupWriter, Manifest};
use holdfast_storage::purged;
use holdfast_storage::stoppable::Stoppable;
use std::path::Path;
use std::sync::Arc;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// A directory that is not there yet.
    pub to: &'a Path,
    /// Where files beside the journal are, if there are any.
    pub data_dir: Option<&'a Path>,
    /// Bytes that stay free on the disk it is written to; 0: none.
    pub reserve: u64,
    pub with_secrets: bool,
    pub now: Timestamp,
}

/// Looks on while a backup is made.
pub trait Watch {
    fn copied(&self, done: u64, all: u64);
    fn verified(&self, done: u64, all: u64);
    /// Whether it is to end before it is done.
    fn stops(&self) -> bool;
}

/// A backup that is whole.
#[derive(Debug)]
pub struct Made {
    pub manifest: Manifest,
    pub report: Report,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Backup(#[from] backup::Error),
    #[error("the copy does not verify, so it was thrown away: {0}\n  run `holdfast verify` on the data itself, and keep it")]
    Inconsistent(String),
}

/// Makes a backup of all that is durable now. The journal is let go before the copy is verified.
///
/// # Errors
/// If it cannot be copied, or the copy does not verify. Nothing is left then.
pub fn make(
    journal: Arc<dyn Journal>,
    plan: &Plan<'_>,
    policy: &Policy,
    watch: &Arc<impl Watch + Send + Sync + 'static>,
) -> Result<Made, Error> {
    let purged = |error: &backup::Error| if let backup::Error::Journal(error) = error { error.purged() } else { None };
    let mut writer = purged::whole(purged, || copied_log(&*journal, plan, &**watch))?;
    drop(journal);
    copy_files(&mut writer, plan)?;
    let stops = watch.clone();
    let copy = Stoppable::new(Arc::new(writer.journal()?), move || stops.stops());
    let audited = audit(&copy, policy, &mut |done, all| watch.verified(done, all));
    let report = audited.map_err(|error| if watch.stops() { backup::Error::Stopped } else { error.into() })?;
    if let Some(first) = report.violations.first() {
        return Err(Error::Inconsistent(first.clone()));
    }
    drop(copy);
    Ok(Made { manifest: writer.finish()?, report })
}

/// A copy that is given up leaves nothing: the next may have its place.
fn copied_log(journal: &dyn Journal, plan: &Plan<'_>, watch: &impl Watch) -> Result<BackupWriter, backup::Error> {
    let mut writer = BackupWriter::begin(journal, plan.to, plan.reserve, plan.now)?;
    writer.copy_log(journal, &|| watch.stops(), &mut |done, all| watch.copied(done, all))?;
    Ok(writer)
}

/// The record of the sandbox is read after the log: it knows at least the attempts that the log knows.
fn copy_files(writer: &mut BackupWriter, plan: &Plan<'_>) -> Result<(), backup::Error> {
    let Some(dir) = plan.data_dir else { return Ok(()) };
    [sandbox::RECORD, keys::MARK].into_iter().try_for_each(|path| writer.copy_file(&dir.join(path), path))?;
    if plan.with_secrets {
        writer.has_secrets();
        let secrets = [keys::FILE].into_iter().chain(sandbox::SECRETS);
        secrets.into_iter().try_for_each(|path| writer.copy_file(&dir.join(path), path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_storage::conformance::{FaultyJournal, World, partitions};
    use holdfast_storage::memory::MemoryJournal;
    use holdfast_storage::{Log, LogId, history};

    struct Unwatched;

    impl Watch for Unwatched {
        fn copied(&self, _: u64, _: u64) {}

        fn verified(&self, _: u64, _: u64) {}

        fn stops(&self) -> bool {
            false
        }
    }

    /// A busy day, of which nobody needs the log.
    fn journal() -> Arc<FaultyJournal> {
        let (journal, mut world) = (Arc::new(MemoryJournal::new(partitions())), World::new(partitions()));
        history::ensure_name(&*journal).unwrap();
        for batch in world.busy_day() {
            journal.append(LogId(0), &batch).unwrap();
        }
        world.rest(&*journal, 0);
        Arc::new(FaultyJournal::new(journal))
    }

    /// Retention runs beside it: there was no backup, although the next try would have made one.
    #[test]
    fn a_backup_beside_which_the_beginning_is_deleted_begins_again_behind_it() {
        let (journal, dir) = (journal(), tempfile::tempdir().unwrap());
        let (to, end) = (dir.path().join("backup"), journal.end(LogId(0)));
        journal.purge_at_next_read(end);
        let plan = Plan { to: &to, data_dir: None, reserve: 0, with_secrets: false, now: Timestamp::new(1_700_000_000_000) };
        let Made { manifest, report } = make(journal, &plan, &Policy::default(), &Arc::new(Unwatched)).unwrap();
        assert_eq!((manifest.tip.commit, report.purged, report.violations), (end, end - 1, Vec::<String>::new()));
        assert!(to.join("manifest").exists(), "it is a backup");
    }
}
