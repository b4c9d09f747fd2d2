//! What readers see of an order: its lines with what is held for each, and its payment.

use super::{Attempt, Order, PaymentStatus, Status};
use crate::event::{AllocationRef, LineRef, List, SkuHoldRef};
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
#[derive(Clone, Debug, PartialEq)]
pub struct LineView<'a> {
    pub line: LineRef<'a>,
    pub units: Quantity,
    pub allocations: Allocations<'a>,
}

/// What a line got of which location: of a SKU that no other line names all, else what is dealt to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Allocations<'a> {
    All(List<'a, AllocationRef<'a>>),
    Dealt(Vec<AllocationRef<'a>>),
}

impl<'a> LineView<'a> {
    fn empty(line: LineRef<'a>) -> Self {
        Self { line, units: Quantity::ZERO, allocations: Allocations::Dealt(Vec::new()) }
    }
}

impl<'a> Allocations<'a> {
    pub fn iter(&self) -> impl Iterator<Item = AllocationRef<'a>> {
        let (all, dealt) = match self {
            Self::All(all) => (*all, [].as_slice()),
            Self::Dealt(dealt) => (List::none(), dealt.as_slice()),
        };
        all.chain(dealt.iter().copied())
    }
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

    /// For whoever may not pay it: nobody pays without the link.
    #[must_use]
    pub fn without_links(mut self) -> Self {
        self.attempts.iter_mut().for_each(|attempt| attempt.redirect_url = None);
        self
    }

    /// The attempt a reader cares about: the one that took money, else the last.
    pub fn shown_attempt(&self) -> Option<&Attempt> {
        let captured = self.attempts.iter().find(|attempt| attempt.state == super::AttemptState::Captured);
        captured.or(self.attempts.last())
    }

    /// Each line with what it holds. Empty lines while nothing is held.
    pub fn lines(&self) -> impl Iterator<Item = LineView<'_>> {
        let nothing = self.stage() == Stage::None;
        self.dealt().map(move |view| if nothing { LineView::empty(view.line) } else { view })
    }

    /// About how many bytes it is shown in: its texts, and what stands between them.
    pub fn shown_bytes(&self) -> usize {
        let text = |text: Option<&str>| text.map_or(0, str::len);
        let placed = self.placed();
        let lines = placed.lines.map(|line| LINE + line.sku.len() + text(line.seller) + text(line.metadata));
        let allocations = self.holds().flat_map(|hold| hold.allocations);
        let allocations = allocations.map(|allocation| ALLOCATION + allocation.location.len());
        ORDER + text(placed.shipping_address) + text(placed.metadata) + lines.sum::<usize>() + allocations.sum::<usize>()
    }

    /// Deals the units each SKU holds out to the lines that name it, first line first.
    pub(super) fn dealt(&self) -> impl Iterator<Item = LineView<'_>> {
        let (lines, mut holds) = (self.asked(), self.holds());
        let alone = if (lines.len(), holds.len()) == (1, 1) { holds.next() } else { None };
        let mut pool = Pool::of(holds);
        lines.map(move |line| match alone {
            Some(hold) => LineView { line, units: hold.units(), allocations: Allocations::All(hold.allocations) },
            None => pool.deal(line),
        })
    }
}

/// What is left of what each SKU holds.
#[derive(Default)]
struct Pool<'a>(BTreeMap<&'a str, VecDeque<AllocationRef<'a>>>);

impl<'a> Pool<'a> {
    fn of(holds: impl Iterator<Item = SkuHoldRef<'a>>) -> Self {
        Self(holds.map(|hold| (hold.sku, hold.allocations.collect())).collect())
    }

    fn deal(&mut self, line: LineRef<'a>) -> LineView<'a> {
        let (mut dealt, mut missing) = (Vec::new(), line.quantity);
        if let Some(left) = self.0.get_mut(line.sku) {
            while let Some(allocation) = left.front_mut().filter(|_| !missing.is_zero()) {
                let taken = missing.min(allocation.quantity);
                dealt.push(AllocationRef { quantity: taken, ..*allocation });
                missing = missing.saturating_sub(taken);
                allocation.quantity = allocation.quantity.saturating_sub(taken);
                if allocation.quantity.is_zero() {
                    left.pop_front();
                }
            }
        }
        LineView { line, units: line.quantity.saturating_sub(missing), allocations: Allocations::Dealt(dealt) }
    }
}
