//! Encodes and writes snapshots in the background, so that no shard waits for one.
//!
//! Invariant: snapshots are written one at a time, each behind a basis that is not older than that of the one before.

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::partition::Image;
use holdfast_storage::{Journal, LogSeq, Snapshot, rows};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A snapshot that is not written down yet.
#[derive(Debug)]
pub struct PendingSnapshot {
    pub partition: PartitionId,
    pub seq: Seq,
    /// See [`Snapshot::after`].
    pub after: LogSeq,
    pub image: Image,
}

/// Hands snapshots to the thread that writes them. The thread ends when the last clone is gone.
#[derive(Clone)]
pub struct SnapshotWriter {
    queue: Sender<Job>,
    jobs: Receiver<Job>,
    pen: Arc<Pen>,
}

enum Job {
    Save(Box<PendingSnapshot>),
    Barrier(Sender<()>),
}

/// What writes, by one thread at a time: a basis that is said after a later one would take it back.
struct Pen {
    journal: Arc<dyn Journal>,
    writing: Mutex<()>,
}

impl SnapshotWriter {
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(journal: Arc<dyn Journal>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, jobs) = unbounded();
        let pen = Arc::new(Pen { journal, writing: Mutex::new(()) });
        let writer = Self { queue, jobs: jobs.clone(), pen: pen.clone() };
        let work = move || jobs.iter().for_each(|job| pen.carry_out(job));
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(work)?;
        Ok((writer, thread))
    }

    pub fn save(&self, taken: PendingSnapshot) {
        // A writer that is gone means a process that ends: the log has everything.
        let _ = self.queue.send(Job::Save(Box::new(taken)));
    }

    /// Waits until everything handed over before is written, and has every core encode meanwhile: only who stops waits.
    pub fn wait(&self) {
        let helpers = std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
        std::thread::scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|| self.jobs.try_iter().for_each(|job| self.pen.carry_out(job)));
            }
        });
        let (done, finished) = bounded(1);
        if self.queue.send(Job::Barrier(done)).is_ok() {
            let _ = finished.recv();
        }
    }
}

impl Pen {
    fn carry_out(&self, job: Job) {
        match job {
            Job::Save(taken) => self.save(*taken),
            Job::Barrier(done) => {
                let _ = done.send(());
            }
        }
    }

    /// A snapshot that cannot be written costs time at the next start and nothing else.
    fn save(&self, taken: PendingSnapshot) {
        let PendingSnapshot { partition, seq, after, image } = taken;
        let snapshot = Snapshot { partition, seq, after, state: image.encode() };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = rows::save_snapshot(&*self.journal, &snapshot) {
            tracing::warn!(partition = snapshot.partition.0, %error, "snapshot not written");
        }
    }
}
