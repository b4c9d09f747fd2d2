//! Group commit without a timer: what the shards hand over while one sync runs is the next batch.
//!
//! Invariants: batches reach the log in the order they were submitted, so what causes comes before what is caused;
//! after the first failure nothing is written or acknowledged any more.

use crate::journal::{Error, Journal, LogSeq};
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
    /// Durable, with everything submitted before it.
    Durable { batch: u64, log: LogSeq },
    /// The outcome of this batch is unknown and nothing after it is written.
    Failed(Arc<Error>),
}

/// Called on the commit thread; must not block.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

struct Submitted {
    batch: Batch,
    id: u64,
    notify: Notify,
}

/// Most events a commit gathers: beyond it the next commit takes the rest.
const MAX_COMMIT_BYTES: usize = 8 * 1024 * 1024;

/// Hands batches to the commit thread. Cheap to clone; the thread ends when the last clone is gone.
#[derive(Clone)]
pub struct Committer {
    queue: Sender<Submitted>,
    ids: Arc<AtomicU64>,
    spares: Arc<ArrayQueue<Batch>>,
}

/// Empty batches kept for their room: fresh memory costs more than filling it.
const SPARES: usize = 8;

impl Committer {
    /// Starts the commit thread over `journal`. `watch` hears of every commit, before those who submitted to it.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(journal: Arc<dyn Journal>, watch: Notify) -> std::io::Result<(Self, JoinHandle<()>)> {
        // Bounded by the credits of the shards: each has at most the events of its admitted requests in here.
        let (queue, submitted) = unbounded();
        let spares = Arc::new(ArrayQueue::new(SPARES));
        let kept = spares.clone();
        let thread =
            std::thread::Builder::new().name("commit".to_owned()).spawn(move || run(&*journal, &submitted, &watch, &kept))?;
        Ok((Self { queue, ids: Arc::default(), spares }, thread))
    }

    /// An empty batch, with the room of one that was written if there is one.
    pub fn spare(&self) -> Batch {
        self.spares.pop().unwrap_or_default()
    }

    /// Queues a batch and returns its id at once. `notify` hears of it exactly once. An empty batch writes nothing:
    /// it is a barrier that ends when everything before it has.
    pub fn submit(&self, batch: Batch, notify: Notify) -> u64 {
        let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(refused) = self.queue.send(Submitted { batch, id, notify }) {
            (refused.0.notify)(Notice::Failed(Arc::new(Error::Stopped)));
        }
        id
    }
}

fn run(journal: &dyn Journal, submitted: &Receiver<Submitted>, watch: &Notify, spares: &ArrayQueue<Batch>) {
    let syncs = metrics::histogram!("journal_sync_seconds");
    let sizes = metrics::histogram!("journal_commit_events");
    while let Ok(first) = submitted.recv() {
        let mut gathered = gather(first, submitted);
        let batch = merge(&mut gathered);
        let started = Instant::now();
        let written = if batch.is_empty() { Ok(journal.end()) } else { journal.append(&batch) };
        match written {
            Ok(log) => {
                syncs.record(started.elapsed().as_secs_f64());
                sizes.record(f64::from(batch.events));
                watch(Notice::Durable { batch: 0, log });
                gathered.iter().for_each(|one| (one.notify)(Notice::Durable { batch: one.id, log }));
                let batches = gathered.into_iter().map(|one| one.batch).chain([batch]);
                batches.filter(|batch| batch.entries.capacity() > 0).for_each(|batch| keep(spares, batch));
            }
            Err(error) => return fail(error, &gathered, submitted, watch),
        }
    }
}

fn gather(first: Submitted, submitted: &Receiver<Submitted>) -> Vec<Submitted> {
    let mut bytes = first.batch.entries.len();
    let mut gathered = vec![first];
    while bytes < MAX_COMMIT_BYTES {
        let Ok(next) = submitted.try_recv() else { break };
        bytes += next.batch.entries.len();
        gathered.push(next);
    }
    gathered
}

/// One batch of all. The only one, as so often with one shard, is taken as it is.
fn merge(gathered: &mut [Submitted]) -> Batch {
    let Some((first, rest)) = gathered.split_first_mut() else { return Batch::default() };
    let mut batch = std::mem::take(&mut first.batch);
    rest.iter().for_each(|one| batch.extend(&one.batch));
    batch
}

fn keep(spares: &ArrayQueue<Batch>, mut batch: Batch) {
    if batch.entries.capacity() <= MAX_COMMIT_BYTES {
        batch.clear();
        // With enough spares the memory goes back.
        spares.push(batch).unwrap_or_default();
    }
}

/// Fail-stop: everything queued now and later hears of the same failure.
fn fail(error: Error, gathered: &[Submitted], submitted: &Receiver<Submitted>, watch: &Notify) {
    tracing::error!(%error, "the journal failed: nothing is acknowledged until it is opened anew");
    let error = Arc::new(error);
    watch(Notice::Failed(error.clone()));
    gathered.iter().for_each(|one| (one.notify)(Notice::Failed(error.clone())));
    while let Ok(one) = submitted.recv() {
        (one.notify)(Notice::Failed(error.clone()));
    }
}
