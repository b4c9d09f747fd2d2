//! Encodes and writes snapshots in the background, so that no shard waits for one.
//!
//! Invariant: snapshots are written one at a time, each behind a basis that is not older than that of the one before; of one partition
//! none is written after a newer one, whichever was encoded first.

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::partition::Image;
use holdfast_storage::{Journal, LogSeq, Snapshot, rows};
use std::collections::BTreeMap;
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
    /// The newest that was written of each partition, and the commit after which it is replayed.
    written: Mutex<BTreeMap<PartitionId, (Seq, LogSeq)>>,
}

impl SnapshotWriter {
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(journal: Arc<dyn Journal>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, jobs) = unbounded();
        let pen = Arc::new(Pen { journal, written: Mutex::default() });
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
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(&partition).is_some_and(|newest| *newest > (seq, after)) {
            return;
        }
        match rows::save_snapshot(&*self.journal, &snapshot) {
            Ok(()) => drop(written.insert(partition, (seq, after))),
            Err(error) => tracing::warn!(partition = partition.0, %error, "snapshot not written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::Causality;
    use holdfast_engine::ids::Partitions;
    use holdfast_engine::partition::Partition;
    use holdfast_engine::time::Policy;
    use holdfast_storage::Snapshots;
    use holdfast_storage::memory::MemoryJournal;

    /// A newest snapshot that is said to be an older one would have the next start pass over those behind it.
    #[test]
    fn a_snapshot_that_was_encoded_late_is_not_written_after_a_newer_one() {
        let partitions = Partitions::new(1).unwrap();
        let journal = Arc::new(MemoryJournal::new(partitions));
        let pen = Pen { journal: journal.clone(), written: Mutex::default() };
        let image = || Partition::new(PartitionId(0), partitions, Causality::OneLog, Policy::default()).image();
        let taken = |(seq, after)| PendingSnapshot { partition: PartitionId(0), seq, after, image: image() };
        [(2, 0), (1, 0), (3, 7), (3, 5)].into_iter().for_each(|place| pen.save(taken(place)));
        let heads = journal.snapshot_heads(PartitionId(0)).unwrap();
        assert_eq!(heads.iter().map(|head| (head.seq, head.after)).collect::<Vec<_>>(), [(3, 7), (2, 0)]);
    }
}
