//! What readers see of an order: its lines with what is held for each, and its payment.

use super::{Attempt, Order, Status};
use crate::event::Allocation;
use crate::ids::{Location, Sku};
use crate::quantity::Quantity;
use std::collections::{BTreeMap, VecDeque};

/// Where the units of a line stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    None,
    Held,
    Pinned,
    Committed,
}

/// One line with the units it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineView {
    pub units: Quantity,
    pub allocations: Vec<Allocation>,
}

impl Order {
    pub fn stage(&self) -> Stage {
        match self.status {
            Status::AwaitingPayment => Stage::Held,
            Status::PaymentInFlight | Status::PaymentUnknown => Stage::Pinned,
            Status::Confirmed => Stage::Committed,
            Status::Reserving | Status::Cancelled | Status::Expired | Status::Rejected => Stage::None,
            Status::LatePayment | Status::Refunded => Stage::None,
        }
    }

    /// The axis of money, derived from the attempts.
    pub fn payment_status(&self) -> &'static str {
        use super::AttemptState as State;
        let has = |state: State| self.attempts.iter().any(|attempt| attempt.state == state);
        match () {
            () if has(State::RefundDue) => "refund_due",
            () if has(State::Captured) => "captured",
            () if has(State::Refunded) => "refunded",
            () if has(State::Unknown) => "unknown",
            () if has(State::Open) || has(State::Opening) => "pending",
            () if self.status == Status::Confirmed => "invoiced",
            () if has(State::Declined) || has(State::Voided) => "failed",
            () => "none",
        }
    }

    /// The attempt a reader cares about: the one that took money, else the last.
    pub fn shown_attempt(&self) -> Option<&Attempt> {
        let captured = self.attempts.iter().find(|attempt| attempt.state == super::AttemptState::Captured);
        captured.or(self.attempts.last())
    }

    /// What each line holds, in the order of the lines. Empty lines while nothing is held.
    pub fn lines(&self) -> Vec<LineView> {
        let nothing = self.stage() == Stage::None;
        let lines = self.line_allocations().into_iter();
        lines
            .map(|(units, allocations)| match nothing {
                true => LineView { units: Quantity::ZERO, allocations: Vec::new() },
                false => LineView { units, allocations },
            })
            .collect()
    }

    /// Deals the units each SKU holds out to the lines that name it, first line first.
    pub(super) fn line_allocations(&self) -> Vec<(Quantity, Vec<Allocation>)> {
        let lines = &self.placed().lines;
        if let ([_], [hold]) = (lines.as_slice(), self.holds()) {
            let units = hold.allocations.iter().map(|allocation| allocation.quantity.0).sum();
            return vec![(Quantity(units), hold.allocations.clone())];
        }
        let mut left: BTreeMap<&Sku, VecDeque<(&Location, u32)>> = BTreeMap::new();
        for hold in self.holds() {
            let units = hold.allocations.iter().map(|allocation| (&allocation.location, allocation.quantity.0));
            left.insert(&hold.sku, units.collect());
        }
        lines.iter().map(|line| deal(left.get_mut(&line.sku), line.quantity.0)).collect()
    }
}

fn deal(pool: Option<&mut VecDeque<(&Location, u32)>>, wanted: u32) -> (Quantity, Vec<Allocation>) {
    let mut dealt = Vec::new();
    let mut missing = wanted;
    let Some(pool) = pool else { return (Quantity::ZERO, dealt) };
    while let Some((location, units)) = pool.front_mut().filter(|_| missing > 0) {
        let taken = missing.min(*units);
        dealt.push(Allocation { location: (*location).clone(), quantity: Quantity(taken) });
        missing -= taken;
        *units -= taken;
        if *units == 0 {
            pool.pop_front();
        }
    }
    (Quantity(wanted - missing), dealt)
}
