//! One order (or direct reservation): its state is the fold of its facts and nothing else.
//!
//! Invariants: one final decision per order; a paid order's units are committed, an order that is over holds none;
//! only the order expires, pays or cancels. `decide` holds the rules, `payment` those of attempts, `view` what readers see,
//! `follows` what is asserted of each decision.

mod attempts;
mod decide;
mod follows;
mod payment;
mod view;

pub use crate::payment::{AttemptState, CallKind, Outcome, PaymentStatus};
pub use crate::status::Status;
pub use attempts::Attempts;
pub use decide::{HoldIntent, StockReply};
pub use payment::Attempt;
pub use view::{Allocations, LineView, Stage};

use crate::answer::Answer;
use crate::event::{FactKind, History, Kind, LineRef, List, OrderRecord, PlacedRef, Placing, RecordRef, Shortage, SkuHoldRef};
use crate::ids::{OrderId, Seq, Sku};
use crate::quantity::{Money, Quantity};
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub id: OrderId,
    history: History,
    pub expires_at: Timestamp,
    pub attempts: Attempts,
    /// Where in the history its lines are.
    lines_at: u32,
    /// Where in the history the fact begins that names the current holds. 0: none does yet.
    held_by: u32,
    /// Length of the history that answers the command which placed the order. Zero while it is undecided.
    answered_by: u32,
    kind: Kind,
    pub status: Status,
    /// Holds of this generation are the order's; those of earlier ones are over.
    pub generation: u8,
    allow_partial: bool,
    pays: bool,
    /// Every SKU has carried out the last decision.
    pub stock_settled: bool,
    /// Holds may still be pinned by an attempt that is over.
    pub unpin: bool,
}

