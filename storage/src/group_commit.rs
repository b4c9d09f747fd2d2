//! Group commit without a timer: what the shards hand over while one sync runs is the next batch.
//!
//! Each log of the journal has its own thread and one append in flight. Invariants: batches reach their log in the order
//! they were submitted, so in one log what causes comes before what is caused; after its first failure nothing is written
//! to a log or acknowledged from it any more.

use crate::journal::{Error, Journal, LogId, LogSeq};
use crossbeam::channel::{Receiver, Sender, unbounded};
use crossbeam::queue::ArrayQueue;
use holdfast_engine::codec::Batch;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

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

/// Hands batches to the commit threads. Cheap to clone; the threads end when the last clone is gone.
#[derive(Clone)]
pub struct Committer {
    /// Of each log, in order.
    queues: Arc<[Sender<Submitted>]>,
    ids: Arc<AtomicU64>,
    spares: Arc<ArrayQueue<Batch>>,
}

/// Empty batches kept for their room: fresh memory costs more than filling it.
const SPARES: usize = 8;

impl Committer {
    /// Starts the commit threads over `journal`. `watch` hears of every commit, before those who submitted to it.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(journal: &Arc<dyn Journal>, watch: &Notify) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let spares = Arc::new(ArrayQueue::new(SPARES));
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for log in journal.logs() {
            // Bounded by the credits of the shards: each has at most the events of its admitted requests in here.
            let (queue, submitted) = unbounded();
            let (journal, watch, spares) = (journal.clone(), watch.clone(), spares.clone());
            let writer = Writer { log, journal, submitted, watch, spares };
            threads.push(std::thread::Builder::new().name("commit".to_owned()).spawn(move || writer.run())?);
            queues.push(queue);
        }
        Ok((Self { queues: queues.into(), ids: Arc::default(), spares }, threads))
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
}

impl Writer {
    fn run(self) {
        let syncs = metrics::histogram!("journal_sync_seconds");
        let sizes = metrics::histogram!("journal_commit_events");
        let log = self.log;
        while let Ok(first) = self.submitted.recv() {
            let mut gathered = self.gather(first);
            let batch = merge(&mut gathered);
            let started = Instant::now();
            let written = if batch.is_empty() { Ok(self.journal.end(log)) } else { self.journal.append(log, &batch) };
            match written {
                Ok(commit) => {
                    syncs.record(started.elapsed().as_secs_f64());
                    sizes.record(f64::from(batch.events));
                    (self.watch)(Notice::Durable { log, batch: 0, commit });
                    gathered.iter().for_each(|one| (one.notify)(Notice::Durable { log, batch: one.id, commit }));
                    let batches = gathered.into_iter().map(|one| one.batch).chain([batch]);
                    batches.filter(|batch| batch.entries.capacity() > 0).for_each(|batch| keep(&self.spares, batch));
                }
                Err(error) => return self.fail(error, &gathered),
            }
        }
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

/// One batch of all. The only one, as so often with one shard, is taken as it is.
fn merge(gathered: &mut [Submitted]) -> Batch {
    let Some((first, rest)) = gathered.split_first_mut() else { return Batch::default() };
    let mut batch = std::mem::take(&mut first.batch);
    rest.iter().for_each(|one| batch.extend(&one.batch));
    batch
}

fn keep(spares: &ArrayQueue<Batch>, mut batch: Batch) {
    if batch.entries.capacity() <= MAX_SPARE_BYTES {
        batch.clear();
        // With enough spares the memory goes back.
        spares.push(batch).unwrap_or_default();
    }
}
