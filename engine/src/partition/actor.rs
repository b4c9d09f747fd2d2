//! One order actor: the order, and what is under way for it.
//!
//! Invariant: everything beside the order can be derived from it again after a crash. So the methods here derive and decide nothing;
//! [`super::orders`] sends what they derive.

use super::deadlines::Slot;
use super::saga::{CallInFlight, Participant, Saga, SagaStep, Wait};
use crate::answer::{Answer, Reply};
use crate::effect::ProviderCall;
use crate::event::{History, OrderFact};
use crate::ids::{HoldKey, Provider, Sku, Url};
use crate::limits;
use crate::order::{HoldIntent, Order, Status};
use crate::plant::{self, Bug};
use crate::protocol::ToStock;
use crate::quantity::Quantity;
use crate::stock::{HoldOp, ReserveRequest};
use crate::time::{Policy, Timestamp};
use std::sync::Arc;

/// A provider call unanswered for this long is made again.
const CALL_LOST_MS: u64 = 60_000;

#[derive(Debug)]
pub(super) struct OrderActor {
    pub(super) order: Order,
    pub(super) saga: Option<Box<Saga>>,
    pub(super) armed: Slot,
    /// Its history was handed to the projector, which has not reported it yet.
    pub(super) archiving: bool,
}

// Orders are allocated one by one, and the allocator has blocks of this size.
const _: () = assert!(size_of::<OrderActor>() <= 112);

impl OrderActor {
    pub(super) fn new(order: Order) -> Self {
        Self { order, saga: None, armed: Slot::NEVER, archiving: false }
    }

    pub(super) fn saga(&mut self) -> &mut Saga {
        self.saga.get_or_insert_default()
    }

    fn all_replied(&self) -> bool {
        self.saga.as_ref().is_none_or(|saga| saga.all_replied())
    }

    /// Starts the step that the order intends, or sends again what is unanswered of a running one.
    pub(super) fn send_step(&mut self, now: Timestamp, policy: &Policy, send: impl FnMut(ToStock)) {
        let Some((intent, hold)) = self.order.hold_intent() else {
            if let Some(saga) = &mut self.saga {
                saga.step = None;
                saga.participants.clear();
            }
            return;
        };
        let order_version = self.order.version();
        let running = |step: &SagaStep| step.intent == intent && step.hold == hold;
        let fresh = !self.saga.as_ref().and_then(|saga| saga.step.as_ref()).is_some_and(running);
        if fresh {
            let participants = self.order.participants().into_iter();
            let participants = participants.map(|(sku, quantity)| Participant { sku, quantity, reply: None }).collect();
            let saga = self.saga();
            (saga.step, saga.participants) = (Some(SagaStep { intent, hold, order_version }), participants);
            saga.resend_wait = policy.resend_ms;
        } else if self.all_replied() || now < self.saga().resend_at {
            return;
        } else {
            let saga = self.saga();
            saga.resend_wait = (saga.resend_wait * 2).min(policy.resend_max_ms);
        }
        let saga = self.saga();
        saga.resend_at = now.plus(saga.resend_wait);
        if fresh || !plant::active(Bug::LostResend) {
            self.send_unanswered(policy, send);
        }
    }

    fn send_unanswered(&self, policy: &Policy, send: impl FnMut(ToStock)) {
        let Some((saga, step)) = self.saga.as_ref().and_then(|saga| Some((saga, saga.step.as_ref()?))) else { return };
        let SagaStep { intent, hold, order_version } = *step;
        let request = self.request(hold, order_version, saga.participants.len(), policy);
        let unanswered = saga.participants.iter().filter(|participant| participant.reply.is_none());
        let messages = unanswered.map(|Participant { sku, quantity, .. }| match intent {
            HoldIntent::Reserve => {
                ToStock::Reserve { sku: sku.clone(), request: ReserveRequest { quantity: *quantity, ..request } }
            }
            HoldIntent::Op(op) => ToStock::Move { sku: sku.clone(), hold, order_version, op },
        });
        messages.for_each(send);
    }

    /// What the order asks of one of so many SKUs, but for the units.
    fn request(&self, hold: HoldKey, order_version: u32, skus: usize, policy: &Policy) -> ReserveRequest {
        let partial = self.order.allow_partial() && self.order.status == Status::Reserving;
        let probe_at = self.order.expires_at.plus(policy.probe_grace_ms);
        let locations = limits::MAX_ALLOCATIONS / skus.max(1);
        ReserveRequest { hold, order_version, quantity: Quantity::ZERO, partial, locations, probe_at }
    }

    /// What an order that was just placed asks of each of its SKUs.
    pub(super) fn first_requests(&self, policy: &Policy) -> impl Iterator<Item = (Sku, ReserveRequest)> {
        let hold = HoldKey { order: self.order.id, generation: self.order.generation };
        let requested = self.order.requested();
        let request = self.request(hold, self.order.version(), requested.len(), policy);
        requested.into_iter().map(move |(sku, quantity)| (sku, ReserveRequest { quantity, ..request }))
    }