impl Order {
    /// The fold of a history. Cost: what each fact adds to the state is read, once.
    pub fn of(id: OrderId, history: History) -> Self {
        let Placing { placed, lines, mut behind } = history.placing();
        let mut order = Self {
            id,
            expires_at: placed.expires_at,
            attempts: Attempts::default(),
            lines_at: lines,
            held_by: 0,
            answered_by: 0,
            kind: placed.kind,
            status: Status::Reserving,
            generation: 1,
            allow_partial: placed.allow_partial,
            pays: placed.payment.is_some(),
            stock_settled: true,
            unpin: false,
            history,
        };
        for facts in 2..=order.history.version() {
            behind = order.evolve_by(behind, facts);
        }
        order
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// What was asked for. Cost: its bytes are read.
    pub fn placed(&self) -> PlacedRef<'_> {
        self.history.placed()
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the buyer takes less than what was asked for.
    pub fn allow_partial(&self) -> bool {
        self.allow_partial
    }

    /// Whether a payment was asked for with the order.
    pub fn pays(&self) -> bool {
        self.pays
    }

    /// Counts the facts of this order: the ETag of its resource.
    pub fn version(&self) -> u32 {
        self.history.version()
    }

    pub fn created_at(&self) -> Timestamp {
        self.history.placed_at().1
    }

    pub fn updated_at(&self) -> Timestamp {
        self.history.changed_at().1
    }

    /// What each SKU holds for this order now.
    pub fn holds(&self) -> List<'_, SkuHoldRef<'_>> {
        let by = (self.held_by > 0).then(|| self.history.record_at(self.held_by).0);
        by.and_then(|record| record.holds()).unwrap_or_else(List::none)
    }

    /// The lines that were asked for.
    pub(crate) fn asked(&self) -> List<'_, LineRef<'_>> {
        self.history.lines_at(self.lines_at)
    }

    /// The SKUs of the order with the sum of their lines, sorted.
    pub fn requested(&self) -> Vec<(Sku, Quantity)> {
        let lines = self.asked();
        if lines.len() == 1 {
            return lines.map(|line| (Sku::of_checked(line.sku), line.quantity)).collect();
        }
        let mut requested = std::collections::BTreeMap::<&str, Quantity>::new();
        for line in lines {
            let units = requested.entry(line.sku).or_default();
            // Asserted at compile time of the limits of an order.
            *units = units.checked_add(line.quantity).expect("the units of one order fit into 32 bits");
        }
        requested.into_iter().map(|(sku, units)| (Sku::of_checked(sku), units)).collect()
    }

    /// What the buyer owes: units held or sold times price. A partial order owes for what it got.
    pub fn amount(&self) -> Money {
        // Without partial orders what is held is what was asked for.
        let owed = if self.held_by > 0 && self.allow_partial {
            sum(self.dealt().map(|view| (view.line.unit_price, view.units)))
        } else {
            sum(self.asked().map(|line| (line.unit_price, line.quantity)))
        };
        owed.expect("an order is placed only if all its lines together cost what can be counted")
    }

    /// What it was rejected for.
    pub fn shortages(&self) -> Vec<Shortage> {
        if self.status != Status::Rejected {
            return Vec::new();
        }
        self.history.iter().find_map(|record| record.shortages()).map(Iterator::collect).unwrap_or_default()
    }

    /// Whether it was rejected because its units are in too many locations, and for nothing else.
    pub fn too_many_locations(&self) -> bool {
        self.history.iter().any(|record| record.kind == FactKind::TooManyLocations)
    }

    /// Nothing will ever be decided again unless late money comes: the order may leave memory.
    pub fn archivable(&self) -> bool {
        let over = self.status.ended_without_goods() || self.status == Status::Confirmed;
        over && self.stock_settled && self.attempts.iter().all(|attempt| self.call_for(attempt).is_none())
    }

    /// The length of the history that answers the command which placed this order; `None` while it is undecided.
    pub fn answer_len(&self) -> Option<usize> {
        (self.answered_by > 0).then_some(self.answered_by as usize)
    }

    /// Whether this fact, if it is the first such, answers the command which placed the order.
    fn answers(&self, kind: FactKind) -> bool {
        match kind {
            FactKind::Held => !self.pays,
            FactKind::PaymentOpened | FactKind::Rejected | FactKind::TooManyLocations => true,
            FactKind::Expired | FactKind::Cancelled => true,
            FactKind::Paid | FactKind::PaymentDeclined | FactKind::PaymentVoided => true,
            FactKind::Placed | FactKind::Extended | FactKind::Confirmed | FactKind::Settled => false,
            FactKind::PaymentStarted | FactKind::PaymentUnknown | FactKind::PaymentLate => false,
            FactKind::Reheld | FactKind::RefundDue | FactKind::Refunded => false,
        }
    }

    pub fn evolve(&mut self, record: &OrderRecord) {
        self.history.push(record);
        self.evolve_by(self.history.last_place(), self.history.version());
    }

    /// As [`Self::evolve`], by the bytes of a fact.
    pub(crate) fn evolve_bytes(&mut self, at: (Seq, Timestamp), fact: &[u8]) {
        self.history.push_bytes(at, fact);
        self.evolve_by(self.history.last_place(), self.history.version());
    }

    /// The fact that begins at `place`, the last of so many, changes the state. Gives where the next begins.
    fn evolve_by(&mut self, place: u32, facts: u32) -> u32 {
        let (record, behind) = self.history.record_at(place);
        if self.answered_by == 0 && self.answers(record.kind) {
            self.answered_by = facts;
        }
        match record.kind {
            FactKind::Placed => unreachable!("an order is placed once"),
            FactKind::Held => self.hold_by(place, Status::AwaitingPayment),
            FactKind::Rejected | FactKind::TooManyLocations => {
                let refused = record.shortages().map_or(0, |shortages| shortages.len());
                self.stock_settled = refused == self.requested().len();
                self.status = Status::Rejected;
            }
            FactKind::Expired => self.decided(Status::Expired),
            FactKind::Cancelled => self.decided(Status::Cancelled),
            FactKind::Confirmed => self.decided(Status::Confirmed),
            FactKind::Extended => self.expires_at = record.extended_to(),
            FactKind::Reheld => {
                self.generation = record.generation();
                self.hold_by(place, Status::LatePayment);
            }
            FactKind::Settled => self.stock_settled = true,
            FactKind::PaymentStarted
            | FactKind::PaymentOpened
            | FactKind::PaymentUnknown
            | FactKind::PaymentDeclined
            | FactKind::PaymentVoided
            | FactKind::Paid
            | FactKind::PaymentLate
            | FactKind::RefundDue
            | FactKind::Refunded => {
                let (at, fact) = (record.at, record.fact());
                self.evolve_payment(at, fact);
            }
        }
        behind
    }

    /// The order as it was when its SKUs had carried out what its first `facts` facts decided; `None` while they have not.
    pub fn carried_out(&self, facts: usize) -> Option<Answer> {
        let decided = Self::of(self.id, self.history.prefix(facts)?);
        let settled = |record: RecordRef<'_>| record.kind == FactKind::Settled;
        let more = if decided.stock_settled { 0 } else { self.history.iter().skip(facts).position(settled)? + 1 };
        Some(Answer::Order { id: self.id, history: self.history.prefix(facts + more)? })
    }

    /// The fact that begins there names the holds.
    fn hold_by(&mut self, place: u32, status: Status) {
        self.held_by = place;
        self.status = status;
    }

    /// A decision the SKUs have yet to carry out.
    fn decided(&mut self, status: Status) {
        self.status = status;
        self.stock_settled = false;
        self.unpin = false;
    }

    fn refund_decided(&mut self, generation: u8) {
        if generation > self.generation {
            self.generation = generation;
            self.stock_settled = false;
        }
    }
}

/// What lines cost together, of the price and the units of each. `None` where that is more than can be counted.
pub fn sum(lines: impl Iterator<Item = (Money, Quantity)>) -> Option<Money> {
    lines.map(|(price, units)| price.checked_times(units)).try_fold(Money::ZERO, |sum, price| sum.checked_add(price?))
}
