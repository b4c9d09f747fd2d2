//! Crashes of the process, panics of one shard, and the way back from the disk.
//!
//! Invariant: recovery reads the disk and the snapshots, nothing else; what it finds is compared with the oracle's books.

use super::agenda::{Happening, Life};
use super::disk::Image;
use super::faults::{MILLI, SECOND};
use super::ledger::{Breach, Checked, Ledger, require};
use super::shard::{Mail, decode_frame};
use super::world::World;
use holdfast_engine::codec::Batch;
use holdfast_engine::event::{Event, PartitionFact, Record};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use holdfast_storage::recovery;

/// Crashes from one that is followed by a restore to the next.
const RESTORED_EVERY: Life = 5;
/// Counts of orders that a restore leaves out.
const LEFT_OUT: u64 = 1000;

impl World {
    /// The whole process is gone, with everything that was not on disk or on its way to somebody else.
    pub(super) fn crash(&mut self, whose: &str) {
        if !self.up {
            return;
        }
        self.trace.note(self.now, || format!("CRASH of {whose}"));
        self.counts.crashes += 1;
        self.up = false;
        self.life += 1;
        for log in &mut self.logs {
            self.counts.torn_tails += u64::from(log.disk.crash(&mut self.random));
            log.queue.clear();
            log.committing = false;
        }
        self.shards.iter_mut().for_each(super::shard::Shard::drop_all);
        for kept in &mut self.snapshots {
            // A backend leaves out a snapshot whose checksum is wrong.
            if !kept.is_empty() && self.random.chance(self.plan.rates.snapshot_lost) {
                self.counts.lost_snapshots += 1;
                kept.remove(0);
            }
        }
        let life = self.life;
        let down = self.random.latency(MILLI, 2 * SECOND);
        self.after(down, Happening::Recover { life });
    }

    pub(super) fn recover(&mut self, life: Life) -> Checked {
        if life != self.life {
            return Ok(());
        }
        self.fold_disks()?;
        // Every so often the disks that come back are a backup's, with nothing after it: numbers go on behind a gap.
        if self.life.is_multiple_of(RESTORED_EVERY) {
            self.restored()?;
        }
        self.trace.note(self.now, || format!("recovered up to {:?}", self.durable));
        self.oracle.recovered(self.now, &self.ledger)?;
        self.up = true;
        for shard in 0..self.shards.len() {
            self.shards[shard].up = true;
        }
        self.check_invariants()?;
        for partition in 0..self.partitions.len() {
            self.armed[partition] = None;
            self.post(partition, Mail::Resume);
            self.arm(partition);
        }
        Ok(())
    }

    /// Partitions, books and positions from what is on the disks.
    fn fold_disks(&mut self) -> Checked {
        self.ledger = Ledger::new(self.partitions.len(), false);
        for index in 0..self.logs.len() {
            let frames = self.read_log(index)?;
            for frame in &frames {
                for (partition, record) in decode_frame(frame)? {
                    self.ledger.add(partition, &record)?;
                }
            }
            let ids: Vec<PartitionId> = self.ids_of_log(index);
            for partition in self.fold(frames, &ids)? {
                let id = usize::from(partition.id.0);
                (self.submitted[id], self.durable[id]) = (partition.seq(), partition.seq());
                self.partitions[id] = partition;
            }
        }
        self.ledger.live();
        Ok(())
    }

    /// What `holdfast restore` puts behind the last commit of a backup.
    fn restored(&mut self) -> Checked {
        let placed = self.partitions.iter().map(Partition::placed).max().unwrap_or_default() + LEFT_OUT;
        for index in 0..self.logs.len() {
            let mut batch = Batch::default();
            for id in self.ids_of_log(index) {
                let partition = &mut self.partitions[usize::from(id.0)];
                let event = Event::Partition(PartitionFact::Restored { placed, restored_at: partition.at() });
                let record = Record { seq: partition.seq() + 1, at: partition.at(), event };
                batch.push(id, &record);
                self.counts.record(&record);
                self.ledger.add(usize::from(id.0), &record)?;
                partition.apply(record);
                let seq = partition.seq();
                (self.submitted[usize::from(id.0)], self.durable[usize::from(id.0)]) = (seq, seq);
            }
            self.write_durably(index, batch.frame());
        }
        Ok(())
    }

