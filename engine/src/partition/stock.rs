//! The SKU actors of a partition: commands on stock, reserves of orders, probes of old holds.

use super::Partition;
use super::turn::Turn;
use crate::answer::Answer;
use crate::command::CommandKey;
use crate::event::{Allocation, Event, Level, ReleaseCause, StockFact, StockView, StoredResponse};
use crate::ids::{HoldKey, Location, Sku, Ticket};
use crate::order::StockReply;
use crate::partition::deadlines::Slot;
use crate::partition::holds::HoldRef;
use crate::plant::{self, Bug};
use crate::protocol::ToOrder;
use crate::rejection::Rejection;
use crate::stock::{HoldDecision, HoldOp, ReserveDecision, ReserveRefusal, ReserveRequest, SkuStock};

impl Partition {
    /// Decides on one SKU and journals what follows, another level included.
    pub(super) fn change_stock(
        &mut self,
        turn: &mut Turn<'_>,
        sku: &Sku,
        decide: impl FnOnce(&SkuStock) -> Result<StockFact, Rejection>,
    ) -> Result<(), Rejection> {
        let number = self.skus.number(sku);
        let fact = match number {
            Some(number) => decide(self.skus.stock(number))?,
            None => decide(&SkuStock::default())?,
        };
        self.emit_stock(turn, sku, fact, number.and_then(|number| self.level_of(number)));
        Ok(())
    }

    /// The level of a SKU, with its number. `None` as long as nobody stocked it.
    fn level_of(&self, number: u32) -> Option<(u32, Level)> {
        Some((number, self.skus.stock(number).level()?))
    }

    /// The level was `before`. Every fact that can change it goes through here.
    fn emit_stock(&mut self, turn: &mut Turn<'_>, sku: &Sku, fact: StockFact, before: Option<(u32, Level)>) {
        let forgotten = plant::active(Bug::ThresholdTellsNothing) && matches!(fact, StockFact::ThresholdSet { .. });
        let before = before.filter(|_| !forgotten);
        self.emit(turn, Event::Stock { sku: sku.clone(), fact });
        if let Some(fact) = before.and_then(|(number, before)| self.skus.stock(number).crossing(before)) {
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
        let view = self.view(sku);
        let answer = match key {
            None => Answer::Stock(view),
            Some(key) => Answer::Stored(self.answer_key(turn, key.hash, key.fingerprint, StoredResponse::Set(view))),
        };
        self.reply(turn, ticket, Ok(answer), false);
    }

    /// Of a SKU that was just changed.
    fn view(&self, sku: &Sku) -> StockView {
        self.skus.get(sku).expect("what a fact changed is there").view(sku)
    }

    pub(super) fn close_location(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        (sku, location): (&Sku, Location),
        expected: Option<&[u64]>,
    ) {
        let closed = self.change_stock(turn, sku, |stock| stock.decide_close(location, expected));
        let answer = closed.map(|()| Answer::LocationClosed { version: self.version_of_sku(sku) });
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
            Ok(()) => StoredResponse::Adjusted(self.view(sku)),
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
        let answer = match self.decide_reserve(turn, &sku, &request) {
            StockReply::Refused(refusal) => ToOrder::Refused { sku, hold, order_version, refusal },
            StockReply::Held(allocations) => ToOrder::Held { sku, hold, order_version, allocations },
        };
        self.send(turn, hold.order.partition(), answer);
    }

    /// Decides on a reserve and journals what follows.
    pub(super) fn decide_reserve(&mut self, turn: &mut Turn<'_>, sku: &Sku, request: &ReserveRequest) -> StockReply {
        let Some(number) = self.skus.number(sku) else { return StockReply::Refused(ReserveRefusal::Unknown) };
        let before = self.level_of(number);
        match self.skus.stock(number).decide_reserve(self.holds.get(number, &request.hold), request) {
            ReserveDecision::Refused(refusal) => StockReply::Refused(refusal),
            ReserveDecision::Held(fact) => {
                let placed = fact.is_some();
                fact.into_iter().for_each(|fact| self.emit_stock(turn, sku, fact, before));
                StockReply::Held(self.held(number, &request.hold, placed))
            }
        }
    }

    pub(super) fn move_hold(&mut self, turn: &mut Turn<'_>, sku: Sku, hold: HoldKey, order_version: u32, op: HoldOp) {
        let (decision, before) = match self.skus.number(&sku) {
            Some(number) => {
                let found = self.holds.get(number, &hold);
                (self.skus.stock(number).decide_op(found, hold, order_version, op), self.level_of(number))
            }
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

    /// What a hold that meets a request has taken. One that was just placed is asked about when it is past its time.
    fn held(&mut self, sku: u32, key: &HoldKey, placed: bool) -> Vec<Allocation> {
        let found = self.holds.find(sku, key);
        let Some((place, held)) = found.and_then(|place| Some((place, &self.holds.at(place)?.hold))) else {
            unreachable!("a request is met by a hold that is not there: {key:?}")
        };
        if placed {
            self.deadlines.arm_probe(Slot::after(held.probe_at), place);
        }
        held.allocations.as_slice().to_vec()
    }

    /// Questions about holds are volatile: after recovery they are armed again from the holds.
    pub(super) fn resume_probes(&mut self) {
        let live = self.holds.iter().filter(|(_, found)| found.hold.live());
        let mut holds: Vec<_> =
            live.map(|(place, found)| (found.hold.probe_at, self.skus.name(found.sku), found.key, place)).collect();
        holds.sort_unstable_by_key(|(at, sku, key, _)| (*at, *sku, *key));
        for (at, _, _, hold) in holds {
            self.deadlines.arm_probe(Slot::after(at), hold);
        }
    }

    /// A hold is past its time: the order is asked. The SKU frees nothing by itself.
    pub(super) fn probe_due(&mut self, turn: &mut Turn<'_>, place: HoldRef) {
        let Some(found) = self.holds.at(place).filter(|found| found.hold.live()) else { return };
        let (sku, hold) = (self.skus.name(found.sku).clone(), found.key);
        if plant::active(Bug::SkuExpires) {
            return self.move_hold(turn, sku, hold, u32::MAX, HoldOp::Release(ReleaseCause::Expired));
        }
        self.deadlines.arm_probe(Slot::after(turn.now.plus(self.policy.ask_every_ms)), place);
        self.send(turn, hold.order.partition(), ToOrder::HoldProbe { sku, hold });
    }
}
