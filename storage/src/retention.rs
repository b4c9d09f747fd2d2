//! Deletes what nothing reads any more, from journals that can delete, and says how much of a journal there is.
//!
//! Invariant: a commit goes only when its age has come, or the log is larger than it may be, and everything that reads the log is past
//! it: the snapshots that each partition relies on (`relied`), the projections, and the relay if anything is or ever was published.

mod relied;
#[cfg(test)]
mod tests;

use crate::background;
use crate::contract::{Error, Journal, Keep, LogId, LogSeq, Rows};
#[cfg(feature = "kafka")]
use crate::kafka::relay;
use crate::{recovery, rows};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::time::Timestamp;
use relied::Relied;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The first pass comes when a start has settled.
const FIRST: Duration = Duration::from_secs(60);
/// A log beside us grows by the minute, and a look at it is cheap.
const NEAR: Duration = Duration::from_secs(60);
/// Far apart enough to cost a cluster nothing.
const FAR: Duration = Duration::from_secs(3600);
/// Snapshots are asked for when the log has so many eighths of its bytes: two of each partition may have to be taken, some commits
/// apart, before anything can go.
const ASKED_AT: u64 = 7;
const EIGHTHS: u64 = 8;
/// Between two snapshots that are asked for: each takes a turn of its shard.
const BETWEEN: Duration = Duration::from_millis(100);

/// What may go. Without an age and a size all is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Commits that are older may go.
    pub age: Option<Duration>,
    /// Bytes of the log beyond which its oldest commits may go.
    pub bytes: Option<u64>,
    /// Whether the log is being published: what is not yet is kept.
    pub publishes: bool,
}

/// What a pass needs of the engine beside it.
pub struct Beside {
    /// The server's clock.
    pub now: Box<dyn Fn() -> Timestamp + Send>,
    /// Has a snapshot taken of a partition, soon.
    pub snapshot: Box<dyn Fn(PartitionId) + Send>,
}

/// The thread that purges. It holds on to the journal until [`Retention::stop`] returns.
pub struct Retention {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Retention {
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(journal: Arc<dyn Journal>, options: Options, beside: Beside) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let work = move || run(&*journal, options, &beside, &stopped);
        Ok(Self { stop, thread: std::thread::Builder::new().name("retention".to_owned()).spawn(work)? })
    }

    /// Waits for the snapshot that is read back, or the log that is deleted from, and for nothing after it.
    pub fn stop(self) {
        drop(self.stop);
        background::join(self.thread);
    }
}

fn run(journal: &dyn Journal, options: Options, beside: &Beside, stopped: &Receiver<()>) {
    background::yield_to_the_hot_path();
    let ended = || stopped.try_recv() == Err(TryRecvError::Disconnected);
    let (mut purger, mut size) = (Purger::new(options), Size::default());
    size.tell(journal);
    purger.alarm(0);
    let mut pause = FIRST;
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        match purger.pass(journal, (beside.now)(), ended) {
            Ok(pass) => {
                if pass.deleted > 0 {
                    tracing::info!(commits = pass.deleted, "deleted from the journal: due to go, and read by all");
                }
                for partition in pass.wanting {
                    (beside.snapshot)(partition);
                    if stopped.recv_timeout(BETWEEN) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "nothing more is deleted from the journal for now"),
        }
        size.tell(journal);
        pause = if journal.remote() { FAR } else { NEAR };
    }
}

/// What a pass did, and what keeps it from more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Commits that went.
    pub deleted: u64,
    /// Partitions whose snapshots are too old for what should go: later ones would let it.
    pub wanting: Vec<PartitionId>,
    /// Commits that should go and are not published.
    pub unpublished: u64,
}

/// Deletes, pass by pass, and remembers from one to the next what it has read back.
#[derive(Debug)]
pub struct Purger {
    options: Options,
    relied: Relied,
    /// The end of the log when a snapshot was last asked for: without a commit since then another would say the same.
    asked: BTreeMap<PartitionId, LogSeq>,
    /// Whether Kafka held something back at the last pass.
    alarmed: bool,
}

impl Purger {
    pub fn new(options: Options) -> Self {
        Self { options, relied: Relied::default(), asked: BTreeMap::new(), alarmed: false }
    }

