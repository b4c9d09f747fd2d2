//! Lists of what a partition has in memory: orders by customer or number, SKUs by the beginning of their names.
//!
//! Invariants: a list is read in an order that nothing changes, so that a reader who goes on behind the last item misses nothing that
//! was there all the time and sees nothing twice; no turn costs more than [`limits::MAX_SCAN`] orders, lines or locations, or
//! [`limits::MAX_PAGE_BYTES`] of orders, and what the last of them adds, however many there are.

mod placements;

use super::Partition;
use crate::answer::{OrdersPage, StockPage};
use crate::command::OrderFilter;
use crate::event::Kind;
use crate::ids::{Seq, Sku};
use crate::limits;
use crate::order::Order;
use placements::Placements;
use std::ops::Bound::{Excluded, Included};

/// The orders in memory in the order in which lists have them.
#[derive(Debug, Default)]
pub(super) struct Listed {
    orders: Placements,
}

impl Listed {
    /// Of a whole partition at once, which costs less than one after the other.
    pub(super) fn of<'a>(orders: impl Iterator<Item = &'a Order>) -> Self {
        Self { orders: orders.map(|order| (placed_by(order), order.id)).collect() }
    }

    pub(super) fn order_came(&mut self, order: &Order) {
        self.orders.insert(placed_by(order), order.id);
    }

    pub(super) fn order_left(&mut self, order: &Order) {
        self.orders.remove(placed_by(order));
    }
}

fn placed_by(order: &Order) -> Seq {
    order.history().placed_at().0
}

fn passes(filter: &OrderFilter, order: &Order) -> bool {
    match filter {
        OrderFilter::OfCustomer(customer) => order.placed().customer == Some(customer.as_str()),
        OrderFilter::Numbered(number) => order.placed().number == *number,
    }
}

impl Partition {
    pub(super) fn list_orders(&self, filter: &OrderFilter, after: Seq, limit: usize) -> OrdersPage {
        let some_left = self.placed > self.orders.len() as u64;
        let mut page = OrdersPage { some_left, ..OrdersPage::default() };
        let (mut last, mut work, mut bytes) = (after, 0, 0);
        for (seq, id) in self.listed.orders.after(after) {
            if work >= limits::MAX_SCAN || bytes >= limits::MAX_PAGE_BYTES || page.found.len() >= limit {
                page.next = Some(last);
                break;
            }
            (last, work) = (seq, work + 1);
            let order = self.orders.get(&id).map(|actor| &actor.order);
            if let Some(order) = order.filter(|order| order.kind() == Kind::Order && passes(filter, order)) {
                work += order.placed().lines.len();
                bytes += order.shown_bytes();
                page.found.push((id, order.history().clone()));
            }
        }
        page
    }

    pub(super) fn list_stock(&self, prefix: Option<&Sku>, after: Option<&Sku>, limit: usize) -> StockPage {
        let prefix = prefix.map_or("", Sku::as_str);
        let from = match after.map(Sku::as_str).filter(|after| *after >= prefix) {
            Some(after) => Excluded(after),
            None => Included(prefix),
        };
        let skus = self.skus.listed(from).take_while(|(sku, _)| sku.as_str().starts_with(prefix));
        let mut page = StockPage::default();
        let mut work = 0;
        for (sku, stock) in skus {
            if work >= limits::MAX_SCAN || page.found.len() >= limit {
                page.next = page.found.last().map(|last| last.sku.clone());
                break;
            }
            // An order for a SKU that nobody stocked may have left a word about it.
            if !stock.known() {
                continue;
            }
            work += 1 + stock.locations.len();
            page.found.push(stock.view(sku));
        }
        page
    }
}
