//! Readers of a whole log, beside which retention deletes its beginning.
//!
//! Invariant: such a reader begins again from where the log begins now; it fails only if that happens to it time and again, or the beginning
//! is still missing although nothing more was deleted.

use crate::contract::LogSeq;

/// Retention deletes once a minute, and a reader passes the beginning in moments: twice in a row is rare.
const TRIES: u32 = 5;

/// What `work` makes of the whole journal, begun again where what it read was deleted under it. `purged` says of an error that it means
/// that, and which commit is the first that is kept.
///
/// # Errors
/// The last error of `work`.
pub fn whole<T, E>(purged: impl Fn(&E) -> Option<LogSeq>, mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let mut first = None;
    for _ in 1..TRIES {
        match work() {
            Err(error) if purged(&error).is_some_and(|now| first != Some(now)) => {
                first = purged(&error);
                tracing::info!(first, "the beginning of the journal was deleted while it was read: it is read again");
            }
            done => return done,
        }
    }
    work()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{FaultyJournal, partitions};
    use crate::contract::{Error, Log, LogId};
    use crate::memory::MemoryJournal;
    use std::ops::ControlFlow;
    use std::sync::Arc;

    /// Purges before each of the first reads. Returns how many reads there were, and how they ended.
    fn reads(purges: u64) -> (u64, Result<(), Error>) {
        let journal = FaultyJournal::new(Arc::new(MemoryJournal::new(partitions())));
        let mut reads = 0;
        let ended = whole(Error::purged, || {
            reads += 1;
            if reads <= purges {
                journal.purge_at_next_read(1 + reads);
            }
            journal.read(LogId(0), 0, &mut |_, _| Ok(ControlFlow::Continue(())))
        });
        (reads, ended)
    }

    #[test]
    fn a_log_whose_beginning_is_deleted_under_its_reader_is_read_again() {
        assert!(matches!(reads(0), (1, Ok(()))));
        assert!(matches!(reads(2), (3, Ok(()))));
        assert!(matches!(reads(u64::MAX), (5, Err(Error::Purged { .. }))), "it ends");
    }

    #[test]
    fn a_beginning_that_is_still_missing_is_not_looked_for_again() {
        let mut reads = 0;
        let ended: Result<(), Error> = whole(Error::purged, || {
            reads += 1;
            Err(Error::Purged { first: 7 })
        });
        assert!(ended.is_err() && reads == 2);
    }
}
