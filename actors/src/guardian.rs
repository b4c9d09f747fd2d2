//! The guardian: a thread that has partitions rebuilt from the journal after a panic, and moves them between shards, while their shards go on.
//!
//! Invariants: a rebuilt partition folds only what is durable, and nothing of its former life reaches the journal after that; the state of
//! one life is dropped before the next is folded. The guardian never waits for a fold. What panics a partition again and again is kept
//! from it, or ends the engine.

mod folding;
mod moves;

use crate::inbox::ShardMessage;
use crate::panics::{Panics, Suspect};
use crate::placement::handover::Event;
use crate::placement::operations::Operations;
use crate::rebuild::Rebuild;
use crate::shard::hosting::Fallen;
use crate::shard::to_guardian::{Folded, GuardianMessage};
use crate::shard_threads::ShardThreads;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use folding::Folding;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use moves::Mover;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks whether a shard that is to end can still be sent anything.
const LOOK: Duration = Duration::from_millis(2);

pub struct Guardian {
    rebuild: Arc<Rebuild>,
    panics: BTreeMap<PartitionId, Panics>,
    mover: Mover,
    folding: Folding,
    /// Of those that are folded.
    next: Next,
}

/// The life that is to begin of each partition, and what it is not to be given.
type Next = BTreeMap<PartitionId, (u64, Vec<Suspect>)>;

impl Guardian {
    /// The thread ends when it is told to, and gives up what is folded then.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start(
        rebuild: Arc<Rebuild>,
        threads: Arc<ShardThreads>,
        operations: Operations,
        messages: Receiver<GuardianMessage>,
    ) -> std::io::Result<JoinHandle<()>> {
        let folding = Folding::start(rebuild.clone(), threads.guardian().clone())?;
        let mover = Mover::new(rebuild.clone(), threads, operations);
        let guardian = Self { rebuild, panics: BTreeMap::new(), mover, folding, next: Next::new() };
        std::thread::Builder::new().name("guardian".to_owned()).spawn(move || guardian.run(&messages))
    }

    fn run(mut self, messages: &Receiver<GuardianMessage>) {
        while let Some(read) = self.read(messages) {
            let mut fallen = Next::new();
            for message in read {
                match message {
                    GuardianMessage::End => return self.folding.end(),
                    GuardianMessage::Fallen(one) => fallen.extend(self.judge(one)),
                    GuardianMessage::Folded(folded) => self.take_back(folded),
                    GuardianMessage::Departed(id) => self.mover.heard(id, Event::Departed),
                    GuardianMessage::Arrived(id) => self.mover.heard(id, Event::Arrived),
                    GuardianMessage::Operate(task) => self.mover.operate(task),
                    GuardianMessage::Stop => self.mover.stop(),
                }
            }
            self.fold(fallen);
            self.mover.advance();
        }
        self.folding.end();
    }

    /// What there is to read, or nothing after a while if there is something to look at. None: nobody can say anything any more.
    fn read(&self, messages: &Receiver<GuardianMessage>) -> Option<Vec<GuardianMessage>> {
        let first = if self.mover.waits_for_senders() {
            match messages.recv_timeout(LOOK) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        } else {
            Some(messages.recv().ok()?)
        };
        Some(first.into_iter().chain(messages.try_iter()).collect())
    }

    /// What is left of the former life is dropped here.
    fn judge(&mut self, fallen: Fallen) -> Option<(PartitionId, (u64, Vec<Suspect>))> {
        metrics::counter!("holdfast_shard_rebuilds_total").increment(1);
        let Fallen { life, reason, suspect, partition, .. } = fallen;
        let id = partition.id;
        tracing::error!(partition = id.0, life, reason, "a partition panicked");
        self.mover.heard(id, Event::Fell);
        let panics = self.panics.entry(id).or_default();
        suspect.into_iter().for_each(|suspect| panics.blame(suspect));
        if self.rebuild.journal_failed() {
            self.rebuild.give_up(reason);
        } else if panics.may_rebuild(Instant::now()) {
            return Some((id, (life + 1, panics.refused())));
        } else {
            self.rebuild.give_up(format!("partition {} cannot go on: {}, at last with: {reason}", id.0, Panics::words()));
        }
        None
    }

    /// One fold for all that have panicked by now.
    fn fold(&mut self, fallen: Next) {
        if !fallen.is_empty() {
            self.folding.fold(fallen.keys().copied().collect());
            self.next.extend(fallen);
        }
    }

    fn take_back(&mut self, Folded { ids, took, partitions }: Folded) {
        // Before the next life can panic.
        ids.iter().for_each(|id| self.panics.entry(*id).or_default().folded(took));
        match partitions {
            Ok(partitions) => partitions.into_iter().for_each(|partition| self.send_back(partition)),
            Err(why) => self.rebuild.give_up(format!("partitions {ids:?} cannot be rebuilt: {why}")),
        }
    }

    /// To the shard that the table names: another one, if it panicked on its way there.
    fn send_back(&mut self, partition: Partition) {
        let id = partition.id;
        let Some((life, refused)) = self.next.remove(&id) else { return };
        self.mover.heard(id, Event::Rebuilt);
        let inbox = self.rebuild.router().inbox(id);
        // A closed inbox is one of an engine that ends.
        inbox.push(ShardMessage::Host { partition: Box::new(partition), life, refused });
    }
}
