//! The generator's own books: what was acknowledged, and so what stock and orders must be.
//!
//! Invariant: an order whose outcome is not known widens what is possible by its units and never more, so that a unit sold twice and an
//! acknowledgement that was lost are found although some answers were.

use crate::random::Random;
use crate::workload::{Body, Line};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Orders that are read back at most, chosen at random.
const READ_BACK: usize = 50_000;

/// Where an order can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Possible {
    /// Its units are held for it, or pinned for its payment.
    pub held: bool,
    pub sold: bool,
    /// Its units are back.
    pub returned: bool,
}

impl Possible {
    pub const HELD: Self = Self { held: true, sold: false, returned: false };
    pub const SOLD: Self = Self { held: false, sold: true, returned: false };
    pub const RETURNED: Self = Self { held: false, sold: false, returned: true };

    pub fn or(self, other: Self) -> Self {
        let Self { held, sold, returned } = other;
        Self { held: self.held || held, sold: self.sold || sold, returned: self.returned || returned }
    }

    /// Whether an order may say that it is in `status`.
    pub fn allows(self, status: &str) -> bool {
        match status {
            "awaiting_payment" | "payment_in_flight" | "payment_unknown" => self.held,
            "confirmed" => self.sold,
            "cancelled" | "expired" => self.returned,
            _ => false,
        }
    }
}

/// An accepted order.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: Box<str>,
    pub possible: Possible,
}

/// Units of a SKU, at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Held, pinned or sold.
    pub taken: (u64, u64),
    pub sold: (u64, u64),
}

/// What a run must not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breach {
    Oversold,
    LostAcknowledgement,
    DoubleOrder,
    /// Counters that do not add up, an invariant of the server's own audit.
    Inconsistent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub breach: Breach,
    pub what: String,
}

impl Finding {
    pub fn new(breach: Breach, what: impl Into<String>) -> Self {
        Self { breach, what: what.into() }
    }
}

/// What came of all that was sent under one key.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Ids that were acknowledged, each with the body it was acknowledged for.
    pub accepted: Vec<(Body, Box<str>)>,
    /// Something has no answer, and may have happened.
    pub unknown: bool,
}

impl Outcome {
    /// The order there is, and what is wrong if there is more than one.
    fn order(&self, key: u64) -> (Option<&(Body, Box<str>)>, Option<Finding>) {
        let first = self.accepted.first();
        let other = self.accepted.iter().find(|each| Some(*each) != first);
        let finding = first.zip(other).map(|((body, id), (other_body, other))| {
            Finding::new(
                Breach::DoubleOrder,
                format!("key {key} was acknowledged as {id} ({body:?}) and as {other} ({other_body:?})"),
            )
        });
        (first, finding)
    }
}

pub struct Ledger {
    pub accounts: Vec<Account>,
    pub orders: Vec<Order>,
    pub accepted: u64,
    /// Buyers whose orders may or may not be there.
    pub unresolved: Vec<u64>,
    pub findings: Vec<Finding>,
    /// When the last order that was left to expire does so.
    pub last_expiry: Option<Instant>,
    chance: Random,
}

impl Ledger {
    pub fn new(skus: usize, seed: u64) -> Self {
        Self {
            accounts: vec![Account::default(); skus],
            orders: Vec::new(),
            accepted: 0,
            unresolved: Vec::new(),
            findings: Vec::new(),
            last_expiry: None,
            chance: Random::new(seed, u64::MAX - 1),
        }
    }

    /// Whether every accepted order is in [`Self::orders`].
    pub fn is_complete(&self) -> bool {
        self.accepted == self.orders.len() as u64
    }

    /// A buyer has gone: what came of his key, of which lines it is, and where his order can be by now.
    pub fn close(&mut self, key: u64, outcome: &Outcome, lines: impl Fn(Body) -> Vec<Line>, possible: Possible) {
        let (order, finding) = outcome.order(key);
        self.findings.extend(finding);
        match order {
            Some((body, id)) => {
                self.count(&lines(*body), possible);
                self.keep(Order { id: id.clone(), possible });
            }
            None if outcome.unknown => self.unresolved.push(key),
            None => {}
        }
    }

    fn count(&mut self, lines: &[Line], possible: Possible) {
        let Possible { held, sold, returned } = possible;
        for Line { sku, quantity } in lines {
            let (account, units) = (&mut self.accounts[*sku as usize], u64::from(*quantity));
            account.taken.0 += if returned { 0 } else { units };
            account.taken.1 += if held || sold { units } else { 0 };
            account.sold.0 += if held || returned { 0 } else { units };
            account.sold.1 += if sold { units } else { 0 };
        }
    }

    /// Of many a fair sample.
    fn keep(&mut self, order: Order) {
        self.accepted += 1;
        if self.orders.len() < READ_BACK {
            self.orders.push(order);
        } else if let Some(place) = self.orders.get_mut(self.chance.below(self.accepted) as usize) {
            *place = order;
        }
    }

    /// An order that was left to expire does so then.
    pub fn expires(&mut self, at: Instant) {
        self.last_expiry = self.last_expiry.max(Some(at));
    }

    /// An order that nobody can tell of: it may be there with its units, or not.
    pub fn give_up(&mut self, lines: &[Line]) {
        self.count(lines, Possible { held: true, sold: true, returned: true });
    }
}
