//! The fold: how a record changes the state, live and in replay alike.
//!
//! Invariant: nothing else changes what a snapshot has, and folding cannot fail: a record that does not fit is our own fault.

use super::actor::OrderActor;
use super::{KeyRecord, Partition};
use crate::event::{ArchiveFact, Event, History, KeyFact, OrderRecord, PartitionFact, Record, StockFact};
use crate::ids::{OrderId, Sku};
use crate::limits;
use crate::order::Order;

impl Partition {
    /// Folds one record: the only way state changes, live and in replay.
    pub fn apply(&mut self, record: Record) {
        let Record { seq, at, event } = record;
        assert_eq!(seq, self.seq + 1, "the sequence of partition {} has a gap", self.id.0);
        self.seq = seq;
        self.logical_time = self.logical_time.plus(at.since(self.at).min(limits::MAX_TIME_STEP_MS));
        self.at = at;
        match event {
            Event::Stock { sku, fact } => self.apply_stock(sku, &fact),
            Event::Order { order, fact, .. } => self.apply_order(order, OrderRecord { seq, at, fact }),
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
        }
        self.forget_resolved();
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

    fn apply_order(&mut self, id: OrderId, record: OrderRecord) {
        if let Some(actor) = self.orders.get_mut(&id) {
            return actor.order.evolve(record);
        }
        self.placed += 1;
        let Some(history) = History::begin(record) else { unreachable!("a fact of an order that was never placed: {id}") };
        self.come(Order::of(id, history));
    }

    fn come(&mut self, order: Order) {
        self.listed.order_came(&order);
        let before = self.orders.insert(order.id, Box::new(OrderActor::new(order)));
        assert!(before.is_none(), "an order that is in memory came into it");
    }

    fn forget_resolved(&mut self) {
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
