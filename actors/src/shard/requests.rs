//! Requests on their way into a partition: what they need out of the store, and those that no partition is given.
//!
//! Invariant: what cannot be read, or has panicked the shard before, ends that one request; it was not executed.

use super::{Hosted, Shard};
use crate::lookups::{self, LookupRequest};
use crate::panics::Suspect;
use crate::unanswered::Unanswered;
use holdfast_engine::command::{Command, Loaded, Missing};
use holdfast_engine::ids::{Seq, Ticket};
use holdfast_engine::partition::Input;
use holdfast_storage::Error as StorageError;

impl Shard {
    pub(super) fn request(&mut self, ticket: Ticket, command: Command) {
        let id = command.partition(self.links.router.partitions);
        let Some(index) = self.index_of[usize::from(id.0)] else { return };
        if !self.may_step(Suspect::of_command(&command)) {
            return self.refuse(ticket, Unanswered::Poisoned);
        }
        let hosted = &self.hosted[index];
        let missing = hosted.partition.missing(&command);
        let elsewhere = missing != Missing::default();
        if elsewhere && self.links.journal.remote() {
            let (asked, inbox) = (hosted.partition.seq(), self.inbox.clone());
            return self.links.lookups.ask(LookupRequest { ticket, command, missing, asked, inbox });
        }
        let loaded = if elsewhere { lookups::load(&*self.links.journal, &missing) } else { Ok(Loaded::default()) };
        match loaded {
            Ok(loaded) => self.step(id, Input::Command { ticket, command, loaded }),
            Err(error) => self.unread(ticket, &error),
        }
    }

    /// What was looked up is good unless that order or key left memory meanwhile. Then it is asked for again.
    pub(super) fn loaded(&mut self, ticket: Ticket, command: Command, loaded: Loaded, asked: Seq) {
        let id = command.partition(self.links.router.partitions);
        let Some(index) = self.index_of[usize::from(id.0)] else { return };
        let Hosted { partition, departures, .. } = &self.hosted[index];
        if departures.stale(&partition.missing(&command), asked) {
            return self.request(ticket, command);
        }
        self.suspect = Some(Suspect::of_command(&command));
        self.step(id, Input::Command { ticket, command, loaded });
    }

    /// The store has a row and cannot read it: whoever needs it is told, and an operator.
    pub(super) fn unread(&mut self, ticket: Ticket, error: &StorageError) {
        if matches!(error, StorageError::Unreachable(_) | StorageError::Stopped) {
            return self.refuse(ticket, Unanswered::Unavailable);
        }
        metrics::counter!("alarms_total").increment(1);
        tracing::error!(%error, "a row of the tables cannot be read: the request that needs it fails, others go on");
        self.refuse(ticket, Unanswered::Unreadable);
    }

    fn refuse(&mut self, ticket: Ticket, why: Unanswered) {
        self.inbox.credits.give_back(1);
        self.links.reply_queues.refuse(ticket, why);
    }

    /// Whether an input is stepped: it is blamed then for what happens. One that panicked earlier lives too often is not.
    pub(super) fn may_step(&mut self, suspect: Suspect) -> bool {
        self.suspect = Some(suspect);
        let refused = self.links.refused.contains(&suspect);
        if refused {
            metrics::counter!("alarms_total").increment(1);
            tracing::error!(?suspect, "an input that panicked the shard before came again and is not carried out");
        }
        !refused
    }
}
