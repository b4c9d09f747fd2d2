//! Crashes of the process, panics of partitions, and the way back from the disk.
//!
//! Invariant: recovery reads the disk and the snapshots, nothing else; what it finds is compared with the oracle's books.

use super::agenda::{Happening, Life};
use super::disk::Image;
use super::faults::{MILLI, SECOND};
use super::guardian::{Guardian, ToGuardian};
use super::ledger::{Breach, Checked, Ledger, require};
use super::shard::{Mail, decode_frame};
use super::world::World;
use holdfast_actors::shard::hosting::Departure;
use holdfast_engine::codec::Batch;
use holdfast_engine::command::Command;
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
        self.shards.iter_mut().for_each(|shard| shard.drop_all(self.plan.hosting()));
        self.shard_of = self.plan.shards_of_all();
        self.guardian = Guardian::default();
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
        for partition in 0..self.count() {
            self.armed[partition] = None;
            self.post(partition, Mail::Resume);
            self.arm(partition);
        }
        Ok(())
    }

    /// Partitions, books and positions from what is on the disks.
    fn fold_disks(&mut self) -> Checked {
        self.ledger = Ledger::new(self.count(), false);
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
                self.host(partition, 0);
            }
        }
        self.ledger.live();
        Ok(())
    }

    /// What `holdfast restore` puts behind the last commit of a backup.
    fn restored(&mut self) -> Checked {
        let placed = self.all_here().into_iter().map(Partition::placed).max().unwrap_or_default() + LEFT_OUT;
        for index in 0..self.logs.len() {
            let mut batch = Batch::default();
            for id in self.ids_of_log(index) {
                let shard = self.shard_of[usize::from(id.0)];
                // Taken in anew below: what a host takes in is durable, and this is.
                let Departure::Hosted(hosted) = self.shards[shard].hosting.depart(id) else { continue };
                let mut partition = hosted.partition;
                let event = Event::Partition(PartitionFact::Restored { placed, restored_at: partition.at() });
                let record = Record { seq: partition.seq() + 1, at: partition.at(), event };
                batch.push(id, &record);
                self.counts.record(&record);
                self.ledger.add(usize::from(id.0), &record)?;
                partition.apply(record);
                let seq = partition.seq();
                (self.submitted[usize::from(id.0)], self.durable[usize::from(id.0)]) = (seq, seq);
                self.host(partition, 0);
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

    /// A shard panics outside any step, with everything its turn has made.
    pub(super) fn shard_panics(&mut self, index: usize) -> Checked {
        self.trace.note(self.now, || format!("PANIC of shard {index}"));
        self.shards[index].hosting.fall_all("outside a step");
        // Answers of that turn are gone with it.
        self.lose(index, |in_hand, unanswered| in_hand <= unanswered)?;
        let (life, delay) = (self.shards[index].life, self.random.latency(5, 50));
        self.shards[index].turning = true;
        self.after(delay, Happening::Turn { shard: index, life });
        Ok(())
    }

    /// Partitions that panicked. What they made before is submitted, and answers that were free to leave have left. Requests in hand
    /// are compared with those that were not answered.
    pub(super) fn lose(&mut self, index: usize, agree: impl Fn(usize, usize) -> bool) -> Checked {
        for fallen in self.shards[index].hosting.take_fallen() {
            let (partition, life, in_hand) = (fallen.partition.id, fallen.life, fallen.in_hand);
            self.trace.note(self.now, || format!("PANIC of partition {} in life {life}", partition.0));
            self.counts.panics += 1;
            let is_of = |command: &Command| command.partition(self.plan.partitions) == partition;
            let unanswered = self.clients.in_hand(self.life, is_of, life);
            require(agree(in_hand, unanswered), "a request in hand is counted once", || {
                format!("partition {} has {in_hand} in hand, {unanswered} were not answered", partition.0)
            })?;
            self.tell_guardian(ToGuardian::Fallen(partition, life + 1));
        }
        Ok(())
    }

    /// What the partition submitted is durable first; then it is folded from the log as it is.
    pub(super) fn rebuilt(&mut self, process: Life, id: PartitionId, life: Life) -> Checked {
        let partition = usize::from(id.0);
        if process != self.life {
            return Ok(());
        }
        if self.durable[partition] < self.submitted[partition] {
            self.after(MILLI, Happening::PartitionRebuilt { process, partition: id, life });
            return Ok(());
        }
        let log = &self.logs[self.plan.log_of(partition)];
        let frames = log.disk.frames(log.durable);
        for one in self.fold(frames, &[id])? {
            let (found, submitted) = (one.seq(), self.submitted[partition]);
            require(found == submitted, "I14 durable is recovered", || {
                format!("partition {partition} came back at {found}, submitted was {submitted}")
            })?;
            self.rebuilt_is_sent(id)?;
            self.post(partition, Mail::Host(Box::new(one), life));
        }
        self.armed[partition] = None;
        Ok(())
    }
}
