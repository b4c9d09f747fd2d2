//! The order actors of a partition: commands on orders, answers of SKUs and providers, and what follows from them.
//!
//! [`Partition::advance`] is the heart: from the order's state it derives messages, calls, replies and the next deadline,
//! live and after a crash alike.

use super::deadlines::Slot;
use super::saga::Wait;
use super::turn::{Request, Turn};
use super::{Gated, Partition, ProviderResult};
use crate::answer::Answer;
use crate::command::{CommandKey, Loaded};
use crate::effect::Archive;
use crate::event::{ArchiveFact, Event, Kind, OrderFact, Placed, ReleaseCause, StoredResponse};
use crate::ids::{AttemptId, HoldKey, OrderId, Provider, Sku, Ticket, Url};
use crate::order::{AttemptState, HoldIntent, Order, Outcome, Status, StockReply};
use crate::plant::{self, Bug};
use crate::protocol::{Message, ToOrder, ToStock};
use crate::rejection::Rejection;
use crate::stock::HoldOp;
use crate::time::Policy;
use std::sync::Arc;

impl Partition {
    pub(super) fn place(&mut self, turn: &mut Turn<'_>, request: Request, id: OrderId, placed: Box<Placed>) {
        let ticket = request.ticket;
        if self.admit(turn, request, id, placed) {
            self.wait(id, ticket, Wait::Placed);
            self.advance(turn, id);
        }
    }

    /// Places an order. False if it was known: then its caller has the reply.
    pub(super) fn admit(&mut self, turn: &mut Turn<'_>, request: Request, id: OrderId, mut placed: Box<Placed>) -> bool {
        let archived = request.loaded.order.map(|history| Order::of(id, history));
        let known = self.orders.get(&id).map(|actor| &actor.order).or(archived.as_ref());
        if let Some(order) = known {
            let outcome = replay(order, &placed);
            self.reply(turn, request.ticket, outcome, true);
            return false;
        }
        // Callers check it: what is placed can be billed at any time.
        let cost = crate::order::sum(placed.lines.iter().map(|line| (line.unit_price, line.quantity)));
        assert!(cost.is_some(), "order {id} costs more than can be counted");
        placed.number = self.placed * u64::from(self.partitions.count()) + u64::from(self.id.0) + 1;
        self.emit_order(turn, id, &OrderFact::Placed(placed));
        true
    }

    pub(super) fn get_order(&mut self, turn: &mut Turn<'_>, request: Request, id: OrderId, kind: Option<Kind>) {
        let known = self.orders.get(&id).map(|actor| actor.order.history().clone()).or(request.loaded.order);
        let found = known.filter(|history| kind.is_none_or(|kind| history.placed().kind == kind));
        let outcome = found.map(|history| Answer::Order { id, history }).ok_or(Rejection::NotFound);
        self.reply(turn, request.ticket, outcome, false);
    }

    /// Lets `decide` speak on an order, in memory or archived, after whatever is due has expired.
    fn decide_on(
        &mut self,
        turn: &mut Turn<'_>,
        id: OrderId,
        loaded: &Loaded,
        decide: impl FnOnce(&Order, &Policy) -> Result<Vec<OrderFact>, Rejection>,
    ) -> Result<(), Rejection> {
        self.expire_due(turn, id);
        let archived = match &loaded.order {
            Some(history) if !self.orders.contains_key(&id) => Some(Order::of(id, history.clone())),
            Some(_) | None => None,
        };
        let order = self.orders.get(&id).map(|actor| &actor.order).or(archived.as_ref()).ok_or(Rejection::NotFound)?;
        let facts = decide(order, &self.policy)?;
        if let (Some(order), false) = (archived, facts.is_empty()) {
            self.emit(turn, Event::Archive(ArchiveFact::Restored { order: id, history: order.history().clone() }));
        }
        for fact in facts {
            self.emit_order(turn, id, &fact);
        }
        Ok(())
    }

    pub(super) fn expire_due(&mut self, turn: &mut Turn<'_>, id: OrderId) {
        let Some(actor) = self.orders.get(&id) else { return };
        for fact in actor.order.decide_expiry(turn.now, &self.policy) {
            self.emit_order(turn, id, &fact);
        }
    }

    /// Commands that move an order on; answered when its SKUs have followed.
    pub(super) fn command_order(
        &mut self,
        turn: &mut Turn<'_>,
        request: Request,
        (id, kind): (OrderId, Option<Kind>),
        key: Option<CommandKey>,
        decide: impl FnOnce(&Order, &Policy) -> Result<Vec<OrderFact>, Rejection>,
    ) {
        let of_kind = |order: &Order| kind.is_none_or(|kind| order.kind() == kind);
        let decided = self.decide_on(turn, id, &request.loaded, |order, policy| {
            if !of_kind(order) {
                return Err(Rejection::NotFound);
            }
            decide(order, policy)
        });
        match decided {
            Err(rejection) => self.reply_refused(turn, request.ticket, rejection, key),
            Ok(()) => self.reply_moved(turn, request, id, key),
        }
        self.advance(turn, id);
    }

