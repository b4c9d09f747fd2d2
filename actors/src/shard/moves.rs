//! How partitions leave this shard and come to it while it works. See docs/adr/0017.
//!
//! Invariants: what a partition made is on its way to the journal before it leaves; its requests in hand keep their credits, at whichever
//! shard has them; what came for it before it was here is read next, in the order it came.

use super::Shard;
use super::hosting::{Departure, Hosted, Place, Submission};
use super::to_guardian::GuardianMessage;
use crate::inbox::ShardMessage;
use crate::placement::stash::{Kind, LONGEST_MS};
use crate::snapshot_writer::PendingSnapshot;
use crossbeam::channel::Sender;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Input;
use holdfast_engine::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A partition between two shards, as the one that parted with it had it.
#[derive(Debug)]
struct Passage {
    hosted: Box<Hosted>,
    /// Snapshots of it whose last record is not durable yet.
    snapshots: Vec<PendingSnapshot>,
}

/// Partitions between two shards. Cheap to clone; all shards of an engine have the same.
#[derive(Clone, Debug, Default)]
pub struct Passages(Arc<Mutex<BTreeMap<PartitionId, Passage>>>);

impl Passages {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Passage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Parts with a partition. Everything that was sent to it here before is read.
    pub(super) fn depart(&mut self, id: PartitionId) {
        // However many batches are in flight, and whichever partitions they are of: what is let out below follows from their facts.
        self.submit();
        // A panic of this shard later in the turn would take it along, and the partition would not be among those that are lost.
        self.release();
        match self.hosting.depart(id) {
            Departure::Hosted(hosted) => self.part_with(hosted),
            Departure::Returning(waiting) => waiting.into_iter().for_each(|(came, input)| self.pass_on(id, came, input)),
            Departure::Away => {}
        }
        // Of one that panicked before what waited for it was read.
        let waiting = self.stash.take_with_times(self.links.clock.now(), id);
        waiting.into_iter().for_each(|(came, message)| self.pass_on_message(id, came, message));
    }

    /// What waited here for a partition that comes elsewhere.
    fn pass_on(&mut self, id: PartitionId, came: Timestamp, input: Input) {
        self.forward(id, ShardMessage::Waited { partition: id, came, input: Box::new(input) });
    }

    /// What is repeated is as old there as it is here; what is sent once waits however long.
    fn pass_on_message(&mut self, id: PartitionId, came: Timestamp, message: ShardMessage) {
        match message {
            ShardMessage::Peer(messages) => {
                messages.into_iter().for_each(|one| self.pass_on(one.to, came, Input::Message(one.body)));
            }
            ShardMessage::Provider(result) => self.pass_on(id, came, Input::Provider(result)),
            message => self.forward(id, message),
        }
    }

    /// What waited at another shard, unless that was too long.
    pub(super) fn waited(&mut self, id: PartitionId, came: Timestamp, input: Input) {
        match self.hosting.place(id) {
            Place::Here if self.links.clock.now().since(came) <= LONGEST_MS => self.step(id, input),
            Place::Here => {}
            Place::Returning => self.hosting.keep_waiting(came, id, input),
            Place::Away => self.pass_on(id, came, input),
        }
    }

    fn part_with(&mut self, hosted: Box<Hosted>) {
        let id = hosted.partition.id;
        self.inbox.credits.give_back(hosted.in_hand());
        let snapshots = self.snapshots.extract_if(.., |snapshot| snapshot.partition == id).collect();
        self.links.passages.lock().insert(id, Passage { hosted, snapshots });
        self.tell_guardian(GuardianMessage::Departed(id));
    }

    /// Takes in a partition that another shard has parted with.
    pub(super) fn arrive(&mut self, id: PartitionId) {
        let Some(Passage { hosted, snapshots }) = self.links.passages.lock().remove(&id) else { return };
        self.inbox.credits.take_over(hosted.in_hand());
        let Submission { log, batch, upto } = self.hosting.arrive(hosted);
        self.snapshots.extend(snapshots);
        let batch = self.links.committer.submit(log, batch, self.notify.clone());
        self.hosting.fly(log, batch, upto);
        // It may have been changed while the partition was between two shards.
        self.give_policy(id);
        self.tell_guardian(GuardianMessage::Arrived(id));
        self.read_what_waited(id);
    }

    /// What came for a partition before it was here stands before everything else now.
    pub(super) fn read_what_waited(&mut self, id: PartitionId) {
        let waiting = self.stash.take(self.links.clock.now(), id);
        waiting.into_iter().rev().for_each(|message| self.opened.push_front(message));
    }

    /// Keeps what is for a partition that comes here.
    pub(super) fn keep(&mut self, id: PartitionId, message: ShardMessage) {
        // What is archived is said once, and a request is sent once; messages and calls are repeated until there is an answer.
        let (came, kind) = match &message {
            ShardMessage::Peer(_) | ShardMessage::Provider(_) => (self.links.clock.now(), Kind::Repeated),
            ShardMessage::Waited { came, .. } => (*came, Kind::Repeated),
            _ => (self.links.clock.now(), Kind::Once),
        };
        self.stash.put(came, id, kind, message);
    }

    /// Whether the table says that a partition is to be here and it is not.
    pub(super) fn is_coming(&self, id: PartitionId) -> bool {
        let table = self.links.router.table();
        !self.inbox.closed() && table.shard_of.get(usize::from(id.0)) == Some(&self.inbox.shard)
    }

    pub(super) fn tell_guardian(&self, message: GuardianMessage) {
        if self.links.guardian.send(message).is_err() {
            tracing::error!(shard = self.inbox.shard, "the guardian is gone");
        }
    }

    /// No partition is here and nobody can send anything any more: the shard ends when it has read what there is.
    pub(super) fn retire(&mut self, done: Sender<()>) {
        self.retiring = Some(done);
    }

    /// At the end of a turn. What was in flight is of partitions that have left, and no business of this shard.
    pub(super) fn end_if_retiring(&mut self) {
        if let Some(done) = self.retiring.take() {
            self.inbox.close();
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests;
