//! The SKU actors of a partition: commands on stock, reserves of orders, probes of old holds.

use super::Partition;
use super::turn::Turn;
use crate::answer::Answer;
use crate::command::CommandKey;
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
        turn: &mut Turn<'_>,
        sku: &Sku,
        decide: impl FnOnce(&SkuStock) -> Result<StockFact, Rejection>,
    ) -> Result<(), Rejection> {
        let (fact, before) = match self.skus.get(sku) {
            Some(stock) => (decide(stock)?, stock.level()),
            None => (decide(&SkuStock::default())?, None),
        };
        self.emit_stock(turn, sku, fact, before);
        Ok(())
    }

    /// The level was `before`. Every fact that can change it goes through here.
    fn emit_stock(&mut self, turn: &mut Turn<'_>, sku: &Sku, fact: StockFact, before: Option<Level>) {
        let forgotten = plant::active(Bug::ThresholdTellsNothing) && matches!(fact, StockFact::ThresholdSet { .. });
        let before = before.filter(|_| !forgotten);
        self.emit(turn, Event::Stock { sku: sku.clone(), fact });
        if let Some(fact) = self.skus.get(sku).and_then(|stock| stock.crossing(before)) {
            self.emit(turn, Event::Stock { sku: sku.clone(), fact });
        }
    }

    pub(super) fn reply_stock(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        sku: &Sku,
        outcome: Result<(), Rejection>,
        key: Option<CommandKey>,
    ) {
        if let Err(rejection) = outcome {
            return self.reply_refused(turn, ticket, rejection, key);
        }
        let view = self.skus[sku].view(sku);
        let answer = match key {
            None => Answer::Stock(view),
            Some(key) => Answer::Stored(self.answer_key(turn, key.hash, key.fingerprint, StoredResponse::Set(view))),
        };
        self.reply(turn, ticket, Ok(answer), false);
    }

    pub(super) fn close_location(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        (sku, location): (&Sku, Location),
        expected: Option<&[u64]>,
    ) {
        let closed = self.change_stock(turn, sku, |stock| stock.decide_close(location, expected));
        let answer = closed.map(|()| Answer::LocationClosed { version: self.skus[sku].version });
        self.reply(turn, ticket, answer, false);
    }

    /// An adjustment binds its key, refused or not, in the same batch as its fact.
    pub(super) fn adjust(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        sku: &Sku,
        key: CommandKey,
        decide: impl FnOnce(&SkuStock) -> Result<StockFact, Rejection>,
    ) {
        let answer = match self.change_stock(turn, sku, decide) {
            Ok(()) => StoredResponse::Adjusted(self.skus[sku].view(sku)),
            Err(rejection) => {
                // The stock of a SKU does not know its name.
                let rejection = if rejection == Rejection::NotFound { Rejection::UnknownSku(sku.clone()) } else { rejection };
                StoredResponse::AdjustmentRefused { request_id: key.request_id, rejection }
            }
        };
        let answer = self.answer_key(turn, key.hash, key.fingerprint, answer);
        self.reply(turn, ticket, Ok(Answer::Stored(answer)), false);
    }

    pub(super) fn reserve(&mut self, turn: &mut Turn<'_>, sku: Sku, request: ReserveRequest) {
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
                    self.emit_stock(turn, &sku, fact, before);
                    self.arm_probe(&sku, hold, request.probe_at);
                }
                ToOrder::Held { sku, hold, order_version, allocations }
            }
        };
        self.send(turn, hold.order.partition(), answer);
    }

    pub(super) fn move_hold(&mut self, turn: &mut Turn<'_>, sku: Sku, hold: HoldKey, order_version: u32, op: HoldOp) {
        let (decision, before) = match self.skus.get(&sku) {
            Some(stock) => (stock.decide_op(hold, order_version, op), stock.level()),
            None => (HoldDecision::Done, None),
        };
        match decision {
            HoldDecision::Do(fact) => self.emit_stock(turn, &sku, fact, before),
            HoldDecision::Done => {}
            HoldDecision::Impossible => {
                turn.fx.alarms.push(format!("{op:?} of {sku} found no live hold of order {}", hold.order))
            }
        }
        self.send(turn, hold.order.partition(), ToOrder::Moved { sku, hold, order_version });
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
    pub(super) fn probe_due(&mut self, turn: &mut Turn<'_>, sku: Sku, hold: HoldKey) {
        let live = self.skus.get(&sku).and_then(|stock| stock.holds.get(&hold)).is_some_and(|hold| hold.live());
        if !live {
            return;
        }
        if plant::active(Bug::SkuExpires) {
            return self.move_hold(turn, sku, hold, u32::MAX, HoldOp::Release(ReleaseCause::Expired));
        }
        self.arm_probe(&sku, hold, turn.now.plus(self.policy.ask_every_ms));
        self.send(turn, hold.order.partition(), ToOrder::HoldProbe { sku, hold });
    }
}
