//! What a command is answered. An order is answered with the facts it is the fold of: there is one way to render it.

use crate::event::{Changed, History, StockView, StoredResponse};
use crate::ids::{OrderId, Seq, Sku, Ticket};
use crate::rejection::Rejection;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The order as it stood after these facts.
    Order {
        id: OrderId,
        history: History,
    },
    Stock(StockView),
    Stored(Arc<StoredResponse>),
    /// Available units; `None` for a SKU nobody stocked.
    Availability(Vec<(Sku, Option<u64>)>),
    /// Some orders of a partition.
    Orders(OrdersPage),
    /// Some SKUs of a partition.
    StockList(StockPage),
    /// The location is no longer one of the SKU, which has this version now.
    LocationClosed {
        version: u64,
    },
    /// What operators changed.
    Changes(Vec<Changed>),
    /// A payment result is recorded, or was before.
    Recorded,
}

/// Orders of a partition in the order in which they were placed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrdersPage {
    pub found: Vec<(OrderId, History)>,
    /// Where to read on in this partition. `None`: all of it was looked at.
    pub next: Option<Seq>,
    /// Orders of this partition have left memory: what was found may not be all there ever was.
    pub some_left: bool,
}

/// SKUs of a partition in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StockPage {
    pub found: Vec<StockView>,
    /// The last name, where more follow.
    pub next: Option<Sku>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub ticket: Ticket,
    pub outcome: Result<Answer, Rejection>,
    /// The key was answered before, with the same bytes.
    pub replayed: bool,
}
