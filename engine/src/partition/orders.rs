//! The order actors of a partition: commands on orders, answers of SKUs and providers, and what follows from them.
//!
//! [`Partition::advance`] is the heart: from the order's state it derives messages, calls, replies and the next deadline,
//! live and after a crash alike.

use super::deadlines::Slot;
use super::saga::Wait;
use super::{Gated, Partition, ProviderResult};
use crate::answer::Answer;
use crate::command::{CommandKey, Loaded};
use crate::effect::{Archive, Effects};
use crate::event::{ArchiveFact, Event, Kind, OrderFact, Placed, ReleaseCause, StoredResponse};
use crate::ids::{AttemptId, HoldKey, OrderId, Provider, Sku, Ticket, Url};
use crate::order::{AttemptState, HoldIntent, Order, Outcome, Status, StockReply};
use crate::plant::{self, Bug};
use crate::protocol::{Message, ToOrder, ToStock};
use crate::rejection::Rejection;
use crate::stock::HoldOp;
use crate::time::Timestamp;
use std::sync::Arc;

impl Partition {
    pub(super) fn place(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        id: OrderId,
        mut placed: Box<Placed>,
        loaded: Loaded,
        fx: &mut Effects,
    ) {
        let archived = loaded.order.as_deref().and_then(|history| Order::fold(id, history));
        let known = self.orders.get(&id).map(|actor| &actor.order).or(archived.as_ref());
        if let Some(order) = known {
            let outcome = replay(order, &placed);
            return self.reply(ticket, outcome, true, fx);
        }
        // Callers check it: what is placed can be billed at any time.
        let cost = crate::order::sum(placed.lines.iter().map(|line| (line, line.quantity)));
        assert!(cost.is_some(), "order {id} costs more than can be counted");
        placed.number = self.placed * u64::from(self.partitions.count()) + u64::from(self.id.0) + 1;
        self.emit_order(now, id, OrderFact::Placed(placed), fx);
        self.wait(id, ticket, Wait::Placed);
        self.advance(now, id, fx);
    }

    pub(super) fn get_order(&mut self, ticket: Ticket, id: OrderId, kind: Option<Kind>, loaded: Loaded, fx: &mut Effects) {
        let history = self.orders.get(&id).map(|actor| actor.order.history.clone()).or(loaded.order);
        let fits = |order: &Order| kind.is_none_or(|kind| order.kind() == kind);
        let found = history.filter(|history| Order::fold(id, history.get(..1).unwrap_or_default()).as_ref().is_some_and(fits));
        let outcome = found.map(|history| Answer::Order { id, history }).ok_or(Rejection::NotFound);
        self.reply(ticket, outcome, false, fx);
    }

    /// Lets `decide` speak on an order, in memory or archived, after whatever is due has expired.
    fn decide_on(
        &mut self,
        now: Timestamp,
        id: OrderId,
        loaded: &Loaded,
        fx: &mut Effects,
        decide: impl FnOnce(&Order, &crate::time::Policy) -> Result<Vec<OrderFact>, Rejection>,
    ) -> Result<(), Rejection> {
        self.expire_due(now, id, fx);
        let archived = match &loaded.order {
            Some(history) if !self.orders.contains_key(&id) => Order::fold(id, history),
            Some(_) | None => None,
        };
        let order = self.orders.get(&id).map(|actor| &actor.order).or(archived.as_ref()).ok_or(Rejection::NotFound)?;
        let facts = decide(order, &self.policy)?;
        if let (Some(order), false) = (archived, facts.is_empty()) {
            self.emit(now, Event::Archive(ArchiveFact::Restored { order: id, history: order.history }), fx);
        }
        for fact in facts {
            self.emit_order(now, id, fact, fx);
        }
        Ok(())
    }

    pub(super) fn expire_due(&mut self, now: Timestamp, id: OrderId, fx: &mut Effects) {
        let Some(actor) = self.orders.get(&id) else { return };
        for fact in actor.order.decide_expiry(now, &self.policy) {
            self.emit_order(now, id, fact, fx);
        }
    }

