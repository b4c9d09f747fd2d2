//! The commit process of a log: gathers batches, writes their frames, syncs, and tells the partitions.
//!
//! Invariant: a partition hears that a record is durable only after the sync that covers it has returned.

use super::agenda::{Happening, Life};
use super::faults::{MILLI, SECOND};
use super::ledger::Breach;
use super::shard::{Post, decode_frame};
use super::world::{World, id_of};
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::partition::Image;
use holdfast_storage::{LogId, Snapshot};

/// A snapshot that is encoded when it is saved, however far its partition has gone on.
#[derive(Debug)]
pub(super) struct Taken {
    partition: PartitionId,
    seq: Seq,
    after: u64,
    image: Image,
}

impl World {
    /// Starts the next commit unless one is running.
    pub(super) fn commit(&mut self, index: usize) {
        let log = &mut self.logs[index];
        if log.committing || log.queue.is_empty() {
            return;
        }
        log.committing = true;
        let gathered = self.random.between(1, log.queue.len() as u64);
        let frames = self.random.between(1, 2);
        for _ in 0..frames.min(gathered) {
            let share = if frames == 1 { gathered } else { gathered.div_ceil(2) };
            let mut merged = Batch::default();
            for (number, batch) in log.queue.drain(..(share as usize).min(log.queue.len())) {
                merged.extend(&batch);
                log.written = number;
            }
            if merged.is_empty() {
                break;
            }
            let frame = merged.frame();
            log.disk.write(&frame);
            log.attempted.push(frame);
        }
        self.sync_begins(index);
    }

    fn sync_begins(&mut self, log: usize) {
        let life = self.life;
        let (low, high) = self.plan.sync;
        let takes = self.random.latency(low, high);
        if self.random.chance(self.plan.rates.sync_fails) {
            return self.after(takes, Happening::SyncFailed { life });
        }
        if self.random.chance(self.plan.rates.crash_at_write) {
            let dies = self.random.below(takes);
            self.after(dies, Happening::Crash);
        }
        self.after(takes, Happening::Synced { log, life });
    }

    pub(super) fn synced(&mut self, index: usize, life: Life) -> Result<(), Breach> {
        if life != self.life {
            return Ok(());
        }
        let log = &mut self.logs[index];
        log.disk.sync();
        log.committing = false;
        for frame in &log.attempted[log.durable..] {
            for (partition, record) in decode_frame(frame)? {
                self.durable[partition] = record.seq;
            }
        }
        log.durable = log.attempted.len();
        let (id, batch) = (LogId(index as u16), log.written);
        for shard in 0..self.shards.len() {
            self.post_to(shard, Post::Committed(id, batch));
        }
        self.commit(index);
        Ok(())
    }

    /// Nobody knows what of the commit is on disk: nothing is acknowledged, everything is rebuilt from what is there.
    pub(super) fn sync_failed(&mut self, life: Life) {
        if life == self.life {
            self.counts.failed_syncs += 1;
            self.crash("a failed sync");
        }
    }

    pub(super) fn take_snapshot(&mut self) {
        let partition = self.random.below(self.count() as u64) as usize;
        if self.calm || !self.up {
            return;
        }
        let after = self.logs[self.plan.log_of(partition)].durable as u64;
        let hosted = self.shards.iter_mut().find_map(|shard| shard.hosting.get_mut(id_of(partition)));
        let Some(hosted) = hosted else { return };
        let state = &mut hosted.partition;
        let taken = Taken { partition: state.id, seq: state.seq(), after, image: state.image() };
        let delay = self.random.latency(MILLI, SECOND);
        let life = self.life;
        self.after(delay, Happening::SaveSnapshot { life, taken: Box::new(taken) });
    }

    /// A snapshot of records that are not durable would know of things that a crash undoes: it waits.
    pub(super) fn save_snapshot(&mut self, life: Life, taken: Taken) {
        let partition = usize::from(taken.partition.0);
        if life != self.life {
            return;
        }
        if self.durable[partition] < taken.seq {
            return self.after(10 * MILLI, Happening::SaveSnapshot { life, taken: Box::new(taken) });
        }
        self.counts.snapshots += 1;
        let Taken { partition: id, seq, after, image } = taken;
        let snapshot = Snapshot { partition: id, seq, after, state: image.encode() };
        let kept = &mut self.snapshots[partition];
        kept.insert(0, snapshot);
        kept.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.seq));
        kept.truncate(2);
    }
}
