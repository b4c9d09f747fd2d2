//! Deletes what nothing reads any more, from journals that can delete.
//!
//! Invariant: a commit goes only when its age has come and everything that reads the log is past it: the older of the two
//! snapshots of each partition, the projections, and the relay if anything is or ever was published.

use crate::background;
use crate::contract::{Error, Journal, LogId, LogSeq, Rows};
#[cfg(feature = "kafka")]
use crate::kafka::relay;
use crate::rows;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The first pass comes when a start has settled, the others far enough apart to cost nothing.
const FIRST: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(3600);

/// What may go.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long every commit is kept at least.
    pub keep: Duration,
    /// Whether the log is being published: what is not yet is kept.
    pub publishes: bool,
}

/// The thread that purges. It holds on to the journal until [`Retention::stop`] returns.
pub struct Retention {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Retention {
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(journal: Arc<dyn Journal>, options: Options) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new().name("retention".to_owned()).spawn(move || run(&*journal, options, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Waits for the log in hand, not for the others.
    pub fn stop(self) {
        drop(self.stop);
        background::join(self.thread);
    }
}

fn run(journal: &dyn Journal, options: Options, stopped: &Receiver<()>) {
    background::yield_to_the_hot_path();
    let mut pause = FIRST;
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let ended = || stopped.try_recv() == Err(TryRecvError::Disconnected);
        match purge(journal, options, ended) {
            Ok(0) => {}
            Ok(commits) => tracing::info!(commits, "deleted from the journal: older than journal.keep_days and read by all"),
            Err(error) => tracing::warn!(%error, "nothing more is deleted from the journal for now"),
        }
        pause = INTERVAL;
    }
}

/// One pass over all logs, or as far as `ended` lets it. Says how many commits went.
///
/// # Errors
/// If the store does not answer, or another process owns the log.
pub fn purge(journal: &dyn Journal, options: Options, ended: impl Fn() -> bool) -> Result<u64, Error> {
    let mut deleted = 0;
    for log in journal.logs().into_iter().take_while(|_| !ended()) {
        let first = journal.first(log)?;
        let floor = floor(journal, log, options)?;
        if floor > first {
            deleted += journal.purge(log, floor, options.keep)? - first;
        }
    }
    metrics::counter!("journal_purged_commits_total").increment(deleted);
    Ok(deleted)
}

/// The first commit of a log that something still reads.
fn floor(journal: &dyn Journal, log: LogId, options: Options) -> Result<LogSeq, Error> {
    let mut read = rows::position(journal, log)?;
    if let Some(published) = published(journal, log)?.or(options.publishes.then_some(0)) {
        read = read.min(published);
    }
    for partition in journal.partitions().all().filter(|partition| journal.log_of(*partition) == log) {
        // The newest may turn out to be damaged: then recovery begins with the one before it. Their states are not read here: a
        // backend that deletes has read each back as it was written.
        let older = journal.snapshot_heads(partition)?.get(1).map_or(0, |head| head.after);
        read = read.min(older);
    }
    Ok(read + 1)
}

#[cfg(feature = "kafka")]
fn published(journal: &dyn Rows, log: LogId) -> Result<Option<LogSeq>, Error> {
    relay::position(journal, log)
}

#[cfg(not(feature = "kafka"))]
fn published(_: &dyn Rows, _: LogId) -> Result<Option<LogSeq>, Error> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{FaultyJournal, partitions};
    use crate::contract::{Row, Snapshot, Snapshots, Table};
    use crate::memory::MemoryJournal;
    use crate::rows::meta;
    use holdfast_engine::codec;

    const LOG: LogId = LogId(0);
    const OPTIONS: Options = Options { keep: Duration::ZERO, publishes: false };

    /// Two snapshots of each partition, the older after commit 10 and more, and movements up to `moved`.
    fn journal(moved: LogSeq) -> FaultyJournal {
        let journal = FaultyJournal::new(Arc::new(MemoryJournal::new(partitions())));
        for partition in partitions().all() {
            for (seq, after) in [(1, 10 + LogSeq::from(partition.0)), (2, 90)] {
                journal.save_snapshot(&Snapshot { partition, seq, after, state: vec![7] }).unwrap();
            }
        }
        let row = Row { table: Table::Meta, key: meta::movements(LOG), value: codec::encode(&moved), version: moved };
        journal.project(&[row]).unwrap();
        journal
    }

    #[test]
    fn a_log_is_kept_from_the_oldest_that_anything_reads() {
        assert_eq!(floor(&journal(50), LOG, OPTIONS).unwrap(), 11, "the older snapshot of the first partition");
        assert_eq!(floor(&journal(5), LOG, OPTIONS).unwrap(), 6, "the movements");
        assert_eq!(floor(&journal(50), LOG, Options { publishes: true, ..OPTIONS }).unwrap(), 1, "nothing is published yet");
    }

    #[test]
    fn no_state_of_a_snapshot_is_read_for_it() {
        let journal = journal(50);
        journal.lose_states();
        assert_eq!(floor(&journal, LOG, OPTIONS).unwrap(), 11);
    }
}
