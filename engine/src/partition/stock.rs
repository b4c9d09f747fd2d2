//! The SKU actors of a partition: commands on stock, reserves of orders, probes of old holds.

use super::Partition;
use crate::answer::Answer;
use crate::command::CommandKey;
use crate::effect::Effects;
use crate::event::{Event, Level, ReleaseCause, StockFact, StoredResponse};
use crate::ids::{HoldKey, Location, Sku, Ticket};
use crate::partition::deadlines::Slot;
use crate::plant::{self, Bug};
use crate::protocol::ToOrder;
use crate::rejection::Rejection;
use crate::stock::{HoldDecision, HoldOp, ReserveDecision, ReserveRefusal, ReserveRequest, SkuStock};
use crate::time::Timestamp;

impl Partition {
    /// Decides on one SKU and journals what follows, another level included.
    pub(super) fn change_stock(
        &mut self,
        now: Timestamp,
        sku: &Sku,
        fx: &mut Effects,
        decide: impl FnOnce(&SkuStock) -> Result<StockFact, Rejection>,
    ) -> Result<(), Rejection> {
        let (fact, before) = match self.skus.get(sku) {
            Some(stock) => (decide(stock)?, stock.level()),
            None => (decide(&SkuStock::default())?, None),
        };
        self.emit_stock(now, sku, fact, before, fx);
        Ok(())
    }

    /// The level was `before`. Every fact that can change it goes through here.
    fn emit_stock(&mut self, now: Timestamp, sku: &Sku, fact: StockFact, before: Option<Level>, fx: &mut Effects) {
        let forgotten = plant::active(Bug::ThresholdTellsNothing) && matches!(fact, StockFact::ThresholdSet { .. });
        let before = before.filter(|_| !forgotten);
        self.emit(now, Event::Stock { sku: sku.clone(), fact }, fx);
        if let Some(fact) = self.skus.get(sku).and_then(|stock| stock.crossing(before)) {
            self.emit(now, Event::Stock { sku: sku.clone(), fact }, fx);
        }
    }

    pub(super) fn reply_stock(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        sku: &Sku,
        outcome: Result<(), Rejection>,
        key: Option<CommandKey>,
        fx: &mut Effects,
    ) {
        if let Err(rejection) = outcome {
            return self.reply_refused(now, ticket, rejection, key, fx);
        }
        let view = self.skus[sku].view(sku);
        let answer = match key {
            None => Answer::Stock(view),
            Some(key) => Answer::Stored(self.answer_key(now, key.hash, key.fingerprint, StoredResponse::Set(view), fx)),
        };
        self.reply(ticket, Ok(answer), false, fx);
    }

    pub(super) fn close_location(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        (sku, location): (&Sku, Location),
        expected: Option<&[u64]>,
        fx: &mut Effects,
    ) {
        let closed = self.change_stock(now, sku, fx, |stock| stock.decide_close(location, expected));
        let answer = closed.map(|()| Answer::LocationClosed { version: self.skus[sku].version });
        self.reply(ticket, answer, false, fx);
    }

    /// An adjustment binds its key, refused or not, in the same batch as its fact.
    pub(super) fn adjust(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        sku: &Sku,
        key: CommandKey,
        fx: &mut Effects,
        decide: impl FnOnce(&SkuStock) -> Result<StockFact, Rejection>,
    ) {
        let answer = match self.change_stock(now, sku, fx, decide) {
            Ok(()) => StoredResponse::Adjusted(self.skus[sku].view(sku)),
            Err(rejection) => {
                // The stock of a SKU does not know its name.
                let rejection = if rejection == Rejection::NotFound { Rejection::UnknownSku(sku.clone()) } else { rejection };
                StoredResponse::AdjustmentRefused { request_id: key.request_id, rejection }
            }
        };
        let answer = self.answer_key(now, key.hash, key.fingerprint, answer, fx);
        self.reply(ticket, Ok(Answer::Stored(answer)), false, fx);
    }

    pub(super) fn reserve(&mut self, now: Timestamp, sku: Sku, request: ReserveRequest, fx: &mut Effects) {
        let (hold, order_version) = (request.hold, request.order_version);
        let (decision, before) = match self.skus.get(&sku) {
            Some(stock) => (stock.decide_reserve(&request), stock.level()),
            None => (ReserveDecision::Refused(ReserveRefusal::Unknown), None),
        };
        let answer = match decision {
            ReserveDecision::Refused(refusal) => ToOrder::Refused { sku, hold, order_version, refusal },
            ReserveDecision::Held(fact) => {
                let allocations = match &fact {
                    Some(StockFact::HoldPlaced { allocations, .. }) => allocations.clone(),
                    Some(_) | None => self.skus[&sku].holds[&hold].allocations.clone(),
                };
                if let Some(fact) = fact {
                    self.emit_stock(now, &sku, fact, before, fx);
                    self.arm_probe(&sku, hold, request.probe_at);
                }
                ToOrder::Held { sku, hold, order_version, allocations }
            }
        };
        self.send(hold.order.partition(), answer, fx);
    }

    pub(super) fn move_hold(
        &mut self,
        now: Timestamp,
        sku: Sku,
        hold: HoldKey,
        order_version: u32,
        op: HoldOp,
        fx: &mut Effects,
    ) {
        let (decision, before) = match self.skus.get(&sku) {
            Some(stock) => (stock.decide_op(hold, order_version, op), stock.level()),
            None => (HoldDecision::Done, None),
        };
        match decision {
            HoldDecision::Do(fact) => self.emit_stock(now, &sku, fact, before, fx),
            HoldDecision::Done => {}
            HoldDecision::Impossible => fx.alarms.push(format!("{op:?} of {sku} found no live hold of order {}", hold.order)),
        }
        self.send(hold.order.partition(), ToOrder::Moved { sku, hold, order_version }, fx);
    }

    fn arm_probe(&mut self, sku: &Sku, hold: HoldKey, at: Timestamp) {
        self.deadlines.arm_probe(Slot::after(at), sku.clone(), hold);
    }

    /// Questions about holds are volatile: after recovery they are armed again from the holds.
    pub(super) fn resume_probes(&mut self) {
        let mut holds: Vec<(Timestamp, Sku, HoldKey)> = Vec::new();
        for (sku, stock) in &self.skus {
            let live = stock.holds.iter().filter(|(_, hold)| hold.live());
            holds.extend(live.map(|(key, hold)| (hold.probe_at, sku.clone(), *key)));
        }
        holds.sort_unstable();
        for (at, sku, hold) in holds {
            self.arm_probe(&sku, hold, at);
        }
    }

    /// A hold is past its time: the order is asked. The SKU frees nothing by itself.
    pub(super) fn probe_due(&mut self, now: Timestamp, sku: Sku, hold: HoldKey, fx: &mut Effects) {
        let live = self.skus.get(&sku).and_then(|stock| stock.holds.get(&hold)).is_some_and(|hold| hold.live());
        if !live {
            return;
        }
        if plant::active(Bug::SkuExpires) {
            return self.move_hold(now, sku, hold, u32::MAX, HoldOp::Release(ReleaseCause::Expired), fx);
        }
        self.arm_probe(&sku, hold, now.plus(self.policy.ask_every_ms));
        self.send(hold.order.partition(), ToOrder::HoldProbe { sku, hold }, fx);
    }
}