    pub(super) fn start_payment(
        &mut self,
        turn: &mut Turn<'_>,
        request: Request,
        id: OrderId,
        (provider, return_url): (Provider, Option<Url>),
        key: CommandKey,
    ) {
        if self.answered_key(turn, &request, &key) {
            return;
        }
        if let Some(outcome) = self.replay_payment(id, &key, &request.loaded) {
            return self.reply(turn, request.ticket, outcome, true);
        }
        let (now, bound) = (turn.now, Some((key.hash, key.fingerprint)));
        let decided = self
            .decide_on(turn, id, &request.loaded, |order, policy| order.decide_payment(now, provider, return_url, bound, policy));
        match decided {
            Ok(()) => {
                let attempt = self.orders.get(&id).map_or(0, |actor| actor.order.attempts_made());
                self.wait(id, request.ticket, Wait::Payment(attempt));
            }
            Err(Rejection::NotFound) => self.reply(turn, request.ticket, Err(Rejection::NotFound), false),
            Err(rejection) => {
                let state = refused_state(&rejection);
                let refused = StoredResponse::PaymentRefused { request_id: key.request_id, state };
                let answer = self.answer_key(turn, key.hash, key.fingerprint, refused);
                self.reply(turn, request.ticket, Ok(Answer::Stored(answer)), false);
            }
        }
        self.advance(turn, id);
    }

    /// The answer to a second request under the key of an attempt, if there is such an attempt.
    pub(super) fn replay_payment(&self, id: OrderId, key: &CommandKey, loaded: &Loaded) -> Option<Result<Answer, Rejection>> {
        let archived = loaded.order.clone().map(|history| Order::of(id, history));
        let order = self.orders.get(&id).map(|actor| &actor.order).or(archived.as_ref())?;
        let bound = |attempt: &&crate::order::Attempt| attempt.key.is_some_and(|(hash, _)| hash == key.hash);
        let attempt = order.attempts.iter().find(bound)?;
        if attempt.key.is_some_and(|(_, fingerprint)| fingerprint != key.fingerprint) {
            return Some(Err(Rejection::KeyReused));
        }
        let answer = order.attempt_answer(attempt.number).ok_or(Rejection::KeyInProgress);
        Some(answer.map(|answer| Answer::Stored(Arc::new(answer))))
    }

    pub(super) fn payment_result(&mut self, turn: &mut Turn<'_>, request: Request, attempt: AttemptId, outcome: Outcome) {
        let now = turn.now;
        let decided = self.decide_on(turn, attempt.order, &request.loaded, |order, policy| {
            order.attempt(attempt.number).ok_or(Rejection::NotFound)?;
            Ok(order.decide_outcome(now, attempt.number, outcome, policy))
        });
        self.reply(turn, request.ticket, decided.map(|()| Answer::Recorded), false);
        self.advance(turn, attempt.order);
    }