    /// One pass over all logs, or as far as `ended` lets it.
    ///
    /// # Errors
    /// If the store does not answer, or another process owns the log.
    pub fn pass(&mut self, journal: &dyn Journal, now: Timestamp, ended: impl Fn() -> bool) -> Result<Pass, Error> {
        let Options { age, bytes, .. } = self.options;
        if age.is_none() && bytes.is_none() {
            return Ok(Pass::default());
        }
        let since = age.map(|age| Timestamp::new(now.millis().saturating_sub(age.as_millis().try_into().unwrap_or(u64::MAX))));
        let mut pass = Pass::default();
        for log in journal.logs().into_iter().take_while(|_| !ended()) {
            self.log(journal, log, Keep { since, bytes }, &mut pass, &ended)?;
        }
        metrics::counter!("holdfast_journal_purged_commits_total").increment(pass.deleted);
        self.alarm(pass.unpublished);
        Ok(pass)
    }

    fn log(
        &mut self,
        journal: &dyn Journal,
        log: LogId,
        keep: Keep,
        pass: &mut Pass,
        ended: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let (first, due) = (journal.first(log)?, journal.due_before(log, keep)?);
        let soon = journal.due_before(log, Keep { bytes: keep.bytes.map(|bytes| bytes / EIGHTHS * ASKED_AT), ..keep })?;
        if soon <= first {
            return Ok(());
        }
        let Some(floor) = self.floor(journal, log, (due, soon), pass, ended)? else { return Ok(()) };
        if floor > first && due > first {
            pass.deleted += journal.purge(log, floor, keep)? - first;
        }
        Ok(())
    }

    /// The first commit of a log that something still reads. What keeps it from being that before which all is due, now and `soon`, is
    /// put into the pass. `None` once `ended`: the first pass reads every snapshot back, and a stop waits for one of them at most.
    fn floor(
        &mut self,
        journal: &dyn Journal,
        log: LogId,
        (due, soon): (LogSeq, LogSeq),
        pass: &mut Pass,
        ended: &dyn Fn() -> bool,
    ) -> Result<Option<LogSeq>, Error> {
        let mut read = rows::position(journal, log)?;
        if let Some(published) = published(journal, log)?.or(self.options.publishes.then_some(0)) {
            read = read.min(published);
            // A cluster finds out while it deletes what is due.
            pass.unpublished += if journal.remote() { 0 } else { (due - 1).saturating_sub(published) };
        }
        for partition in journal.partitions().all().filter(|partition| journal.log_of(*partition) == log) {
            if ended() {
                return Ok(None);
            }
            let relied_on = self.relied.on(journal, partition)?;
            read = read.min(relied_on);
            // On a cluster a quiet partition holds back no log but its own.
            let asks = relied_on + 1 < soon && !journal.remote();
            let end = journal.end(log);
            if asks && self.asked.insert(partition, end) != Some(end) {
                pass.wanting.push(partition);
            }
        }
        Ok(Some(read + 1))
    }

    /// Says once that Kafka holds back what should go, until it no longer does.
    #[expect(clippy::cast_precision_loss, reason = "a number of commits")]
    fn alarm(&mut self, unpublished: u64) {
        metrics::gauge!("holdfast_journal_kept_for_kafka_commits").set(unpublished as f64);
        let holds = unpublished > 0;
        if holds && !std::mem::replace(&mut self.alarmed, holds) {
            tracing::error!(
                commits = unpublished,
                "Kafka has not got what is due to be deleted: the journal keeps it and grows beyond journal.keep_days and journal.keep_gb \
                 until it is published"
            );
        }
        self.alarmed = holds;
    }
}

#[cfg(feature = "kafka")]
fn published(journal: &dyn Rows, log: LogId) -> Result<Option<LogSeq>, Error> {
    relay::position(journal, log)
}

#[cfg(not(feature = "kafka"))]
fn published(_: &dyn Rows, _: LogId) -> Result<Option<LogSeq>, Error> {
    Ok(None)
}

/// How large a log beside us is and how far it goes back, as it was told last.
#[derive(Debug, Default)]
struct Size {
    /// The first commit, and when it was made.
    oldest: Option<(LogSeq, Timestamp)>,
}

impl Size {
    #[expect(clippy::cast_precision_loss, reason = "bytes, and seconds since 1970")]
    fn tell(&mut self, journal: &dyn Journal) {
        if journal.remote() {
            return;
        }
        metrics::gauge!("holdfast_journal_bytes").set(journal.bytes() as f64);
        match self.oldest(journal) {
            Ok(Some(at)) => metrics::gauge!("holdfast_journal_oldest_timestamp_seconds").set(at.millis() as f64 / 1000.0),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the oldest record of the journal cannot be read"),
        }
    }

    fn oldest(&mut self, journal: &dyn Journal) -> Result<Option<Timestamp>, Error> {
        let log = LogId(0);
        let first = journal.first(log)?;
        if self.oldest.is_none_or(|(commit, _)| commit != first) {
            self.oldest = recovery::made_at(journal, log, first)?.map(|at| (first, at));
        }
        Ok(self.oldest.map(|(_, at)| at))
    }
}
