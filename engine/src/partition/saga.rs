//! The delivery side of one order: what was sent to its SKUs and its provider, and who waits for it.
//!
//! Everything here is volatile and follows again from the order after a crash.

use crate::ids::{HoldKey, Sku, Ticket};
use crate::order::{CallKind, HoldIntent, StockReply};
use crate::quantity::Quantity;
use crate::time::Timestamp;

/// What the caller of a command waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The order is decided (and, where it pays at once, its payment page open and its units pinned).
    Placed,
    /// The payment page of this attempt is open, its units pinned.
    Payment(u8),
    /// Every SKU has done what the order decided.
    Moved,
    /// Every SKU has done what the first so many facts of the order decided: the answer of a key.
    CarriedOut(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Participant {
    pub(super) sku: Sku,
    pub(super) quantity: Quantity,
    pub(super) reply: Option<StockReply>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SagaStep {
    pub(super) intent: HoldIntent,
    pub(super) hold: HoldKey,
    /// Version of the order that intended it: tells replies to this step from those to others.
    pub(super) order_version: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct CallInFlight {
    pub(super) attempt: u8,
    pub(super) kind: CallKind,
    pub(super) since: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Saga {
    pub(super) step: Option<SagaStep>,
    pub(super) participants: Vec<Participant>,
    pub(super) resend_at: Timestamp,
    pub(super) resend_wait: u64,
    pub(super) waiters: Vec<(Ticket, Wait)>,
    pub(super) call: Option<CallInFlight>,
    /// The next call waits until then.
    pub(super) call_after: Timestamp,
    pub(super) call_wait: u64,
}

impl Saga {
    /// Every participant has replied to the step.
    pub(super) fn all_replied(&self) -> bool {
        self.participants.iter().all(|participant| participant.reply.is_some())
    }

    /// Index of the participant whose first reply to the running step this is, or whose refusal it replaces by a hold, as a reserve
    /// may come twice. A refusal after a hold was overtaken by it.
    pub(super) fn accept_reply(&self, sku: &Sku, hold: HoldKey, order_version: u32, reply: &StockReply) -> Option<usize> {
        self.step.as_ref().filter(|step| step.hold == hold && step.order_version == order_version)?;
        let index = self.participants.iter().position(|participant| participant.sku == *sku)?;
        match (&self.participants[index].reply, reply) {
            (None, _) | (Some(StockReply::Refused(_)), StockReply::Held(_)) => Some(index),
            (Some(_), _) => None,
        }
    }

    pub(super) fn take_replies(&mut self) -> Vec<(Sku, StockReply)> {
        let participants = std::mem::take(&mut self.participants).into_iter();
        participants.filter_map(|participant| participant.reply.map(|reply| (participant.sku, reply))).collect()
    }

    /// Nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.step.is_none() && self.waiters.is_empty() && self.call.is_none() && self.call_after == Timestamp::ZERO
    }
}
