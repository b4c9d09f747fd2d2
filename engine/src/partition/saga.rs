//! The delivery side of one order: what was sent to its SKUs and its provider, and who waits for it.
//!
//! Everything here is volatile and follows again from the order after a crash.

use crate::ids::{HoldKey, Sku, Ticket};
use crate::order::{Answered, CallKind, Want};
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
pub(super) struct Target {
    pub(super) sku: Sku,
    pub(super) quantity: Quantity,
    pub(super) answer: Option<Answered>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Round {
    pub(super) want: Want,
    pub(super) hold: HoldKey,
    /// Version of the order that wanted it: tells answers to this round from those to others.
    pub(super) step: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct CallInFlight {
    pub(super) attempt: u8,
    pub(super) kind: CallKind,
    pub(super) since: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Saga {
    pub(super) round: Option<Round>,
    pub(super) targets: Vec<Target>,
    pub(super) resend_at: Timestamp,
    pub(super) resend_wait: u64,
    pub(super) waiters: Vec<(Ticket, Wait)>,
    pub(super) call: Option<CallInFlight>,
    /// The next call waits until then.
    pub(super) call_after: Timestamp,
    pub(super) call_wait: u64,
}

impl Saga {
    /// Every SKU has answered the round.
    pub(super) fn idle(&self) -> bool {
        self.targets.iter().all(|target| target.answer.is_some())
    }

    /// Index of the target that this answer to the running round is news of: the first, or a hold after a refusal, of a
    /// reserve that came twice. A refusal after a hold was overtaken by it.
    pub(super) fn news(&self, sku: &Sku, hold: HoldKey, step: u32, answer: &Answered) -> Option<usize> {
        self.round.as_ref().filter(|round| round.hold == hold && round.step == step)?;
        let index = self.targets.iter().position(|target| target.sku == *sku)?;
        match (&self.targets[index].answer, answer) {
            (None, _) | (Some(Answered::Refused(_)), Answered::Held(_)) => Some(index),
            (Some(_), _) => None,
        }
    }

    pub(super) fn take_answers(&mut self) -> Vec<(Sku, Answered)> {
        let targets = std::mem::take(&mut self.targets).into_iter();
        targets.filter_map(|target| target.answer.map(|answer| (target.sku, answer))).collect()
    }

    /// Nothing to remember.
    pub(super) fn over(&self) -> bool {
        self.round.is_none() && self.waiters.is_empty() && self.call.is_none() && self.call_after == Timestamp(0)
    }
}
