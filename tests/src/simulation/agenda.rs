//! What is going to happen: a heap of moments with the tie between equal ones drawn from the seed.

use super::client::Asked;
use super::commit::Taken;
use holdfast_engine::answer::Reply;
use holdfast_engine::effect::{Archive, ProviderCall};
use holdfast_engine::ids::{AttemptId, PartitionId, Seq, Ticket};
use holdfast_engine::order::Outcome;
use holdfast_engine::partition::ProviderResult;
use holdfast_engine::protocol::Body;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Simulated microseconds since the run began.
pub(super) type Micros = u64;

/// Number of a life of the process or of a shard: what belongs to an earlier life never arrives.
pub(super) type Life = u64;

#[derive(Debug)]
pub(super) enum Happening {
    /// The workload makes its next operation.
    NextOperation,
    /// A client sends what it decided to send.
    Send(Box<Asked>),
    RequestArrives(Ticket),
    /// The client gives up waiting, or hears that nobody listens.
    ClientGivesUp(Ticket),
    ReplyArrives(Box<Reply>),
    /// A message between partitions, with the state its sender had.
    Deliver {
        life: Life,
        to: PartitionId,
        body: Box<Body>,
        basis: (PartitionId, Seq),
    },
    Turn {
        shard: usize,
        life: Life,
    },
    Tick(PartitionId),
    Synced {
        log: usize,
        life: Life,
    },
    SyncFailed {
        life: Life,
    },
    Crash,
    Recover {
        life: Life,
    },
    PartitionPanics(PartitionId),
    PartitionRebuilt {
        process: Life,
        partition: PartitionId,
        life: Life,
    },
    /// An operator asks for a partition to be moved to a shard.
    MovePartition {
        partition: PartitionId,
        to: usize,
    },
    /// The guardian reads what shards have told it.
    GuardianTurn {
        process: Life,
    },
    TakeSnapshot,
    SaveSnapshot {
        life: Life,
        taken: Box<Taken>,
    },
    ClockJump,
    CallArrives(Box<ProviderCall>),
    CallAnswered {
        life: Life,
        result: Box<ProviderResult>,
    },
    BuyerDecides {
        attempt: AttemptId,
        approves: bool,
    },
    Webhook {
        attempt: AttemptId,
        outcome: Outcome,
        tries: u8,
    },
    Archived {
        life: Life,
        archive: Box<Archive>,
    },
    /// Faults stop: from here on everything must come to its end.
    Calm,
}

/// The future, in order.
#[derive(Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(Micros, u64, usize)>>,
    slots: Vec<Option<Happening>>,
    free: Vec<usize>,
}

impl Agenda {
    pub(super) fn push(&mut self, at: Micros, tie: u64, happening: Happening) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(happening);
                slot
            }
            None => {
                self.slots.push(Some(happening));
                self.slots.len() - 1
            }
        };
        self.heap.push(Reverse((at, tie, slot)));
    }

    pub(super) fn pop(&mut self) -> Option<(Micros, Happening)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot].take().map(|happening| (at, happening))
    }
}
