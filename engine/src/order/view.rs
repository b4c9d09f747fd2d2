//! What readers see of an order: its lines with what is held for each, and its payment.

use super::{Attempt, Order, PaymentStatus, Status};
use crate::event::{Allocation, Line};
use crate::ids::{Location, Sku};
use crate::quantity::Quantity;
use std::collections::{BTreeMap, VecDeque};

/// Bytes of an order, a line and an allocation as JSON, without their texts.
const ORDER: usize = 640;
const LINE: usize = 200;
const ALLOCATION: usize = 40;

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
    pub fn payment_status(&self) -> PaymentStatus {
        use super::AttemptState as State;
        let has = |state: State| self.attempts.iter().any(|attempt| attempt.state == state);
        match () {
            () if has(State::RefundDue) => PaymentStatus::RefundDue,
            () if has(State::Captured) => PaymentStatus::Captured,
            () if has(State::Refunded) => PaymentStatus::Refunded,
            () if has(State::Unknown) => PaymentStatus::Unknown,
            () if has(State::Open) || has(State::Opening) => PaymentStatus::Pending,
            () if self.status == Status::Confirmed => PaymentStatus::Invoiced,
            () if has(State::Declined) || has(State::Voided) => PaymentStatus::Failed,
            () => PaymentStatus::None,
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
            .map(|(units, allocations)| {
                if nothing {
                    LineView { units: Quantity::ZERO, allocations: Vec::new() }
                } else {
                    LineView { units, allocations }
                }
            })
            .collect()
    }

    /// About how many bytes it is shown in: its texts, and what stands between them.
    pub fn shown_bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let placed = self.placed();
        let seller = |line: &Line| line.seller.as_ref().map_or(0, |seller| seller.as_str().len());
        let lines = placed.lines.iter().map(|line| LINE + line.sku.as_str().len() + seller(line) + text(&line.metadata));
        let allocations = self.holds().iter().flat_map(|hold| &hold.allocations);
        let allocations = allocations.map(|allocation| ALLOCATION + allocation.location.as_str().len());
        ORDER + text(&placed.shipping_address) + text(&placed.metadata) + lines.sum::<usize>() + allocations.sum::<usize>()
    }

    /// Deals the units each SKU holds out to the lines that name it, first line first.
    pub(super) fn line_allocations(&self) -> Vec<(Quantity, Vec<Allocation>)> {
        let lines = &self.placed().lines;
        if let ([_], [hold]) = (lines.as_slice(), self.holds()) {
            return vec![(hold.units(), hold.allocations.clone())];
        }
        let mut left: BTreeMap<&Sku, VecDeque<(&Location, Quantity)>> = BTreeMap::new();
        for hold in self.holds() {
            left.insert(&hold.sku, hold.allocations.iter().map(|taken| (&taken.location, taken.quantity)).collect());
        }
        lines.iter().map(|line| deal(left.get_mut(&line.sku), line.quantity)).collect()
    }
}

fn deal(pool: Option<&mut VecDeque<(&Location, Quantity)>>, wanted: Quantity) -> (Quantity, Vec<Allocation>) {
    let mut dealt = Vec::new();
    let mut missing = wanted;
    let Some(pool) = pool else { return (Quantity::ZERO, dealt) };
    while let Some((location, units)) = pool.front_mut().filter(|_| !missing.is_zero()) {
        let taken = missing.min(*units);
        dealt.push(Allocation { location: (*location).clone(), quantity: taken });
        missing = missing.saturating_sub(taken);
        *units = units.saturating_sub(taken);
        if units.is_zero() {
            pool.pop_front();
        }
    }
    (wanted.saturating_sub(missing), dealt)
}
