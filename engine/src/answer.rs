//! What a command is answered. An order is answered with the facts it is the fold of: there is one way to render it.

use crate::event::{KeptAnswer, OrderRecord, StockView};
use crate::ids::{OrderId, Sku, Ticket};
use crate::rejection::Rejection;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The order as it stood after these facts.
    Order {
        id: OrderId,
        history: Vec<OrderRecord>,
    },
    Stock(StockView),
    Kept(Arc<KeptAnswer>),
    /// Available units; `None` for a SKU nobody stocked.
    Availability(Vec<(Sku, Option<u64>)>),
    /// A payment result is recorded, or was before.
    Recorded,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub ticket: Ticket,
    pub outcome: Result<Answer, Rejection>,
    /// The key was answered before, with the same bytes.
    pub replayed: bool,
}
