//! What clients are: requests with their tries, and who waits for which answer.
//!
//! Invariant: a client that was not answered knows nothing, and may ask again under the same key.

use holdfast_engine::command::Command;
use holdfast_engine::event::Kind;
use holdfast_engine::ids::{AttemptId, Fingerprint, KeyHash, OrderId, Seq, Sku, Ticket};
use holdfast_engine::order::Outcome;
use std::collections::BTreeMap;

use super::agenda::Life;

/// A request as it goes out, for the first time or again.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub command: Command,
    pub tries_left: u8,
    pub source: Source,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Client,
    /// The provider, telling an outcome until somebody listens.
    Webhook {
        attempt: AttemptId,
        outcome: Outcome,
        tries: u8,
    },
}

/// One request on its way or in the process.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub asked: Asked,
    /// The life of the process that it has reached and that has not refused it.
    pub reached: Option<Life>,
    /// Where the process took it up, if it did: life of process and partition, and the state it was computed from.
    pub taken: Option<Taken>,
    /// The process has answered.
    pub answered: bool,
    /// The client has heard the answer, or no longer listens.
    pub over: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub process: Life,
    pub partition: Life,
    pub seq: Seq,
}

/// An order that was asked for, whether or not anybody heard of it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub order: OrderId,
    pub kind: Kind,
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    next: u64,
    pub pending: BTreeMap<u64, Pending>,
    pub known: Vec<Known>,
    /// Versions of stock that clients saw, for conditional writes.
    pub versions: BTreeMap<Sku, u64>,
    /// Requests under a key, to be sent again with another body or much later.
    pub keyed: Vec<Command>,
    pub made: u32,
}

impl Clients {
    pub(super) fn ticket(&mut self, asked: Asked) -> Ticket {
        self.next += 1;
        self.pending.insert(self.next, Pending { asked, reached: None, taken: None, answered: false, over: false });
        Ticket(self.next)
    }

    /// Requests the process has in this life and has not answered.
    pub(super) fn unanswered(&self, process: Life, life_of: impl Fn(&Command) -> Option<Life>) -> Option<(u64, &Pending)> {
        let alive = |taken: &Taken, command: &Command| taken.process == process && Some(taken.partition) == life_of(command);
        self.pending
            .iter()
            .find(|(_, one)| !one.answered && one.taken.as_ref().is_some_and(|taken| alive(taken, &one.asked.command)))
            .map(|(ticket, one)| (*ticket, one))
    }

    /// A request that the process has in this life, with no partition that took it.
    pub(super) fn forgotten(&self, process: Life) -> Option<(u64, &Pending)> {
        let forgotten = |one: &Pending| one.reached == Some(process) && one.taken.is_none();
        self.pending.iter().find(|(_, one)| forgotten(one)).map(|(ticket, one)| (*ticket, one))
    }

    /// Requests that this life of a partition has taken and not answered.
    pub(super) fn in_hand(&self, process: Life, is_of: impl Fn(&Command) -> bool, life: Life) -> usize {
        let taken = |one: &Pending| one.taken.as_ref().is_some_and(|taken| (taken.process, taken.partition) == (process, life));
        self.pending.values().filter(|one| !one.answered && taken(one) && is_of(&one.asked.command)).count()
    }
}

/// The idempotency key of a command with its body, whatever keeps the answer.
pub(super) fn key_of(command: &Command) -> Option<(KeyHash, Fingerprint)> {
    match command {
        Command::Place { order, placed } => Some((KeyHash(order.bytes()), placed.fingerprint)),
        _ => command.key().map(|key| (key.hash, key.fingerprint)),
    }
}