    /// The answer to the command that placed the order, if it waits for nothing more.
    pub(super) fn answer_at_once(&self) -> Option<Answer> {
        let order = &self.order;
        let len = order.answer_len().filter(|_| !order.pays())?;
        Some(Answer::Order { id: order.id, history: order.history().prefix(len)? })
    }

    /// Facts that follow once all SKUs have answered, and the payment an order asked for when it was placed.
    pub(super) fn follow(&mut self, now: Timestamp, policy: &Policy) -> Vec<OrderFact> {
        if let (Some((intent, _)), true) = (self.order.hold_intent(), self.all_replied()) {
            match intent {
                HoldIntent::Reserve => {
                    let saga = self.saga();
                    saga.step = None;
                    let replies = saga.take_replies();
                    return self.order.decide_replies(replies);
                }
                HoldIntent::Op(HoldOp::Commit | HoldOp::Release(_)) => return self.order.decide_settled(),
                HoldIntent::Op(HoldOp::Pin | HoldOp::Unpin) => {}
            }
        }
        let order = &self.order;
        let starts = order.pays() && order.status == Status::AwaitingPayment && order.attempts.is_empty();
        let Some(asked) = starts.then(|| order.placed().payment).flatten() else { return Vec::new() };
        let (provider, return_url) = (Provider::of_checked(asked.provider), asked.return_url.map(Url::of_checked));
        order.decide_payment(now, provider, return_url, None, policy).unwrap_or_default()
    }

    /// The call that is due to the provider and not under way.
    pub(super) fn call_provider(&mut self, now: Timestamp, policy: &Policy) -> Option<ProviderCall> {
        let Some((number, kind, due)) = self.order.next_call(now, policy) else {
            if let Some(saga) = &mut self.saga {
                (saga.call, saga.call_after) = (None, Timestamp::ZERO);
            }
            return None;
        };
        let saga = self.saga();
        let running = |call: &CallInFlight| call.attempt == number && call.kind == kind && now.since(call.since) < CALL_LOST_MS;
        if saga.call.as_ref().is_some_and(running) || now < due.max(saga.call_after) {
            return None;
        }
        saga.call = Some(CallInFlight { attempt: number, kind, since: now });
        let order = &self.order;
        let attempt = order.attempt(number)?;
        Some(ProviderCall {
            attempt: order.attempt_id(attempt),
            provider: attempt.provider.clone(),
            kind,
            amount: order.amount(),
            currency: order.placed().currency,
            return_url: attempt.return_url.clone(),
        })
    }

    /// Answers the callers whose wait is over.
    pub(super) fn answer_waiters(&mut self, mut reply: impl FnMut(Reply)) {
        let all_replied = self.all_replied();
        let order = &self.order;
        let Some(saga) = self.saga.as_mut().filter(|saga| !saga.waiters.is_empty()) else { return };
        let answer_of = |wait: &Wait| match wait {
            Wait::Placed => {
                let pinned = !order.pays() || all_replied;
                let len = order.answer_len().filter(|_| pinned)?;
                Some(Answer::Order { id: order.id, history: order.history().prefix(len)? })
            }
            Wait::Payment(number) => {
                let answer = order.attempt_answer(*number).filter(|_| all_replied)?;
                Some(Answer::Stored(Arc::new(answer)))
            }
            Wait::CarriedOut(facts) => order.carried_out(*facts as usize),
            Wait::Moved => all_replied.then(|| Answer::Order { id: order.id, history: order.history().clone() }),
        };
        saga.waiters.retain(|(ticket, wait)| {
            let Some(answer) = answer_of(wait) else { return true };
            reply(Reply { ticket: *ticket, outcome: Ok(answer), replayed: false });
            false
        });
    }

    /// When the order has to do something next.
    pub(super) fn first_deadline(&self, policy: &Policy) -> Option<Slot> {
        let saga = self.saga.as_ref();
        let resend = saga.filter(|saga| !saga.all_replied()).map(|saga| saga.resend_at);
        let call_after = saga.map_or(Timestamp::ZERO, |saga| saga.call_after);
        let running = saga.and_then(|saga| saga.call.as_ref());
        let call = self.order.next_call(call_after, policy).map(|(_, _, due)| match running {
            Some(running) => running.since.plus(CALL_LOST_MS),
            None => due.max(call_after),
        });
        [self.order.expiry(policy), resend, call].into_iter().flatten().min().map(Slot::after)
    }

    /// The history of an order that is archivable and not yet handed to the projector. From now on it is.
    pub(super) fn begin_archiving(&mut self) -> Option<History> {
        if self.archiving || !self.order.archivable() {
            return None;
        }
        self.archiving = true;
        Some(self.order.history().clone())
    }

    /// Drops the saga when nothing of it is under way.
    pub(super) fn forget_step(&mut self) {
        if self.saga.as_ref().is_some_and(|saga| saga.is_empty()) {
            self.saga = None;
        }
    }
}