    fn write_durably(&mut self, index: usize, frame: Vec<u8>) {
        let log = &mut self.logs[index];
        log.disk.write(&frame);
        log.disk.sync();
        log.attempted.push(frame);
        log.durable = log.attempted.len();
    }

    /// The frames of a log after a crash: every durable one, and of those on their way a prefix, each as it was written.
    fn read_log(&mut self, index: usize) -> Result<Vec<Vec<u8>>, Breach> {
        let log = &mut self.logs[index];
        let frames = log.disk.cut_torn_tail();
        require(frames.len() >= log.durable, "I14 durable is recovered", || {
            format!("log {index} had {} durable commits, {} are left", log.durable, frames.len())
        })?;
        require(log.attempted.starts_with(&frames), "I14 recovered was attempted", || {
            format!("log {index} recovered a commit nobody wrote, among {}", frames.len())
        })?;
        log.attempted.truncate(frames.len());
        log.durable = frames.len();
        Ok(frames)
    }

    fn ids_of_log(&self, log: usize) -> Vec<PartitionId> {
        let all = self.plan.partitions.all();
        all.filter(|id| self.plan.log_of(usize::from(id.0)) == log).collect()
    }

    /// Recovery as in production, compared with a fold of the whole log without snapshots.
    pub(super) fn fold(&self, frames: Vec<Vec<u8>>, ids: &[PartitionId]) -> Result<Vec<Partition>, Breach> {
        let failed = |error: holdfast_storage::Error| Breach::new("recovery reads every log", error.to_string());
        let (causality, partitions) = (self.plan.causality, self.plan.partitions);
        let mut image = Image { causality, partitions, frames, snapshots: self.snapshots.clone() };
        let quick = recovery::recover(&image, ids, &self.plan.policy, &mut |_, _| {}).map_err(failed)?;
        let with_snapshots = ids.iter().any(|id| !self.snapshots[usize::from(id.0)].is_empty());
        if with_snapshots {
            image.snapshots.iter_mut().for_each(Vec::clear);
            let whole = recovery::recover(&image, ids, &self.plan.policy, &mut |_, _| {}).map_err(failed)?;
            for (quick, whole) in quick.iter().zip(&whole) {
                require(quick.hash() == whole.hash(), "I15 snapshot and tail make the fold", || {
                    format!("partition {} at {} differs from the fold at {}", quick.id.0, quick.seq(), whole.seq())
                })?;
            }
        }
        Ok(quick)
    }

    /// One shard loses its partitions; the process, its log and the other shards go on.
    pub(super) fn shard_panics(&mut self, index: usize) {
        if self.calm || !self.up || !self.shards[index].up {
            return;
        }
        self.trace.note(self.now, || format!("PANIC of shard {index}"));
        self.counts.panics += 1;
        let shard = &mut self.shards[index];
        shard.drop_all();
        let life = shard.life;
        let delay = self.random.latency(MILLI, 200 * MILLI);
        self.after(delay, Happening::ShardRebuilt { shard: index, life });
    }

    /// What the shard submitted is durable first; then its partitions are folded from the log as it is.
    pub(super) fn shard_rebuilt(&mut self, index: usize, life: Life) -> Checked {
        if !self.up || self.shards[index].life != life {
            return Ok(());
        }
        let mine: Vec<usize> = (0..self.partitions.len()).filter(|p| self.plan.shard_of(*p) == index).collect();
        if mine.iter().any(|p| self.durable[*p] < self.submitted[*p]) {
            self.after(MILLI, Happening::ShardRebuilt { shard: index, life });
            return Ok(());
        }
        self.shards[index].up = true;
        for partition in mine {
            let log = &self.logs[self.plan.log_of(partition)];
            let frames = log.disk.frames(log.durable);
            let folded = self.fold(frames, &[self.partitions[partition].id])?;
            for one in folded {
                let (found, submitted) = (one.seq(), self.submitted[partition]);
                require(found == submitted, "I14 durable is recovered", || {
                    format!("partition {partition} came back at {found}, submitted was {submitted}")
                })?;
                self.partitions[partition] = one;
            }
            self.armed[partition] = None;
            self.post(partition, Mail::Resume);
            self.arm(partition);
        }
        Ok(())
    }
}