    /// Commands that move an order on; answered when its SKUs have followed.
    #[expect(clippy::too_many_arguments, reason = "the arguments of one step, passed through once")]
    pub(super) fn command_order(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        (id, kind): (OrderId, Option<Kind>),
        key: Option<CommandKey>,
        loaded: Loaded,
        fx: &mut Effects,
        decide: impl FnOnce(&Order, &crate::time::Policy) -> Result<Vec<OrderFact>, Rejection>,
    ) {
        let of_kind = |order: &Order| kind.is_none_or(|kind| order.kind() == kind);
        let decided = self.decide_on(now, id, &loaded, fx, |order, policy| match of_kind(order) {
            true => decide(order, policy),
            false => Err(Rejection::NotFound),
        });
        match decided {
            Err(rejection) => self.reply_refused(now, ticket, rejection, key, fx),
            Ok(()) => self.reply_moved(now, ticket, id, key, loaded, fx),
        }
        self.advance(now, id, fx);
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments of one step, passed through once")]
    pub(super) fn start_payment(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        id: OrderId,
        (provider, return_url): (Provider, Option<Url>),
        key: CommandKey,
        loaded: Loaded,
        fx: &mut Effects,
    ) {
        if self.answered_key(ticket, &key, &loaded, fx) {
            return;
        }
        if let Some(outcome) = self.replay_payment(id, &key, &loaded) {
            return self.reply(ticket, outcome, true, fx);
        }
        let bound = Some((key.hash, key.fingerprint));
        let decided =
            self.decide_on(now, id, &loaded, fx, |order, policy| order.decide_payment(now, provider, return_url, bound, policy));
        match decided {
            Ok(()) => {
                let attempt = self.orders.get(&id).map_or(0, |actor| actor.order.attempts_made());
                self.wait(id, ticket, Wait::Payment(attempt));
            }
            Err(Rejection::NotFound) => self.reply(ticket, Err(Rejection::NotFound), false, fx),
            Err(rejection) => {
                let state = refused_state(&rejection);
                let refused = StoredResponse::PaymentRefused { request_id: key.request_id, state };
                let answer = self.answer_key(now, key.hash, key.fingerprint, refused, fx);
                self.reply(ticket, Ok(Answer::Stored(answer)), false, fx);
            }
        }
        self.advance(now, id, fx);
    }

    /// The answer to a second request under the key of an attempt, if there is such an attempt.
    pub(super) fn replay_payment(&self, id: OrderId, key: &CommandKey, loaded: &Loaded) -> Option<Result<Answer, Rejection>> {
        let archived = loaded.order.as_deref().and_then(|history| Order::fold(id, history));
        let order = self.orders.get(&id).map(|actor| &actor.order).or(archived.as_ref())?;
        let bound = |attempt: &&crate::order::Attempt| attempt.key.is_some_and(|(hash, _)| hash == key.hash);
        let attempt = order.attempts.iter().find(bound)?;
        if attempt.key.is_some_and(|(_, fingerprint)| fingerprint != key.fingerprint) {
            return Some(Err(Rejection::KeyReused));
        }
        let answer = order.attempt_answer(attempt.number).ok_or(Rejection::KeyInProgress);
        Some(answer.map(|answer| Answer::Stored(Arc::new(answer))))
    }

    pub(super) fn payment_result(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        attempt: AttemptId,
        outcome: Outcome,
        loaded: Loaded,
        fx: &mut Effects,
    ) {
        let decided = self.decide_on(now, attempt.order, &loaded, fx, |order, policy| {
            order.attempt(attempt.number).ok_or(Rejection::NotFound)?;
            Ok(order.decide_outcome(now, attempt.number, outcome, policy))
        });
        self.reply(ticket, decided.map(|()| Answer::Recorded), false, fx);
        self.advance(now, attempt.order, fx);
    }

    pub(super) fn provider(&mut self, now: Timestamp, result: ProviderResult, fx: &mut Effects) {
        let (attempt, outcome) = match &result {
            ProviderResult::Opened { attempt, .. } => (*attempt, Outcome::Pending),
            ProviderResult::Outcome { attempt, outcome, .. } => (*attempt, *outcome),
        };
        let Some(actor) = self.orders.get_mut(&attempt.order) else { return };
        let answered = !matches!(outcome, Outcome::Timeout | Outcome::Pending) || matches!(result, ProviderResult::Opened { .. });
        let saga = actor.saga();
        saga.call = None;
        saga.call_wait =
            if answered { 0 } else { (saga.call_wait * 2).clamp(self.policy.resend_ms.max(1), self.policy.query_max_ms) };
        saga.call_after = now.plus(saga.call_wait);
        if let ProviderResult::Opened { redirect_url, .. } = result {
            let opening = actor.order.attempt(attempt.number).is_some_and(|attempt| attempt.state == AttemptState::Opening);
            if opening {
                let fact = OrderFact::PaymentOpened { attempt: attempt.number, redirect_url };
                self.emit_order(now, attempt.order, fact, fx);
            }
        } else {
            let loaded = Loaded::default();
            let decide = |order: &Order, policy: &_| Ok(order.decide_outcome(now, attempt.number, outcome, policy));
            // The order is in memory, so this cannot be refused.
            self.decide_on(now, attempt.order, &loaded, fx, decide).unwrap_or_default();
        }
        self.advance(now, attempt.order, fx);
    }

    pub(super) fn receive_from_sku(&mut self, now: Timestamp, message: ToOrder, fx: &mut Effects) {
        let id = message.order();
        let holds = matches!(message, ToOrder::Held { .. });
        let (sku, hold, order_version, answer) = match message {
            ToOrder::Held { sku, hold, order_version, allocations } => (sku, hold, order_version, StockReply::Held(allocations)),
            ToOrder::Refused { sku, hold, order_version, refusal } => (sku, hold, order_version, StockReply::Refused(refusal)),
            ToOrder::Moved { sku, hold, order_version } => (sku, hold, order_version, StockReply::Held(Vec::new())),
            ToOrder::HoldProbe { sku, hold } => return self.answer_probe(sku, hold, fx),
        };
        let saga = self.orders.get_mut(&id).and_then(|actor| actor.saga.as_mut());
        if let Some((index, saga)) = saga.and_then(|saga| Some((saga.accept_reply(&sku, hold, order_version, &answer)?, saga))) {
            saga.participants[index].reply = Some(answer);
            if saga.all_replied() {
                self.advance(now, id, fx);
            }
            return;
        }
        // A reserve that came twice may be refused first and met later, when the order no longer counts on it. One of an
        // order that was never heard of may be lost with a shard, and come again under its key: its hold waits for it.
        let known = self.orders.contains_key(&id) || self.archived.may_have(&id.bytes());
        if holds && known {
            self.answer_probe(sku, hold, fx);
        }
    }

    /// A SKU asks about a hold past its time, or tells of one that nobody waits for. Silence means wait.
    fn answer_probe(&mut self, sku: Sku, hold: HoldKey, fx: &mut Effects) {
        let orphan = self.orders.get(&hold.order).is_none_or(|actor| {
            let order = &actor.order;
            let over = order.stock_settled && (order.status.ended_without_goods() || order.status == Status::Confirmed);
            let short = order.generation == hold.generation && order.shortages().iter().any(|shortage| shortage.sku == sku);
            let held_elsewhere = !order.holds().is_empty() && order.holds().iter().all(|held| held.sku != sku);
            let reholding = matches!(order.hold_intent(), Some((HoldIntent::Reserve, next)) if next == hold);
            !reholding && (hold.generation < order.generation || over || short || held_elsewhere)
        });
        if orphan {
            let op = HoldOp::Release(ReleaseCause::Expired);
            let to = self.partitions.of_sku(&sku);
            self.send(to, ToStock::Move { sku, hold, order_version: u32::MAX, op }, fx);
        }
    }

    pub(super) fn order_due(&mut self, now: Timestamp, id: OrderId, slot: Slot, fx: &mut Effects) {
        let Some(actor) = self.orders.get_mut(&id).filter(|actor| actor.armed == slot) else { return };
        actor.armed = Slot::NEVER;
        self.expire_due(now, id, fx);
        self.advance(now, id, fx);
    }

    pub(super) fn wait(&mut self, id: OrderId, ticket: Ticket, wait: Wait) {
        if let Some(actor) = self.orders.get_mut(&id) {
            actor.saga().waiters.push((ticket, wait));
        }
    }

    /// Derives everything that follows from the state of an order, until nothing more follows.
    pub(super) fn advance(&mut self, now: Timestamp, id: OrderId, fx: &mut Effects) {
        loop {
            let Some(actor) = self.orders.get_mut(&id) else { return };
            let (seq, partitions, gate) = (self.seq, self.partitions, &mut self.gate);
            actor.send_step(now, &self.policy, |message| {
                let to = partitions.of_sku(message.sku());
                gate.push(seq, Gated::Message(Message { to, body: message.into() }), fx);
            });
            let facts = actor.follow(now, &self.policy);
            if facts.is_empty() {
                break;
            }
            for fact in facts {
                self.emit_order(now, id, fact, fx);
            }
        }
        self.flush(now, id, fx);
    }

    /// What an order that has decided all it can owes to its provider, its callers, the clock and the store.
    fn flush(&mut self, now: Timestamp, id: OrderId, fx: &mut Effects) {
        let Some(actor) = self.orders.get_mut(&id) else { return };
        if let Some(call) = actor.call_provider(now, &self.policy) {
            self.gate.push(self.seq, Gated::Call(call), fx);
        }
        actor.answer_waiters(|reply| self.gate.push(self.seq, Gated::Reply(reply), fx));
        // One timer per order, for the first thing it has to do.
        if let Some(slot) = actor.first_deadline(&self.policy)
            && (slot < actor.armed || (slot > actor.armed && self.deadlines.disarm(actor.armed, id)))
        {
            actor.armed = slot;
            self.deadlines.arm_order(slot, id);
        }
        if let Some(history) = actor.begin_archiving() {
            let archive = Archive::Order { partition: self.id, order: id, history };
            self.gate.push(self.seq, Gated::Archive(archive), fx);
        }
        actor.forget_step();
    }
}

/// The answer to a second request under the key of an order.
fn replay(order: &Order, placed: &Placed) -> Result<Answer, Rejection> {
    if order.placed().fingerprint != placed.fingerprint && !plant::active(Bug::BodyNotCompared) {
        return Err(Rejection::KeyReused);
    }
    let len = order.answer_len().ok_or(Rejection::KeyInProgress)?;
    Ok(Answer::Order { id: order.id, history: order.history[..len].to_vec() })
}

/// The state that an attempt to pay was refused for, by its name.
fn refused_state(rejection: &Rejection) -> String {
    match rejection {
        Rejection::InvalidTransition { status, kind } => status.name(*kind).to_owned(),
        Rejection::ReservationExpired => Status::Expired.name(Kind::Order).to_owned(),
        Rejection::NotFound | Rejection::KeyReused | Rejection::KeyInProgress | Rejection::VersionMismatch { .. } => {
            unreachable!("an order does not refuse a payment for {rejection:?}")
        }
        Rejection::UnknownSku(_) | Rejection::Short(_) | Rejection::BelowTaken { .. } | Rejection::LocationInUse { .. } => {
            unreachable!("an order does not refuse a payment for {rejection:?}")
        }
        Rejection::TooMany | Rejection::HoldLimit(_) => unreachable!("an order does not refuse a payment for {rejection:?}"),
    }
}
