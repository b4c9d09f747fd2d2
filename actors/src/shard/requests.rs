//! Requests on their way into a partition: what they need out of the store, and those that no partition is given.
//!
//! Invariant: what cannot be read, or has panicked its partition before, ends that one request; it was not executed.

use super::Shard;
use super::hosting::{Hosted, Place};
use crate::inbox::ShardMessage;
use crate::lookups::{self, LookupRequest};
use crate::unanswered::Unanswered;
use holdfast_engine::command::{Command, Loaded, Missing};
use holdfast_engine::ids::{PartitionId, Seq, Ticket};
use holdfast_engine::partition::Input;
use holdfast_storage::Error as StorageError;

impl Shard {
    pub(super) fn request(&mut self, ticket: Ticket, command: Command) {
        let id = command.partition(self.links.router.partitions);
        match self.hosting.place(id) {
            Place::Here => {
                self.hosting.took(id);
                self.look_up(id, ticket, command);
            }
            Place::Returning => self.refuse(id, ticket, Unanswered::Unavailable),
            Place::Away => self.forward(id, ShardMessage::request(ticket, command)),
        }
    }

    /// Steps a request in hand, with what it needs and is not in memory.
    fn look_up(&mut self, id: PartitionId, ticket: Ticket, command: Command) {
        let Some(Hosted { partition, life, .. }) = self.hosting.get(id) else { return };
        let missing = partition.missing(&command);
        let elsewhere = missing != Missing::default();
        if elsewhere && self.links.journal.remote() {
            let (asked, life, inbox) = (partition.seq(), *life, self.inbox.clone());
            let request = LookupRequest { ticket, command, missing, partition: id, asked, life, inbox };
            return self.links.lookups.ask(request);
        }
        let loaded = if elsewhere { lookups::load(&*self.links.journal, &missing) } else { Ok(Loaded::default()) };
        match loaded {
            Ok(loaded) => self.step(id, Input::Command { ticket, command, loaded }),
            Err(error) => self.unread(id, ticket, &error),
        }
    }

    /// What was looked up is good unless that order or key left memory meanwhile. Then it is asked for again.
    pub(super) fn loaded(&mut self, ticket: Ticket, command: Box<Command>, loaded: Box<Loaded>, asked: Seq, life: u64) {
        let id = command.partition(self.links.router.partitions);
        let hosted = match self.hosting.get(id) {
            Some(hosted) => hosted,
            None => return self.looked_up_elsewhere(id, ShardMessage::Loaded { ticket, command, loaded, asked, life }),
        };
        if hosted.life != life {
            // It was lost with the life that asked, and its credit with it.
            return;
        }
        if hosted.departures.stale(&hosted.partition.missing(&command), asked) {
            return self.look_up(id, ticket, *command);
        }
        self.step(id, Input::Command { ticket, command: *command, loaded: *loaded });
    }

    /// What a request needs was looked up and cannot be read.
    pub(super) fn unread_there(&mut self, ticket: Ticket, id: PartitionId, life: u64, error: Box<StorageError>) {
        match self.hosting.get(id) {
            Some(hosted) if hosted.life == life => self.unread(id, ticket, &error),
            Some(_) => {}
            None => self.looked_up_elsewhere(id, ShardMessage::Unread { ticket, partition: id, life, error }),
        }
    }

    fn looked_up_elsewhere(&mut self, id: PartitionId, message: ShardMessage) {
        match self.hosting.place(id) {
            Place::Away => self.forward(id, message),
            // It was lost with the life that asked.
            Place::Returning | Place::Here => {}
        }
    }

    /// The store has a row and cannot read it: whoever needs it is told, and an operator.
    fn unread(&mut self, id: PartitionId, ticket: Ticket, error: &StorageError) {
        if matches!(error, StorageError::Unreachable(_) | StorageError::Stopped) {
            return self.refuse(id, ticket, Unanswered::Unavailable);
        }
        metrics::counter!("holdfast_alarms_total").increment(1);
        tracing::error!(%error, "a row of the tables cannot be read: the request that needs it fails, others go on");
        self.refuse(id, ticket, Unanswered::Unreadable);
    }

    pub(super) fn poisoned(&mut self, id: PartitionId, ticket: Option<Ticket>) {
        refused_again();
        if let Some(ticket) = ticket {
            self.refuse(id, ticket, Unanswered::Poisoned);
        }
    }

    pub(super) fn unavailable(&mut self, id: PartitionId, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.refuse(id, ticket, Unanswered::Unavailable);
        }
    }

    pub(super) fn refuse(&mut self, id: PartitionId, ticket: Ticket, why: Unanswered) {
        self.hosting.gave_up(id);
        self.inbox.credits.give_back(1);
        self.links.reply_queues.refuse(ticket, why);
    }
}

pub(super) fn refused_again() {
    metrics::counter!("holdfast_alarms_total").increment(1);
    tracing::error!("an input that panicked its partition before came again and is not carried out");
}
