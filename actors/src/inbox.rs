//! The way into a shard: a queue of messages and one wake-up message for as many as have come.
//!
//! Invariants: after a push into an open inbox the shard is awake or about to wake; a closed inbox takes nothing and keeps
//! nothing: what waits for an answer to a message hears that there is none. What comes in bulk waits in a queue of its own, so that it
//! never stands before what somebody waits for alone.

mod queue;

use crate::admission::Credits;
use crate::panics::Suspect;
use crate::probe::{Sight, Timing};
use actix::{Message as ActixMessage, Recipient};
use crossbeam::channel::Sender;
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::event::Placed;
use holdfast_engine::ids::{KeyHash, OrderId, PartitionId, Seq, Ticket};
use holdfast_engine::partition::{Input, Partition, ProviderResult};
use holdfast_engine::protocol::Message;
use holdfast_engine::time::Timestamp;
use holdfast_storage::Error as StorageError;
use holdfast_storage::group_commit::Notice;
use queue::{Queue, Way};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::oneshot;

/// Everything a shard can be sent.
#[derive(Debug)]
pub enum ShardMessage {
    /// [`Command::Place`], which most messages are. Messages are as large as the largest of them, so other commands are boxed: a
    /// message is copied into memory that another thread used last.
    Place {
        ticket: Ticket,
        order: OrderId,
        placed: Box<Placed>,
    },
    Request {
        ticket: Ticket,
        command: Box<Command>,
    },
    /// A request that needed what left memory, with what the store has of it.
    Loaded {
        ticket: Ticket,
        command: Box<Command>,
        loaded: Box<Loaded>,
        /// The last record of its partition when it was asked for, and the life.
        asked: Seq,
        life: u64,
    },
    /// A request that needed what left memory, and why that cannot be read.
    Unread {
        ticket: Ticket,
        partition: PartitionId,
        life: u64,
        error: Box<StorageError>,
    },
    Peer(Vec<Message>),
    /// What waited at another shard for a partition that comes elsewhere.
    Waited {
        partition: PartitionId,
        /// When it came there first: it is to wait no longer than what waits at one shard.
        came: Timestamp,
        input: Box<Input>,
    },
    Provider(ProviderResult),
    Archived {
        partition: PartitionId,
        orders: Vec<(OrderId, usize)>,
        keys: Vec<KeyHash>,
    },
    Committed(Notice),
    Report(oneshot::Sender<ShardReport>),
    /// When it was sent: see [`crate::probe`].
    Probe(Instant),
    /// What steers sagas was changed.
    Policy,
    /// Take a snapshot of a partition, however little it has grown: the log before it is to go.
    Snapshot(PartitionId),
    /// Write snapshots of everything, then answer: the last thing before the process ends.
    Drain(oneshot::Sender<()>),
    /// A partition that panicked, as the journal has it.
    Host {
        partition: Box<Partition>,
        life: u64,
        /// What panicked it too often.
        refused: Vec<Suspect>,
    },
    /// Part with a partition: the table names another host.
    Depart(PartitionId),
    /// Take in a partition that another shard has parted with.
    Arrive(PartitionId),
    /// End, and say so: no partition is here, and nobody can send anything after this.
    Retire(Sender<()>),
}

impl ShardMessage {
    pub fn request(ticket: Ticket, command: Command) -> Self {
        match command {
            Command::Place { order, placed } => Self::Place { ticket, order, placed },
            command => Self::Request { ticket, command: Box::new(command) },
        }
    }

    /// The request that it is.
    pub fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Place { ticket, .. } | Self::Request { ticket, .. } => Some(*ticket),
            Self::Loaded { ticket, .. } | Self::Unread { ticket, .. } => Some(*ticket),
            Self::Peer(_) | Self::Provider(_) | Self::Waited { .. } | Self::Archived { .. } | Self::Committed(_) => None,
            Self::Report(_) | Self::Probe(_) | Self::Policy | Self::Snapshot(_) | Self::Drain(_) | Self::Host { .. } => None,
            Self::Depart(_) | Self::Arrive(_) | Self::Retire(_) => None,
        }
    }

    /// Whether a credit of the shard it was sent to goes with it. One that was looked up is in hand already: its credit is with its partition.
    pub fn has_credit(&self) -> bool {
        matches!(self, Self::Place { .. } | Self::Request { .. })
    }
}

/// What an operator sees of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardReport {
    pub shard: usize,
    /// How often one of its partitions was rebuilt.
    pub epoch: u64,
    pub depth: usize,
    pub limit: usize,
    pub partitions: Vec<u16>,
    /// Requests that each of them was sent since the process hosts it, in the same order.
    pub requests: Vec<u64>,
    /// Likewise, with messages of other partitions: what it has had to do.
    pub heat: Vec<u64>,
    pub orders: usize,
    pub skus: usize,
    pub holds: usize,
}

