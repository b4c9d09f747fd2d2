//! What must hold between the actors of all partitions at any moment, messages in flight allowed for.
//!
//! Asserted by the simulation after every step, by `holdfast verify` and by the admin audit. Ids as in ARCHITECTURE.md.

use crate::event::{Allocation, FactKind, SkuHoldRef};
use crate::ids::{HoldKey, OrderId, Partitions, Sku};
use crate::order::{Order, Status};
use crate::partition::Partition;
use crate::stock::{Hold, HoldState, SkuStock};
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// One broken invariant, in words.
pub type Violation = String;

/// Checks all partitions of one deployment against each other.
pub fn check<P: Borrow<Partition>>(partitions: &[P]) -> Vec<Violation> {
    let partitions: Vec<&Partition> = partitions.iter().map(Borrow::borrow).collect();
    let mut violations = Vec::new();
    for partition in &partitions {
        let (mut live, mut sums) = (0, Sums::new());
        for (sku, key, hold) in partition.holds() {
            live += usize::from(hold.live());
            add_units(&mut sums, sku, hold);
            let order = partitions.get(usize::from(key.order.partition().0)).and_then(|home| home.order(key.order));
            violations.extend(check_hold(sku, key, hold, order));
        }
        for (sku, stock) in partition.skus() {
            check_stock(sku, stock, &sums, &mut violations);
        }
        if live != partition.live_holds() {
            violations.push(format!(
                "I2 partition {} has {live} live holds but counts {}",
                partition.id.0,
                partition.live_holds()
            ));
        }
        for order in partition.orders() {
            check_order(order, &partitions, &mut violations);
        }
    }
    violations.sort_unstable();
    violations
}

/// Units held and pinned by the holds of a SKU at a location.
type Sums<'a> = BTreeMap<(&'a Sku, &'a str), (u64, u64)>;

fn add_units<'a>(sums: &mut Sums<'a>, sku: &'a Sku, hold: &'a Hold) {
    for Allocation { location, quantity } in &hold.allocations {
        let (held, pinned) = sums.entry((sku, location.as_str())).or_default();
        match hold.state {
            HoldState::Held => *held += u64::from(quantity.units()),
            HoldState::Pinned => *pinned += u64::from(quantity.units()),
            HoldState::Committed | HoldState::Released => {}
        }
    }
}

/// I1 and I2: counters add up, and held and pinned are the sums of the live holds.
fn check_stock(sku: &Sku, stock: &SkuStock, sums: &Sums<'_>, violations: &mut Vec<Violation>) {
    for place in &stock.locations {
        let buckets = &place.buckets;
        if !buckets.balanced() {
            violations.push(format!("I1 {sku} at {} does not add up: {buckets:?}", place.name));
        }
        let (held, pinned) = sums.get(&(sku, place.name.as_str())).copied().unwrap_or_default();
        if (held, pinned) != (u64::from(buckets.held.units()), u64::from(buckets.pinned.units())) {
            violations.push(format!("I2 {sku} at {} holds {held}+{pinned} but counts {buckets:?}", place.name));
        }
    }
}

/// I7, seen from the SKU: a committed hold belongs to a sold order, and no sold order lost one.
fn check_hold(sku: &Sku, key: HoldKey, hold: &Hold, order: Option<&Order>) -> Option<Violation> {
    let order = order?;
    let sold = order.status == Status::Confirmed;
    let current = key.generation == order.generation;
    match hold.state {
        HoldState::Committed if !sold => Some(format!("I7 order {} is {:?} but {sku} is committed", key.order, order.status)),
        HoldState::Released if current && keeps_units(order) && holds_of(order, sku) => {
            Some(format!("I7 order {} is {:?} but {sku} was released", key.order, order.status))
        }
        HoldState::Held | HoldState::Pinned | HoldState::Committed | HoldState::Released => None,
    }
}

fn keeps_units(order: &Order) -> bool {
    matches!(order.status, Status::AwaitingPayment | Status::PaymentInFlight | Status::PaymentUnknown | Status::Confirmed)
}

fn holds_of(order: &Order, sku: &Sku) -> bool {
    order.holds().any(|hold| hold.sku == sku.as_str())
}

/// I4 and I7, seen from the order: what it counts on is there, what it gave up is not.
fn check_order(order: &Order, partitions: &[&Partition], violations: &mut Vec<Violation>) {
    let Some(count) = u16::try_from(partitions.len()).ok().and_then(Partitions::new) else { return };
    let key = HoldKey { order: order.id, generation: order.generation };
    for wanted in order.holds().map(SkuHoldRef::to_hold) {
        let home = partitions.get(usize::from(count.of_sku(&wanted.sku).0));
        let hold = home.and_then(|home| home.hold(&wanted.sku, &key));
        let live = hold.is_some_and(Hold::live);
        let units_agree = hold.is_none_or(|hold| hold.allocations.as_slice() == wanted.allocations);
        let kept = live || (order.status == Status::Confirmed && hold.is_none_or(|hold| hold.state == HoldState::Committed));
        if keeps_units(order) && !(kept && units_agree) {
            violations
                .push(format!("I4 order {} ({:?}) counts on {} but its hold is {hold:?}", order.id, order.status, wanted.sku));
        }
        if order.stock_settled && (order.status.ended_without_goods() || order.status == Status::Confirmed) && live {
            violations.push(format!("I7 order {} is settled ({:?}) but {} still holds", order.id, order.status, wanted.sku));
        }
    }
    check_decisions(order.id, order, violations);
}

/// I9 and the one final decision: replayed from the facts, not from the state.
fn check_decisions(id: OrderId, order: &Order, violations: &mut Vec<Violation>) {
    let (mut sold, mut over, mut taken, mut given_back) = (0, 0, 0, 0);
    for record in order.history() {
        match record.kind {
            FactKind::Paid | FactKind::Confirmed => sold += 1,
            FactKind::Cancelled | FactKind::Expired => over += u32::from(sold > 0),
            FactKind::RefundDue => taken += 1,
            FactKind::Refunded => given_back += 1,
            FactKind::Placed | FactKind::Held | FactKind::Rejected | FactKind::TooManyLocations => {}
            FactKind::Extended | FactKind::Reheld | FactKind::Settled => {}
            FactKind::PaymentStarted | FactKind::PaymentOpened | FactKind::PaymentUnknown => {}
            FactKind::PaymentDeclined | FactKind::PaymentVoided | FactKind::PaymentLate => {}
        }
    }
    if sold > 1 || (sold > 0 && over > 0) {
        violations.push(format!("I6 order {id} was decided more than once"));
    }
    if given_back > taken {
        violations.push(format!("I9 order {id} gave money back {given_back} times for {taken} refunds due"));
    }
}
