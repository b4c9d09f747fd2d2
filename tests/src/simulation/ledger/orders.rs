//! The book of one order: what was decided, once and in an order that makes sense, and what became of its money.

use super::{Breach, Checked};
use holdfast_engine::event::{OrderFact, OrderRecord, RefundReason, SkuHold};
use holdfast_engine::ids::{HoldKey, OrderId, Seq, Sku};
use holdfast_engine::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the order has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReserveDecision {
    #[default]
    Undecided,
    Holding,
    Sold,
    Over,
    /// Over, and money came.
    Late,
}

/// What became of the money of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purse {
    Asked,
    Ended,
    Taken,
    RefundDue,
    Refunded,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct OrderBook {
    pub history: Vec<OrderRecord>,
    pub verdict: ReserveDecision,
    pub generation: u8,
    pub holds: Vec<SkuHold>,
    pub purses: BTreeMap<u8, Purse>,
    /// Units are held again for late money; the payment itself is the next fact.
    reheld: bool,
}

impl OrderBook {
    pub(super) fn add(&mut self, id: OrderId, seq: Seq, at: Timestamp, fact: &Arc<OrderFact>) -> Checked {
        let before = self.verdict;
        self.history.push(OrderRecord { seq, at, fact: fact.clone() });
        self.judge(fact).map_err(|rule| Breach::new(rule, format!("order {id} was {before:?} when it said {fact:?}")))?;
        self.pay(fact).map_err(|rule| Breach::new(rule, format!("order {id} had {:?} when it said {fact:?}", self.purses)))
    }

