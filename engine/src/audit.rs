//! A second opinion on a journal: adds up what its records say without the actors' rules, then compares.
//!
//! What it adds up, buckets from movements and decisions of orders, comes from the events alone. It shares nothing else with the
//! engine while it adds: the folded partitions are what the sums are compared with at the end, and where it begins if the log does
//! not. Invariant: it takes the memory of the holds that are open at one moment, and of what is over 9 bytes an order, and 9 more
//! for each SKU that it bought.

mod seen;

use crate::event::{
    Allocation, ArchiveFact, Bucket, Buckets, Event, FactKind, Kind, OrderFact, PartitionFact, Record, RecordRef, StockFact,
};
use crate::ids::{HoldKey, Location, OrderId, PartitionId, Seq, Sku};
use crate::invariants::{self, Violation};
use crate::partition::Partition;
use crate::stock::{Hold, HoldState};
use seen::Seen;
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// Sums of one SKU at one location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    on_hand: i64,
    held: i64,
    pinned: i64,
    committed: i64,
    damaged: i64,
    quality_control: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Held,
    Pinned,
    Committed,
    Released,
}

/// Adds up records in journal order.
#[derive(Debug, Default)]
pub struct Audit {
    seqs: BTreeMap<PartitionId, Seq>,
    versions: BTreeMap<Sku, u64>,
    sums: BTreeMap<(Sku, Location), Sums>,
    /// Those that are not resolved.
    holds: BTreeMap<(Sku, HoldKey), (Stage, Vec<Allocation>)>,
    /// SKUs with the holds on them that were committed: an order is sold the units of a hold once.
    committed: Seen,
    /// Marked once they are sold.
    orders: Seen,
    /// The last number of an order that each partition gave out.
    numbers: BTreeMap<PartitionId, u64>,
    events: u64,
    reservations: u64,
    violations: Vec<Violation>,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    pub events: u64,
    pub orders: u64,
    pub reservations: u64,
    pub skus: u64,
}

impl Audit {
    /// Goes on from the state of a partition, where the records that led to it are gone.
    pub fn resume(&mut self, partition: &Partition) {
        self.seqs.insert(partition.id, partition.seq());
        for order in partition.orders() {
            self.reservations += u64::from(order.kind() == Kind::Reservation);
            self.orders.put(order.id, order.history().iter().any(sells));
        }
        for (sku, stock) in partition.skus() {
            self.versions.insert(sku.clone(), stock.version);
            let sums = stock.locations.iter().map(|place| ((sku.clone(), place.name.clone()), Sums::of(&place.buckets)));
            self.sums.extend(sums);
        }
        for (sku, key, hold) in partition.holds() {
            self.keep(sku, key, Stage::of(hold), hold.allocations.as_slice().to_vec());
        }
    }

    pub fn add(&mut self, partition: PartitionId, record: &Record) {
        self.events += 1;
        let last = self.seqs.entry(partition).or_default();
        if record.seq != *last + 1 {
            let gap = format!("I14 partition {} has record {} after {last}", partition.0, record.seq);
            self.violations.push(gap);
        }
        *last = record.seq;
        match &record.event {
            Event::Stock { sku, fact } => self.add_stock(sku, fact),
            Event::Order { order, fact, .. } => self.add_order(partition, *order, fact),
            Event::Archive(ArchiveFact::Orders(orders)) => orders.iter().for_each(|id| self.archived(*id)),
            Event::Archive(ArchiveFact::Restored { order, history }) => {
                // Where the log is purged it may have been placed before its first record.
                if self.orders.get(*order).is_none() {
                    self.orders.put(*order, history.iter().any(sells));
                }
            }
            Event::Archive(ArchiveFact::Keys(_)) | Event::Key(_) => {}
            // That the numbers behind it rise is looked at with each order.
            Event::Partition(PartitionFact::Restored { .. }) => {}
            // Shown, and relied on by nothing.
            Event::Operator(_) => {}
        }
    }

