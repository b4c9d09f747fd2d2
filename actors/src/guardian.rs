//! The guardian: a thread that rebuilds partitions from the journal after a panic, while their shards go on.
//!
//! Invariants: a rebuilt partition folds only what is durable, and nothing of its former life reaches the journal after that; the state of
//! one life is dropped before the next is folded, and all are folded on one thread: a rebuild leaves nothing behind. What panics a
//! partition again and again is kept from it, or ends the engine.

use crate::inbox::ShardMessage;
use crate::panics::{self, Panics, Suspect};
use crate::rebuild::Rebuild;
use crate::shard::hosting::Fallen;
use crossbeam::channel::{Receiver, Sender, unbounded};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

pub struct Guardian {
    rebuild: Arc<Rebuild>,
    panics: BTreeMap<PartitionId, Panics>,
}

/// The life that is to begin of each partition, and what it is not to be given.
type Next = BTreeMap<PartitionId, (u64, Vec<Suspect>)>;

impl Guardian {
    /// The thread ends when the last sender is gone.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(rebuild: Arc<Rebuild>) -> std::io::Result<(Sender<Fallen>, JoinHandle<()>)> {
        let (sender, fallen) = unbounded();
        let guardian = Self { rebuild, panics: BTreeMap::new() };
        let thread = std::thread::Builder::new().name("guardian".to_owned()).spawn(move || guardian.run(&fallen))?;
        Ok((sender, thread))
    }

    fn run(mut self, fallen: &Receiver<Fallen>) {
        while let Ok(first) = fallen.recv() {
            // One fold for all that have panicked by now.
            let next = std::iter::once(first).chain(fallen.try_iter()).filter_map(|fallen| self.judge(fallen)).collect();
            self.fold(next);
        }
    }

    /// What is left of the former life is dropped here.
    fn judge(&mut self, fallen: Fallen) -> Option<(PartitionId, (u64, Vec<Suspect>))> {
        metrics::counter!("holdfast_shard_rebuilds_total").increment(1);
        let Fallen { life, reason, suspect, partition, .. } = fallen;
        let id = partition.id;
        tracing::error!(partition = id.0, life, reason, "a partition panicked");
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

    fn fold(&mut self, mut next: Next) {
        if next.is_empty() {
            return;
        }
        let (from, ids) = (Instant::now(), next.keys().copied().collect::<Vec<_>>());
        let folded = catch_unwind(AssertUnwindSafe(|| self.rebuild.fold(&ids)));
        // Before the next life can panic.
        let took = from.elapsed();
        ids.iter().for_each(|id| self.panics.entry(*id).or_default().folded(took));
        match folded {
            Ok(Ok(partitions)) => partitions.into_iter().for_each(|partition| self.send_back(partition, &mut next)),
            Ok(Err(error)) => self.rebuild.give_up(format!("partitions {ids:?} cannot be rebuilt: {error}")),
            Err(panic) => self.rebuild.give_up(format!("partitions {ids:?} cannot be rebuilt: {}", panics::text(&*panic))),
        }
    }

    fn send_back(&self, partition: Partition, next: &mut Next) {
        let Some((life, refused)) = next.remove(&partition.id) else { return };
        let inbox = self.rebuild.router().inbox(partition.id);
        // A closed inbox is one of an engine that ends.
        inbox.push(ShardMessage::Host { partition: Box::new(partition), life, refused });
    }
}