    fn judge(&mut self, fact: &OrderFact) -> Result<(), &'static str> {
        const ONCE: &str = "I6 one final decision";
        let open = matches!(self.verdict, ReserveDecision::Undecided | ReserveDecision::Holding);
        let next = match fact {
            OrderFact::Placed(_) if self.history.len() == 1 => ReserveDecision::Undecided,
            OrderFact::Placed(_) => return Err("I13 placed once"),
            _ if self.history.len() == 1 => return Err("I13 placed first"),
            OrderFact::Held { holds } if self.verdict == ReserveDecision::Undecided => {
                self.holds_what_was_asked(holds)?;
                (self.generation, self.holds) = (1, holds.clone());
                ReserveDecision::Holding
            }
            OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } if self.verdict == ReserveDecision::Undecided => {
                ReserveDecision::Over
            }
            OrderFact::Held { .. } | OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } => return Err(ONCE),
            OrderFact::Expired | OrderFact::Cancelled { .. } if open => ReserveDecision::Over,
            OrderFact::Expired if self.verdict == ReserveDecision::Sold => return Err("I6 no expiry after payment"),
            OrderFact::Expired | OrderFact::Cancelled { .. } => return Err(ONCE),
            OrderFact::Confirmed { .. } if self.verdict == ReserveDecision::Holding => ReserveDecision::Sold,
            OrderFact::Paid { .. } if self.verdict == ReserveDecision::Holding || self.reheld => ReserveDecision::Sold,
            OrderFact::Confirmed { .. } | OrderFact::Paid { .. } => return Err(ONCE),
            OrderFact::PaymentLate { .. } if self.verdict == ReserveDecision::Over => ReserveDecision::Late,
            OrderFact::PaymentLate { .. } => return Err("I9 late money is for an order that is over"),
            OrderFact::Reheld { generation, holds } if self.verdict == ReserveDecision::Late => {
                (self.generation, self.holds) = (*generation, holds.clone());
                ReserveDecision::Late
            }
            OrderFact::Reheld { .. } => return Err("I9 only late money holds again"),
            OrderFact::RefundDue { reason: RefundReason::OrderOver, .. } if self.verdict == ReserveDecision::Late => {
                ReserveDecision::Over
            }
            OrderFact::RefundDue { reason: RefundReason::OrderOver, .. } => return Err("I9 refund of an order that is over"),
            OrderFact::Extended { .. } | OrderFact::PaymentStarted { .. } if self.verdict != ReserveDecision::Holding => {
                return Err("I6 nothing begins after the decision");
            }
            _ => self.verdict,
        };
        self.reheld = matches!(fact, OrderFact::Reheld { .. });
        self.verdict = next;
        Ok(())
    }

    fn pay(&mut self, fact: &OrderFact) -> Result<(), &'static str> {
        let (attempt, next) = match fact {
            OrderFact::PaymentStarted { attempt, .. } => (*attempt, Purse::Asked),
            OrderFact::PaymentDeclined { attempt, .. } | OrderFact::PaymentVoided { attempt } => (*attempt, Purse::Ended),
            OrderFact::Paid { attempt } | OrderFact::PaymentLate { attempt } => (*attempt, Purse::Taken),
            OrderFact::RefundDue { attempt, .. } => (*attempt, Purse::RefundDue),
            OrderFact::Refunded { attempt } => (*attempt, Purse::Refunded),
            _ => return Ok(()),
        };
        let before = self.purses.insert(attempt, next);
        let follows = match (before, next) {
            (None, Purse::Asked) => true,
            (None, _) | (Some(_), Purse::Asked) => false,
            // Money may come even for an attempt that was thought to be over.
            (Some(purse), Purse::Taken) => purse != Purse::Refunded && purse != Purse::RefundDue,
            (Some(purse), Purse::Ended) => purse == Purse::Asked,
            (Some(purse), Purse::RefundDue) => matches!(purse, Purse::Asked | Purse::Ended | Purse::Taken),
            (Some(purse), Purse::Refunded) => purse == Purse::RefundDue,
        };
        if follows { Ok(()) } else { Err("I9 money moves once") }
    }

    /// All units of all lines, or, where the buyer takes less, some and never more.
    fn holds_what_was_asked(&self, holds: &[SkuHold]) -> Result<(), &'static str> {
        let Some(OrderFact::Placed(placed)) = self.history.first().map(|record| &*record.fact) else { return Ok(()) };
        let mut wanted: BTreeMap<&Sku, u64> = BTreeMap::new();
        placed.lines.iter().for_each(|line| *wanted.entry(&line.sku).or_default() += u64::from(line.quantity.units()));
        let mut held: BTreeMap<&Sku, u64> = BTreeMap::new();
        for hold in holds {
            *held.entry(&hold.sku).or_default() +=
                hold.allocations.iter().map(|part| u64::from(part.quantity.units())).sum::<u64>();
        }
        let within = held.iter().all(|(sku, units)| wanted.get(sku).is_some_and(|most| (1..=*most).contains(units)));
        let right = if placed.allow_partial { within && !held.is_empty() } else { held == wanted };
        if right { Ok(()) } else { Err("I4 an order holds what was asked for") }
    }

    /// The order ended with open attempts, which are to be closed with the provider.
    pub(crate) fn closes_attempts(&self) -> bool {
        self.history.iter().any(|record| matches!(*record.fact, OrderFact::Cancelled { .. } | OrderFact::Paid { .. }))
    }

    /// The hold is one of those the order counts on now, by name.
    pub(super) fn names(&self, sku: &Sku, hold: HoldKey) -> bool {
        hold.generation == self.generation && self.holds.iter().any(|held| held.sku == *sku)
    }

    /// The order has not given this hold up.
    pub(super) fn counts_on(&self, sku: &Sku, hold: HoldKey) -> bool {
        match self.verdict {
            ReserveDecision::Undecided => hold.generation == 1,
            ReserveDecision::Holding | ReserveDecision::Sold => self.names(sku, hold),
            ReserveDecision::Late => hold.generation == self.generation + 1,
            ReserveDecision::Over => false,
        }
    }

    pub(crate) fn sold(&self) -> bool {
        self.verdict == ReserveDecision::Sold
    }
}
