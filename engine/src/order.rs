//! One order (or direct reservation): its state is the fold of its facts and nothing else.
//!
//! Invariants: one final decision per order; a paid order's units are committed, an order that is over holds none;
//! only the order expires, pays or cancels. `decide` holds the rules, `payment` those of attempts, `view` what readers see,
//! `follows` what is asserted of each decision.

mod decide;
mod follows;
mod payment;
mod view;

pub use crate::payment::{AttemptState, CallKind, Outcome, PaymentStatus};
pub use crate::status::Status;
pub use decide::{HoldIntent, StockReply};
pub use payment::Attempt;
pub use view::{LineView, Stage};

use crate::answer::Answer;
use crate::event::{History, Kind, Line, OrderFact, OrderRecord, Placed, SkuHold};
use crate::ids::{OrderId, Sku};
use crate::quantity::{Money, Quantity};
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub id: OrderId,
    history: History,
    pub status: Status,
    /// Holds of this generation are the order's; those of earlier ones are over.
    pub generation: u8,
    /// Index in `history` of the fact that names the current holds.
    held_by: Option<usize>,
    pub expires_at: Timestamp,
    pub attempts: Vec<Attempt>,
    /// Every SKU has carried out the last decision.
    pub stock_settled: bool,
    /// Holds may still be pinned by an attempt that is over.
    pub unpin: bool,
}

impl Order {
    /// The fold of a history.
    pub fn of(id: OrderId, history: History) -> Self {
        let mut order = Self {
            id,
            expires_at: history.placed().expires_at,
            history: history.clone(),
            status: Status::Reserving,
            generation: 1,
            held_by: None,
            attempts: Vec::new(),
            stock_settled: true,
            unpin: false,
        };
        for (index, record) in history.iter().enumerate().skip(1) {
            order.evolve_by(index, record);
        }
        order
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    pub fn placed(&self) -> &Placed {
        self.history.placed()
    }

    pub fn kind(&self) -> Kind {
        self.placed().kind
    }

    /// Counts the facts of this order: the ETag of its resource.
    pub fn version(&self) -> u32 {
        self.history.version()
    }

    pub fn created_at(&self) -> Timestamp {
        self.history.first().at
    }

    pub fn updated_at(&self) -> Timestamp {
        self.history.last().at
    }

    /// What each SKU holds for this order now.
    pub fn holds(&self) -> &[SkuHold] {
        self.held_by.and_then(|index| self.history.get(index)?.fact.holds()).unwrap_or_default()
    }

    /// The SKUs of the order with the sum of their lines, sorted.
    pub fn requested(&self) -> Vec<(Sku, Quantity)> {
        let lines = &self.placed().lines;
        if let [line] = lines.as_slice() {
            return vec![(line.sku.clone(), line.quantity)];
        }
        let mut requested = std::collections::BTreeMap::<&Sku, Quantity>::new();
        for line in lines {
            let units = requested.entry(&line.sku).or_default();
            // Asserted at compile time of the limits of an order.
            *units = units.checked_add(line.quantity).expect("the units of one order fit into 32 bits");
        }
        requested.into_iter().map(|(sku, units)| (sku.clone(), units)).collect()
    }

    /// What the buyer owes: units held or sold times price. A partial order owes for what it got.
    pub fn amount(&self) -> Money {
        let lines = &self.placed().lines;
        // Without partial orders what is held is what was asked for.
        let owed = match self.held_by {
            Some(_) if self.placed().allow_partial => {
                let units = self.line_allocations();
                sum(lines.iter().zip(units.iter().map(|(units, _)| *units)))
            }
            Some(_) | None => sum(lines.iter().map(|line| (line, line.quantity))),
        };
        owed.expect("an order is placed only if all its lines together cost what can be counted")
    }

    pub fn shortages(&self) -> &[crate::event::Shortage] {
        self.history.facts().find_map(OrderFact::shortages).unwrap_or_default()
    }

    /// Whether it was rejected because its units are in too many locations, and for nothing else.
    pub fn too_many_locations(&self) -> bool {
        self.history.facts().any(|fact| matches!(fact, OrderFact::TooManyLocations { .. }))
    }

    /// Nothing will ever be decided again unless late money comes: the order may leave memory.
    pub fn archivable(&self) -> bool {
        let over = self.status.ended_without_goods() || self.status == Status::Confirmed;
        over && self.stock_settled && self.attempts.iter().all(|attempt| self.call_for(attempt).is_none())
    }

    /// The length of the history that answers the command which placed this order; `None` while it is undecided.
    pub fn answer_len(&self) -> Option<usize> {
        let pays = self.placed().payment.is_some();
        let answers = |fact: &OrderFact| match fact {
            OrderFact::Held { .. } => !pays,
            OrderFact::PaymentOpened { .. } | OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } => true,
            OrderFact::Expired | OrderFact::Cancelled { .. } => true,
            OrderFact::Paid { .. } | OrderFact::PaymentDeclined { .. } | OrderFact::PaymentVoided { .. } => true,
            OrderFact::Placed(_) | OrderFact::Extended { .. } | OrderFact::Confirmed { .. } | OrderFact::Settled => false,
            OrderFact::PaymentStarted { .. } | OrderFact::PaymentUnknown { .. } | OrderFact::PaymentLate { .. } => false,
            OrderFact::Reheld { .. } | OrderFact::RefundDue { .. } | OrderFact::Refunded { .. } => false,
        };
        self.history.facts().position(answers).map(|index| index + 1)
    }

