//! The data directory is taken before anything in it is looked at.
//!
//! Invariant: a start that is refused because another process has the directory has changed nothing in it.

use super::leaving::{Holder, holder};
use super::{LEAVING_TRIES, LEAVING_WAIT};
use crate::settings::{Backend, Settings};
use holdfast_storage::{DirectoryLock, Error};

/// The lock, which the process keeps until it ends; none where nothing is kept on disk. A process that is on its way out is
/// waited for.
pub(super) async fn take(settings: &Settings) -> Result<Option<DirectoryLock>, Error> {
    if settings.data.ephemeral {
        return Ok(None);
    }
    let dir = &settings.data.dir;
    for _ in 0..LEAVING_TRIES {
        match DirectoryLock::take(dir) {
            Err(Error::Locked) if holder(dir) != Holder::Alive => tokio::time::sleep(LEAVING_WAIT).await,
            taken => return taken.map(Some).or_else(|error| without(settings, error)),
        }
    }
    DirectoryLock::take(dir).map(Some)
}

/// With a journal on a cluster only the sandbox writes into the directory, and fails by itself where it cannot.
fn without(settings: &Settings, error: Error) -> Result<Option<DirectoryLock>, Error> {
    match (settings.journal.backend, error) {
        (Backend::Scylla, Error::Failed(reason)) => {
            tracing::warn!("nothing is kept in the data directory: {reason}");
            Ok(None)
        }
        (_, error) => Err(error),
    }
}