    fn add_order(&mut self, partition: PartitionId, order: OrderId, fact: &OrderFact) {
        match fact {
            OrderFact::Placed(placed) => {
                self.number(partition, order, placed.number);
                match self.orders.put(order, false) {
                    Some(_) => self.violations.push(format!("I13 order {order} was placed twice")),
                    None => self.reservations += u64::from(placed.kind == Kind::Reservation),
                }
            }
            OrderFact::Paid { .. } | OrderFact::Confirmed { .. } => {
                let sold = self.orders.put(order, true);
                if sold == Some(true) {
                    self.violations.push(format!("I6 order {order} was sold twice"));
                }
            }
            OrderFact::Held { .. } | OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } | OrderFact::Expired => {}
            OrderFact::Cancelled { .. } | OrderFact::Extended { .. } | OrderFact::Settled | OrderFact::Reheld { .. } => {}
            OrderFact::PaymentStarted { .. } | OrderFact::PaymentOpened { .. } | OrderFact::PaymentUnknown { .. } => {}
            OrderFact::PaymentDeclined { .. } | OrderFact::PaymentVoided { .. } | OrderFact::PaymentLate { .. } => {}
            OrderFact::RefundDue { .. } | OrderFact::Refunded { .. } => {}
        }
    }

    /// Numbers of a partition rise, so that none is given out twice.
    fn number(&mut self, partition: PartitionId, order: OrderId, number: u64) {
        if let Some(last) = self.numbers.insert(partition, number).filter(|last| *last >= number) {
            self.violations.push(format!("I13 order {order} has number {number}, and its partition gave out {last} before"));
        }
    }

    fn archived(&mut self, order: OrderId) {
        if self.orders.get(order).is_none() {
            self.violations.push(format!("I14 order {order} was archived but never placed"));
        }
    }

    fn add_stock(&mut self, sku: &Sku, fact: &StockFact) {
        let moved = match fact {
            StockFact::Set { location, delta, version, .. } => {
                self.sum(sku, location).on_hand += delta;
                Some((*version, 1))
            }
            StockFact::Adjusted { location, bucket, delta, version, .. } => {
                let sums = self.sum(sku, location);
                match bucket {
                    Bucket::OnHand => sums.on_hand += delta,
                    Bucket::Damaged => sums.damaged += delta,
                    Bucket::QualityControl => sums.quality_control += delta,
                }
                Some((*version, 1))
            }
            StockFact::ThresholdSet { version, .. } => Some((*version, 1)),
            StockFact::HoldPlaced { hold, allocations, version, .. } => {
                self.place(sku, *hold, allocations);
                Some((*version, allocations.len() as u64))
            }
            StockFact::HoldPinned { hold, version, .. } => Some((*version, self.transition(sku, *hold, Stage::Pinned))),
            StockFact::HoldUnpinned { hold, version, .. } => Some((*version, self.transition(sku, *hold, Stage::Held))),
            StockFact::HoldCommitted { hold, version, .. } => Some((*version, self.transition(sku, *hold, Stage::Committed))),
            StockFact::HoldReleased { hold, version, .. } => Some((*version, self.transition(sku, *hold, Stage::Released))),
            StockFact::HoldForbidden { .. } | StockFact::LevelCrossed { .. } => None,
            StockFact::LocationClosed { location, version } => {
                let sums = self.sums.remove(&(sku.clone(), location.clone()));
                if let Some(sums) = sums.filter(|sums| *sums != Sums::default()) {
                    self.violations.push(format!("I3 {sku} at {location} was closed with {sums:?}"));
                }
                Some((*version, 1))
            }
        };
        if let Some((version, movements)) = moved {
            self.advance_version(sku, version, movements);
        }
    }

    fn advance_version(&mut self, sku: &Sku, version: u64, movements: u64) {
        let last = self.versions.entry(sku.clone()).or_default();
        if *last + movements != version {
            self.violations.push(format!("I3 {sku} went from movement {last} to {version} by {movements}"));
        }
        *last = version;
    }

    fn sum(&mut self, sku: &Sku, location: &Location) -> &mut Sums {
        self.sums.entry((sku.clone(), location.clone())).or_default()
    }

    fn place(&mut self, sku: &Sku, hold: HoldKey, allocations: &[Allocation]) {
        for allocation in allocations {
            self.sum(sku, &allocation.location).held += i64::from(allocation.quantity.units());
        }
        let held = self.holds.contains_key(&(sku.clone(), hold)) || self.committed.get((sku, hold)).is_some();
        if held {
            self.violations.push(format!("I4 order {} holds {sku} twice", hold.order));
        }
        self.keep(sku, hold, Stage::Held, allocations.to_vec());
    }

    fn keep(&mut self, sku: &Sku, hold: HoldKey, stage: Stage, allocations: Vec<Allocation>) {
        match stage {
            Stage::Held | Stage::Pinned => drop(self.holds.insert((sku.clone(), hold), (stage, allocations))),
            Stage::Committed => drop(self.committed.put((sku, hold), false)),
            Stage::Released => {}
        }
    }

    fn transition(&mut self, sku: &Sku, hold: HoldKey, next: Stage) -> u64 {
        let Some((stage, allocations)) = self.holds.remove(&(sku.clone(), hold)) else {
            let order = hold.order;
            self.violations
                .push(format!("I4 {sku} moved a hold of order {order} that is not open: never placed, or resolved before"));
            return 0;
        };
        for Allocation { location, quantity } in &allocations {
            let sums = self.sum(sku, location);
            sums.add(stage, -i64::from(quantity.units()));
            sums.add(next, i64::from(quantity.units()));
        }
        let movements = allocations.len() as u64;
        self.keep(sku, hold, next, allocations);
        movements
    }

    /// Compares the sums with the folded state, and the partitions with each other.
    pub fn finish<P: Borrow<Partition>>(mut self, partitions: &[P]) -> (Checked, Vec<Violation>) {
        let partitions: Vec<&Partition> = partitions.iter().map(Borrow::borrow).collect();
        for partition in &partitions {
            for (sku, stock) in partition.skus() {
                for place in &stock.locations {
                    let folded = Sums::of(&place.buckets);
                    let summed = self.sums.get(&(sku.clone(), place.name.clone())).copied().unwrap_or_default();
                    if folded != summed {
                        self.violations
                            .push(format!("I3 {sku} at {}: movements sum to {summed:?}, state says {folded:?}", place.name));
                    }
                }
            }
        }
        self.violations.extend(invariants::check(&partitions));
        let checked = Checked {
            events: self.events,
            orders: self.orders.len() - self.reservations,
            reservations: self.reservations,
            skus: self.versions.len() as u64,
        };
        (checked, self.violations)
    }
}

fn sells(record: RecordRef<'_>) -> bool {
    matches!(record.kind, FactKind::Paid | FactKind::Confirmed)
}

impl Stage {
    fn of(hold: &Hold) -> Self {
        match hold.state {
            HoldState::Held => Stage::Held,
            HoldState::Pinned => Stage::Pinned,
            HoldState::Committed => Stage::Committed,
            HoldState::Released => Stage::Released,
        }
    }
}

impl Sums {
    fn of(buckets: &Buckets) -> Self {
        Self {
            on_hand: i64::from(buckets.on_hand.units()),
            held: i64::from(buckets.held.units()),
            pinned: i64::from(buckets.pinned.units()),
            committed: i64::from(buckets.committed.units()),
            damaged: i64::from(buckets.damaged.units()),
            quality_control: i64::from(buckets.quality_control.units()),
        }
    }

    fn add(&mut self, stage: Stage, units: i64) {
        match stage {
            Stage::Held => self.held += units,
            Stage::Pinned => self.pinned += units,
            Stage::Committed => self.committed += units,
            // Released units are free again: they are in no bucket of their own.
            Stage::Released => {}
        }
    }
}
