//! Why an engine cannot go on, on one channel: whoever runs it waits there and hears all there is to know.
//!
//! Invariant: only the first reason counts, since the others follow from it.

use holdfast_storage::Error as StorageError;
use std::sync::Arc;
use tokio::sync::watch;

/// An engine with one acknowledges nothing more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// It takes no more writes.
    #[error("the journal failed: {0}")]
    Journal(Arc<StorageError>),
    #[error("{0}")]
    Shard(String),
}

/// Where the first failure is reported. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Failures(watch::Sender<Option<Failure>>);

impl Failures {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(crate) fn report(&self, failure: Failure) {
        self.0.send_if_modified(|first| {
            let new = first.is_none();
            first.get_or_insert(failure);
            new
        });
    }

    /// Becomes `Some` with the first.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Failure>> {
        self.0.subscribe()
    }

    /// Whether it was the journal.
    pub(crate) fn of_journal(&self) -> bool {
        matches!(*self.0.borrow(), Some(Failure::Journal(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stays_and_is_heard_once() {
        let failures = Failures::new();
        let mut heard = failures.watch();
        assert!(!failures.of_journal() && !heard.has_changed().unwrap());
        failures.report(Failure::Journal(Arc::new(StorageError::Full)));
        assert_eq!(heard.borrow_and_update().as_ref().unwrap().to_string(), "the journal failed: the disk is full");
        failures.report(Failure::Shard("shard 0 cannot go on".to_owned()));
        assert!(failures.of_journal() && !heard.has_changed().unwrap());
    }
}
