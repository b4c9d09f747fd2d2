//! The fold: how a record changes the state, live and in replay alike.
//!
//! Invariant: nothing else changes what a snapshot has, and folding cannot fail: a record that does not fit is our own fault.

use super::actor::OrderActor;
use super::{KeyRecord, Partition};
use crate::bytes::append;
use crate::event::{ArchiveFact, Changed, Event, History, KeyFact, OperatorFact, OrderFact, PartitionFact, Record, StockFact};
use crate::ids::{OrderId, Seq, Sku};
use crate::limits;
use crate::order::Order;
use crate::time::Timestamp;

impl Partition {
    /// Folds one record: the only way state changes, live and in replay.
    pub fn apply(&mut self, record: Record) {
        let Record { seq, at, event } = record;
        self.come_to(seq, at);
        match event {
            Event::Stock { sku, fact } => self.apply_stock(sku, &fact),
            Event::Order { order, fact, .. } => {
                let origin = if let OrderFact::Placed(placed) = &*fact { placed.origin_bytes() } else { Vec::new() };
                self.apply_order(order, (seq, at), &append(&fact, Vec::new()), &origin);
            }
            Event::Key(KeyFact::Answered { key, fingerprint, answer }) => {
                self.keys.insert(key, KeyRecord { fingerprint, answer });
            }
            Event::Archive(ArchiveFact::Orders(orders)) => orders.iter().for_each(|id| {
                self.archived.insert(&id.bytes());
                if let Some(actor) = self.orders.remove(id) {
                    self.listed.order_left(&actor.order);
                }
            }),
            Event::Archive(ArchiveFact::Keys(keys)) => keys.iter().for_each(|key| {
                self.archived.insert(&key.0);
                self.keys.remove(key);
            }),
            Event::Archive(ArchiveFact::Restored { order, history }) => {
                self.come(Order::of(order, history));
            }
            // Never back: a number is given out once.
            Event::Partition(PartitionFact::Restored { placed, .. }) => self.placed = self.placed.max(placed),
            Event::Operator(OperatorFact::Changed(change)) => self.changes.push(Changed { at, change }),
        }
        self.forget_resolved();
    }

    /// The sequence and the clock come to a record.
    pub(super) fn come_to(&mut self, seq: Seq, at: Timestamp) {
        assert_eq!(seq, self.seq + 1, "the sequence of partition {} has a gap", self.id.0);
        self.seq = seq;
        self.logical_time = self.logical_time.plus(at.since(self.at).min(limits::MAX_TIME_STEP_MS));
        self.at = at;
    }

    fn apply_stock(&mut self, sku: Sku, fact: &StockFact) {
        let sku = self.skus.number_or_new(sku);
        let stock = self.skus.stock_mut(sku);
        let Some(key) = fact.hold() else { return stock.evolve(fact, &mut None) };
        let hold = self.holds.change(sku, key, |hold| stock.evolve(fact, hold));
        if fact.resolves().is_some() {
            self.resolved.extend(hold.map(|hold| (self.logical_time, hold)));
        }
    }

    /// By the bytes of a fact; where it is the placing of the order, with those of where it came from.
    pub(super) fn apply_order(&mut self, id: OrderId, at: (Seq, Timestamp), fact: &[u8], origin: &[u8]) {
        if let Some(actor) = self.orders.get_mut(&id) {
            return actor.order.evolve_bytes(at, fact);
        }
        self.placed += 1;
        let Some(history) = History::begin(at, fact, origin) else {
            unreachable!("a fact of an order that was never placed: {id}")
        };
        self.come(Order::of(id, history));
    }

    fn come(&mut self, order: Order) {
        self.listed.order_came(&order);
        let before = self.orders.insert(order.id, Box::new(OrderActor::new(order)));
        assert!(before.is_none(), "an order that is in memory came into it");
    }

    pub(super) fn forget_resolved(&mut self) {
        while let Some((at, _)) = self.resolved.front() {
            if at.plus(limits::RESOLVED_MS) > self.logical_time {
                break;
            }
            if let Some((_, hold)) = self.resolved.pop_front() {
                self.holds.remove(hold);
            }
        }
    }
}
