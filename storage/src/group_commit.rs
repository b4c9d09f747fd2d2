//! Group commit without a timer: what the shards hand over while one sync runs is the next batch.
//!
//! Each log of the journal has its own thread and one append in flight. Invariants: batches reach their log in the order
//! they were submitted, so in one log what causes comes before what is caused; after its first failure nothing is written
//! to a log or acknowledged from it any more; nor is anything acknowledged that went into files that were taken away.

use crate::contract::{Error, Journal, LogId, LogSeq};
use crate::sync_times::SyncTimes;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use crossbeam::queue::ArrayQueue;
use holdfast_engine::codec::Batch;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What became of a batch.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Durable, with everything submitted to this log before it.
    Durable { log: LogId, batch: u64, commit: LogSeq },
    /// The outcome of this batch is unknown and nothing after it is written.
    Failed(Arc<Error>),
}

/// Called on a commit thread; must not block.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

struct Submitted {
    batch: Batch,
    id: u64,
    notify: Notify,
}

/// Room of a batch that is kept for the next: larger ones go back to the system.
const MAX_SPARE_BYTES: usize = 8 * 1024 * 1024;

/// Between two looks whether the journal is where it was. A second may pass until the process knows, half of it for its way.
const LOOK: Duration = Duration::from_millis(500);

/// Hands batches to the commit threads. Cheap to clone; the threads end when the last clone is gone.
#[derive(Clone)]
pub struct Committer {
    /// Of each log, in order.
    queues: Arc<[Sender<Submitted>]>,
    ids: Arc<AtomicU64>,
    spares: Arc<ArrayQueue<Batch>>,
    times: SyncTimes,
}

/// Empty batches kept for their room: fresh memory costs more than filling it.
const SPARES: usize = 8;

impl Committer {
    /// Starts the commit threads over `journal`. `watch` hears of every commit, before those who submitted to it.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(journal: &Arc<dyn Journal>, watch: &Notify) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (spares, times) = (Arc::new(ArrayQueue::new(SPARES)), SyncTimes::default());
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for log in journal.logs() {
            // Bounded by the credits of the shards: each has at most the events of its admitted requests in here.
            let (queue, submitted) = unbounded();
            let (journal, watch, spares) = (journal.clone(), watch.clone(), spares.clone());
            let writer = Writer { log, journal, submitted, watch, spares, times: times.clone() };
            threads.push(std::thread::Builder::new().name("commit".to_owned()).spawn(move || writer.run())?);
            queues.push(queue);
        }
        Ok((Self { queues: queues.into(), ids: Arc::default(), spares, times }, threads))
    }

    /// How long the last commits took.
    pub fn times(&self) -> &SyncTimes {
        &self.times
    }

    /// An empty batch, with the room of one that was written if there is one.
    pub fn spare(&self) -> Batch {
        self.spares.pop().unwrap_or_default()
    }

    /// Queues a batch and returns its id at once. `notify` hears of it exactly once. An empty batch writes nothing:
    /// it is a barrier that ends when everything before it has.
    pub fn submit(&self, log: LogId, batch: Batch, notify: Notify) -> u64 {
        let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(refused) = self.queues[usize::from(log.0)].send(Submitted { batch, id, notify }) {
            (refused.0.notify)(Notice::Failed(Arc::new(Error::Stopped)));
        }
        id
    }
}

/// The thread of one log.
struct Writer {
    log: LogId,
    journal: Arc<dyn Journal>,
    submitted: Receiver<Submitted>,
    watch: Notify,
    spares: Arc<ArrayQueue<Batch>>,
    times: SyncTimes,
}

