//! Encodes and writes snapshots in the background, so that no shard waits for one.

use crossbeam::channel::{Sender, unbounded};
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::partition::Image;
use holdfast_storage::{Journal, LogSeq, Snapshot, rows};
use std::sync::Arc;
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
}

enum Job {
    Save(Box<PendingSnapshot>),
    Barrier(Sender<()>),
}

impl SnapshotWriter {
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(journal: Arc<dyn Journal>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, jobs) = unbounded();
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || {
            while let Ok(job) = jobs.recv() {
                match job {
                    Job::Save(taken) => save(&*journal, *taken),
                    Job::Barrier(done) => {
                        let _ = done.send(());
                    }
                }
            }
        })?;
        Ok((Self { queue }, thread))
    }

    pub fn save(&self, taken: PendingSnapshot) {
        // A writer that is gone means a process that ends: the log has everything.
        let _ = self.queue.send(Job::Save(Box::new(taken)));
    }

    /// Waits until everything handed over before is written.
    pub fn wait(&self) {
        let (done, finished) = crossbeam::channel::bounded(1);
        if self.queue.send(Job::Barrier(done)).is_ok() {
            let _ = finished.recv();
        }
    }
}

/// A snapshot that cannot be written costs time at the next start and nothing else.
fn save(journal: &dyn Journal, taken: PendingSnapshot) {
    let PendingSnapshot { partition, seq, after, image } = taken;
    let snapshot = Snapshot { partition, seq, after, state: image.encode() };
    if let Err(error) = rows::save_snapshot(journal, &snapshot) {
        tracing::warn!(partition = snapshot.partition.0, %error, "snapshot not written");
    }
}
