//! From formats that had the log, later only the snapshots, in the database, to files of their own.
//!
//! Invariant: what is in the database is dropped when the files are whole and the description says so. A crash before that begins
//! again from the database.

pub(super) mod rows;

use super::creation::{Layout, SNAPSHOTS};
use super::failure::{damaged_at, failed, file_failed, refused};
use super::log::Log;
use super::snapshots::Files;
use super::space::Space;
use crate::contract::{CommitCheck, Error, LogSeq};
use fjall::{Database, KeyspaceCreateOptions};
use holdfast_engine::codec;
use holdfast_engine::ids::Partitions;
use std::fs;
use std::io;

/// The keyspace of the old log: commit number, big-endian → frame.
const LOG: &str = "log";

/// Copies the log of the database.
///
/// # Errors
/// [`Error::Damaged`] naming the first commit that is not as it was acknowledged, [`Error::Full`] without room for both.
pub(super) fn copy_log(database: &Database, layout: &Layout, acknowledged: LogSeq, space: &Space) -> Result<(), Error> {
    let refuse = |error| refused(error, acknowledged);
    if !database.keyspace_exists(LOG) && !Log::is_blank(&layout.log)? {
        return Err(Error::Incompatible("holdfast.meta says format 1, but the log is in files of its own".to_owned()));
    }
    match fs::remove_dir_all(&layout.log) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_failed("the log", &layout.log, &error)),
        Ok(()) | Err(_) => {}
    }
    Log::create(&layout.log)?;
    let (log, mut end) = Log::open(&layout.log, 0, space.clone())?;
    let old = database.keyspace(LOG, KeyspaceCreateOptions::default).map_err(refuse)?;
    tracing::info!("the data is of an older format: its log is copied, once");
    for row in old.iter() {
        let (key, frame) = row.into_inner().map_err(|error| refused(error, end + 1))?;
        if *key != (end + 1).to_be_bytes() {
            return Err(damaged_at(end + 1, "it is missing"));
        }
        codec::read_frame(&frame).map_err(|error| damaged_at(end + 1, &error.to_string()))?;
        space.check(2 * frame.len() as u64)?;
        end += 1;
        log.add(end, &frame)?;
    }
    if end < acknowledged {
        return Err(damaged_at(end + 1, &format!("the log ends before it, and {acknowledged} was acknowledged")));
    }
    // The next format has it, and a crash may leave the data at that.
    database.keyspace(SNAPSHOTS, KeyspaceCreateOptions::default).map_err(refuse)?;
    log.sync()
}

/// Copies the snapshots of the database, which follow from commits up to `basis`.
///
/// # Errors
/// If they cannot be read or written, [`Error::Full`] without room for both.
pub(super) fn copy_snapshots(
    database: &Database,
    partitions: Partitions,
    files: &Files,
    basis: CommitCheck,
    space: &Space,
) -> Result<(), Error> {
    if !database.keyspace_exists(SNAPSHOTS) {
        return Ok(());
    }
    let old = database.keyspace(SNAPSHOTS, KeyspaceCreateOptions::default).map_err(failed)?;
    for partition in partitions.all() {
        for snapshot in rows::load_all(&old, partition)? {
            space.check(snapshot.state.len() as u64)?;
            files.save(&snapshot, basis)?;
        }
    }
    Ok(())
}

/// Drops what is in files now, if the database still has it.
pub(super) fn drop_log(database: &Database) -> fjall::Result<()> {
    drop_part(database, LOG)
}

/// As [`drop_log`].
pub(super) fn drop_snapshots(database: &Database) -> fjall::Result<()> {
    drop_part(database, SNAPSHOTS)
}

fn drop_part(database: &Database, name: &str) -> fjall::Result<()> {
    if !database.keyspace_exists(name) {
        return Ok(());
    }
    let old = database.keyspace(name, KeyspaceCreateOptions::default)?;
    database.delete_keyspace(old)
}