impl Writer {
    fn run(self) {
        let measures = Measures::default();
        let mut looked = Instant::now();
        loop {
            match self.receive() {
                Ok(first) => {
                    let mut gathered = self.gather(first);
                    if let Err(error) = self.commit(&mut gathered, &measures, &mut looked) {
                        return self.fail(error, &gathered);
                    }
                    let batches = gathered.into_iter().map(|one| one.batch);
                    batches.for_each(|batch| keep(&self.spares, batch));
                }
                Err(RecvTimeoutError::Timeout) => match self.journal.intact() {
                    Ok(()) => looked = Instant::now(),
                    Err(error) => return self.fail(error, &[]),
                },
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The next batch. A journal beside us is looked after while there is none; one far away tells by itself.
    fn receive(&self) -> Result<Submitted, RecvTimeoutError> {
        if self.journal.remote() {
            self.submitted.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            self.submitted.recv_timeout(LOOK)
        }
    }

    /// Writes what was gathered and tells those who submitted it.
    fn commit(&self, gathered: &mut [Submitted], measures: &Measures, looked: &mut Instant) -> Result<(), Error> {
        let (log, batch, started) = (self.log, merge(gathered), Instant::now());
        let commit = self.write(&batch)?;
        if started.duration_since(*looked) >= LOOK {
            self.journal.intact()?;
            *looked = started;
        }
        let took = started.elapsed();
        measures.syncs.record(took.as_secs_f64());
        self.times.record(started, took);
        measures.sizes.record(f64::from(batch.events));
        (self.watch)(Notice::Durable { log, batch: 0, commit });
        gathered.iter().for_each(|one| (one.notify)(Notice::Durable { log, batch: one.id, commit }));
        keep(&self.spares, batch);
        Ok(())
    }

    /// A panic leaves open what was written, as an error does: those who wait for it must hear of it.
    fn write(&self, batch: &Batch) -> Result<LogSeq, Error> {
        if batch.is_empty() {
            return Ok(self.journal.end(self.log));
        }
        let written = catch_unwind(AssertUnwindSafe(|| self.journal.append(self.log, batch)));
        written.unwrap_or_else(|_| Err(Error::Failed("writing to it panicked: the log says where".to_owned())))
    }

    fn gather(&self, first: Submitted) -> Vec<Submitted> {
        let most = self.journal.commit_bytes();
        let mut bytes = first.batch.entries.len();
        let mut gathered = vec![first];
        while bytes < most {
            let Ok(next) = self.submitted.try_recv() else { break };
            bytes += next.batch.entries.len();
            gathered.push(next);
        }
        gathered
    }

    /// Fail-stop: everything queued now and later hears of the same failure.
    fn fail(&self, error: Error, gathered: &[Submitted]) {
        let error = Arc::new(error);
        (self.watch)(Notice::Failed(error.clone()));
        gathered.iter().for_each(|one| (one.notify)(Notice::Failed(error.clone())));
        // After everybody has heard of it: a log that cannot be written must not keep it from them.
        tracing::error!(%error, log = self.log.0, "the journal failed: nothing is acknowledged until it is opened anew");
        while let Ok(one) = self.submitted.recv() {
            (one.notify)(Notice::Failed(error.clone()));
        }
    }
}

struct Measures {
    syncs: metrics::Histogram,
    sizes: metrics::Histogram,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            syncs: metrics::histogram!("holdfast_journal_sync_seconds"),
            sizes: metrics::histogram!("holdfast_journal_commit_events"),
        }
    }
}

/// One batch of all. The only one, as so often with one shard, is taken as it is.
fn merge(gathered: &mut [Submitted]) -> Batch {
    let Some((first, rest)) = gathered.split_first_mut() else { return Batch::default() };
    let mut batch = std::mem::take(&mut first.batch);
    rest.iter().for_each(|one| batch.extend(&one.batch));
    batch
}

fn keep(spares: &ArrayQueue<Batch>, mut batch: Batch) {
    if (1..=MAX_SPARE_BYTES).contains(&batch.entries.capacity()) {
        batch.clear();
        // With enough spares the memory goes back.
        let _ = spares.push(batch);
    }
}
