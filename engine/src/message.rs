//! Messages between actors. Each may be lost, doubled or overtaken: all are derived from durable state, sent again
//! until answered, and told apart by (order, generation, SKU, order version).

use crate::event::Allocation;
use crate::ids::{HoldKey, OrderId, PartitionId, Sku};
use crate::stock::{HoldOp, ReserveRefusal, ReserveRequest};

#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub to: PartitionId,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Order to SKU: hold units.
    Reserve {
        sku: Sku,
        request: ReserveRequest,
    },
    /// Order to SKU: move the hold on.
    Move {
        sku: Sku,
        hold: HoldKey,
        order_version: u32,
        op: HoldOp,
    },
    /// SKU to order: answer to a reserve.
    Held {
        sku: Sku,
        hold: HoldKey,
        order_version: u32,
        allocations: Vec<Allocation>,
    },
    Refused {
        sku: Sku,
        hold: HoldKey,
        order_version: u32,
        refusal: ReserveRefusal,
    },
    /// SKU to order: the hold stands as the step wanted.
    Moved {
        sku: Sku,
        hold: HoldKey,
        order_version: u32,
    },
    /// SKU to order: this hold is past its time, what of it?
    HoldProbe {
        sku: Sku,
        hold: HoldKey,
    },
}

impl Body {
    /// The order the message is from or to.
    pub fn order(&self) -> OrderId {
        match self {
            Body::Reserve { request, .. } => request.hold.order,
            Body::Move { hold, .. } | Body::Held { hold, .. } | Body::Refused { hold, .. } => hold.order,
            Body::Moved { hold, .. } | Body::HoldProbe { hold, .. } => hold.order,
        }
    }
}
