//! Looking ahead: the memory that the next commands will need, asked for before they are carried out.
//!
//! What an order touches was last used thousands of orders ago. Look-ups that follow from each other wait for memory one
//! after the other; those of several orders do not, and the processor waits for all of them at once.
//! Invariant: nothing is changed and nothing is answered.

use super::Partition;
use crate::ids::{HoldKey, OrderId, Sku};
use std::hint::black_box;

impl Partition {
    /// Of an order that is about to be placed here.
    pub fn prefetch_order(&self, id: OrderId) {
        black_box(self.orders.contains_key(&id));
    }

    /// Of a SKU of this partition on which an order is about to have its first hold.
    pub fn prefetch_stock(&self, sku: &Sku, order: OrderId) {
        let hold = HoldKey { order, generation: 1 };
        black_box(self.skus.get(sku).map(|stock| (stock.available(), stock.holds.contains_key(&hold))));
    }
}