/// "There are messages." One is under way at a time.
#[derive(Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct Wake;

#[derive(Debug)]
pub struct Inbox {
    pub shard: usize,
    pub credits: Credits,
    pub sight: Sight,
    queue: Queue<ShardMessage>,
    woken_at: crossbeam::atomic::AtomicCell<Option<Instant>>,
    actor: OnceLock<Recipient<Wake>>,
}

impl Inbox {
    pub fn new(shard: usize, credits: usize) -> Self {
        let (queue, woken_at) = (Queue::new(), crossbeam::atomic::AtomicCell::new(None));
        Self { shard, credits: Credits::new(credits), sight: Sight::default(), queue, woken_at, actor: OnceLock::new() }
    }

    /// With probes that are timed so.
    pub(crate) fn timed(self, timing: &Arc<dyn Timing>) -> Self {
        Self { sight: Sight::new(timing.clone()), ..self }
    }

    /// The actor is up: from now on messages wake it.
    pub fn attach(&self, actor: Recipient<Wake>) {
        if self.actor.set(actor).is_ok() {
            self.queue.attach(|| self.wake());
        }
    }

    /// False if the inbox is closed; the message is dropped then and was not executed.
    pub fn push(&self, message: ShardMessage) -> bool {
        self.queue.push(Way::Alone, message, || self.wake())
    }

    /// As [`Self::push`], of one message of many.
    pub fn push_bulk(&self, message: ShardMessage) -> bool {
        self.queue.push(Way::InBulk, message, || self.wake())
    }

    fn wake(&self) {
        let Some(actor) = self.actor.get() else { return };
        self.woken_at.store(Some(Instant::now()));
        // One wake-up is under way at a time, so the mailbox always has room; a refusal means the actor is gone.
        if actor.try_send(Wake).is_err() {
            self.close();
        }
    }

    /// How long the oldest wake-up waited for its turn.
    pub fn waited(&self) -> Option<std::time::Duration> {
        self.woken_at.take().map(|at| at.elapsed())
    }

    /// Takes up to `most` messages, and behind them some of those that came in bulk: fewer while there are others.
    pub fn take(&self, most: usize, taken: &mut VecDeque<ShardMessage>) {
        self.queue.take(most, taken);
    }

    /// The shard has read everything and goes to sleep. False if something came meanwhile.
    pub fn sleep(&self) -> bool {
        self.queue.sleep()
    }

    pub fn close(&self) {
        self.queue.close();
    }

    pub fn closed(&self) -> bool {
        self.queue.closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::ids::Sku;

    fn message(number: u64) -> ShardMessage {
        ShardMessage::Request { ticket: Ticket(number), command: Box::new(Command::GetStock { sku: Sku::new("A").unwrap() }) }
    }

    fn numbers(inbox: &Inbox) -> Vec<u64> {
        let mut taken = VecDeque::new();
        inbox.take(8, &mut taken);
        let number = |message| if let ShardMessage::Request { ticket, .. } = message { ticket.0 } else { panic!("{message:?}") };
        taken.into_iter().map(number).collect()
    }

    #[test]
    fn what_comes_alone_stands_behind_a_few_of_those_that_came_in_bulk_however_many_wait() {
        let inbox = Inbox::new(0, 1);
        (100..120).for_each(|number| assert!(inbox.push_bulk(message(number))));
        (0..9).for_each(|number| assert!(inbox.push(message(number))));
        assert_eq!(numbers(&inbox), [0, 1, 2, 3, 4, 5, 6, 7, 100, 101]);
        assert_eq!(numbers(&inbox), [8, 102, 103]);
        assert_eq!(numbers(&inbox), [104, 105, 106, 107, 108, 109, 110, 111], "nothing else waits");
        assert!(!inbox.sleep(), "there are messages");
        assert_eq!(numbers(&inbox).len(), 8);
        assert!(numbers(&inbox).is_empty());
    }

    #[test]
    fn a_closed_inbox_keeps_nothing_that_came_alone_or_in_bulk_and_takes_nothing() {
        let inbox = Inbox::new(0, 1);
        (0..3).for_each(|number| assert!(inbox.push(message(number)) && inbox.push_bulk(message(100 + number))));
        inbox.close();
        assert!(inbox.queue.is_empty());
        assert!(!inbox.push(message(3)) && !inbox.push_bulk(message(103)));
        assert!(numbers(&inbox).is_empty());
    }
}