    pub fn evolve(&mut self, record: OrderRecord) {
        self.evolve_by(self.history.len(), &record);
        self.history.push(record);
    }

    /// The fact at `index` of the history changes the state.
    fn evolve_by(&mut self, index: usize, record: &OrderRecord) {
        match &*record.fact {
            OrderFact::Placed(_) => unreachable!("an order is placed once"),
            OrderFact::Held { .. } => self.hold_by(index, Status::AwaitingPayment),
            OrderFact::Rejected { shortages } | OrderFact::TooManyLocations { shortages } => {
                self.stock_settled = shortages.len() == self.requested().len();
                self.status = Status::Rejected;
            }
            OrderFact::Expired => self.decided(Status::Expired),
            OrderFact::Cancelled { .. } => self.decided(Status::Cancelled),
            OrderFact::Confirmed { .. } => self.decided(Status::Confirmed),
            OrderFact::Extended { expires_at } => self.expires_at = *expires_at,
            OrderFact::Reheld { generation, .. } => {
                self.generation = *generation;
                self.hold_by(index, Status::LatePayment);
            }
            OrderFact::Settled => self.stock_settled = true,
            OrderFact::PaymentStarted { .. }
            | OrderFact::PaymentOpened { .. }
            | OrderFact::PaymentUnknown { .. }
            | OrderFact::PaymentDeclined { .. }
            | OrderFact::PaymentVoided { .. }
            | OrderFact::Paid { .. }
            | OrderFact::PaymentLate { .. }
            | OrderFact::RefundDue { .. }
            | OrderFact::Refunded { .. } => self.evolve_payment(record.at, &record.fact),
        }
    }

    /// The order as it was when its SKUs had carried out what its first `facts` facts decided; `None` while they have not.
    pub fn carried_out(&self, facts: usize) -> Option<Answer> {
        let decided = Self::of(self.id, self.history.prefix(facts)?);
        let settled = |fact: &OrderFact| matches!(fact, OrderFact::Settled);
        let more = if decided.stock_settled { 0 } else { self.history.facts().skip(facts).position(settled)? + 1 };
        Some(Answer::Order { id: self.id, history: self.history.prefix(facts + more)? })
    }

    /// The fact at `index` names the holds.
    fn hold_by(&mut self, index: usize, status: Status) {
        self.held_by = Some(index);
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

/// What these lines cost together, with so many units of each. `None` where that is more than can be counted.
pub fn sum<'a>(lines: impl Iterator<Item = (&'a Line, Quantity)>) -> Option<Money> {
    lines.map(|(line, units)| line.unit_price.checked_times(units)).try_fold(Money::ZERO, |sum, price| sum.checked_add(price?))
}