    pub(super) fn provider(&mut self, turn: &mut Turn<'_>, result: ProviderResult) {
        let now = turn.now;
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
                self.emit_order(turn, attempt.order, &fact);
            }
        } else {
            let loaded = Loaded::default();
            let decide = |order: &Order, policy: &_| Ok(order.decide_outcome(now, attempt.number, outcome, policy));
            // The order is in memory, so this cannot be refused.
            let _ = self.decide_on(turn, attempt.order, &loaded, decide);
        }
        self.advance(turn, attempt.order);
    }

    pub(super) fn receive_from_sku(&mut self, turn: &mut Turn<'_>, message: ToOrder) {
        let id = message.order();
        let holds = matches!(message, ToOrder::Held { .. });
        let (sku, hold, order_version, answer) = match message {
            ToOrder::Held { sku, hold, order_version, allocations } => (sku, hold, order_version, StockReply::Held(allocations)),
            ToOrder::Refused { sku, hold, order_version, refusal } => (sku, hold, order_version, StockReply::Refused(refusal)),
            ToOrder::Moved { sku, hold, order_version } => (sku, hold, order_version, StockReply::Held(Vec::new())),
            ToOrder::HoldProbe { sku, hold } => return self.answer_probe(turn, sku, hold),
        };
        let saga = self.orders.get_mut(&id).and_then(|actor| actor.saga.as_mut());
        if let Some((index, saga)) = saga.and_then(|saga| Some((saga.accept_reply(&sku, hold, order_version, &answer)?, saga))) {
            saga.participants[index].reply = Some(answer);
            if saga.all_replied() {
                self.advance(turn, id);
            }
            return;
        }
        // A reserve that came twice may be refused first and met later, when the order no longer counts on it. One of an
        // order that was never heard of may be lost with a shard, and come again under its key: its hold waits for it.
        let known = self.orders.contains_key(&id) || self.archived.may_have(&id.bytes());
        if holds && known {
            self.answer_probe(turn, sku, hold);
        }
    }

    /// A SKU asks about a hold past its time, or tells of one that nobody waits for. Silence means wait.
    fn answer_probe(&mut self, turn: &mut Turn<'_>, sku: Sku, hold: HoldKey) {
        let orphan = self.orders.get(&hold.order).is_none_or(|actor| {
            let order = &actor.order;
            let over = order.stock_settled && (order.status.ended_without_goods() || order.status == Status::Confirmed);
            let short = order.generation == hold.generation && order.shortages().iter().any(|shortage| shortage.sku == sku);
            let held_elsewhere = order.holds().len() > 0 && order.holds().all(|held| held.sku != sku.as_str());
            let reholding = matches!(order.hold_intent(), Some((HoldIntent::Reserve, next)) if next == hold);
            !reholding && (hold.generation < order.generation || over || short || held_elsewhere)
        });
        if orphan {
            let op = HoldOp::Release(ReleaseCause::Expired);
            let to = self.partitions.of_sku(&sku);
            self.send(turn, to, ToStock::Move { sku, hold, order_version: u32::MAX, op });
        }
    }

    pub(super) fn order_due(&mut self, turn: &mut Turn<'_>, id: OrderId, slot: Slot) {
        let Some(actor) = self.orders.get_mut(&id).filter(|actor| actor.armed == slot) else { return };
        actor.armed = Slot::NEVER;
        self.expire_due(turn, id);
        self.advance(turn, id);
    }

    pub(super) fn wait(&mut self, id: OrderId, ticket: Ticket, wait: Wait) {
        if let Some(actor) = self.orders.get_mut(&id) {
            actor.saga().waiters.push((ticket, wait));
        }
    }

    /// Derives everything that follows from the state of an order, until nothing more follows.
    pub(super) fn advance(&mut self, turn: &mut Turn<'_>, id: OrderId) {
        loop {
            let Some(actor) = self.orders.get_mut(&id) else { return };
            let (seq, partitions, gate) = (self.seq, self.partitions, &mut self.gate);
            actor.send_step(turn.now, &self.policy, |message| {
                let to = partitions.of_sku(message.sku());
                gate.push(seq, Gated::Message(Message { to, body: message.into() }), turn.fx);
            });
            let facts = actor.follow(turn.now, &self.policy);
            if facts.is_empty() {
                break;
            }
            for fact in facts {
                self.emit_order(turn, id, &fact);
            }
        }
        self.flush(turn, id);
    }

    /// What an order that has decided all it can owes to its provider, its callers, the clock and the store.
    fn flush(&mut self, turn: &mut Turn<'_>, id: OrderId) {
        let Some(actor) = self.orders.get_mut(&id) else { return };
        if let Some(call) = actor.call_provider(turn.now, &self.policy) {
            self.gate.push(self.seq, Gated::Call(call), turn.fx);
        }
        actor.answer_waiters(|reply| self.gate.push(self.seq, Gated::Reply(reply), turn.fx));
        // One timer per order, for the first thing it has to do.
        if let Some(slot) = actor.first_deadline(&self.policy)
            && (slot < actor.armed || (slot > actor.armed && self.deadlines.disarm(actor.armed, id)))
        {
            actor.armed = slot;
            self.deadlines.arm_order(slot, id);
        }
        if let Some(history) = actor.begin_archiving() {
            let archive = Archive::Order { partition: self.id, order: id, history };
            self.gate.push(self.seq, Gated::Archive(archive), turn.fx);
        }
        actor.forget_step();
    }
}

/// The answer to a second request under the key of an order.
fn replay(order: &Order, placed: &Placed) -> Result<Answer, Rejection> {
    if order.placed().fingerprint() != placed.fingerprint && !plant::active(Bug::BodyNotCompared) {
        return Err(Rejection::KeyReused);
    }
    let answer = order.answer_len().and_then(|len| order.history().prefix(len));
    Ok(Answer::Order { id: order.id, history: answer.ok_or(Rejection::KeyInProgress)? })
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
        Rejection::TooMany | Rejection::HoldLimit(_) | Rejection::HoldTooLong { .. } => {
            unreachable!("an order does not refuse a payment for {rejection:?}")
        }
    }
}
