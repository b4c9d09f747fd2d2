//! Messages between actors: two protocols, one each way. Each message may be lost, doubled or overtaken: all are derived from durable
//! state, sent again until answered, and told apart by (order, generation, SKU, order version).

mod to_order;
mod to_stock;

pub use to_order::ToOrder;
pub use to_stock::ToStock;

use crate::ids::{OrderId, PartitionId};

#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub to: PartitionId,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    ToStock(ToStock),
    ToOrder(ToOrder),
}

impl Body {
    /// The order the message is from or to.
    pub fn order(&self) -> OrderId {
        match self {
            Body::ToStock(message) => message.order(),
            Body::ToOrder(message) => message.order(),
        }
    }
}

impl From<ToStock> for Body {
    fn from(message: ToStock) -> Self {
        Self::ToStock(message)
    }
}

impl From<ToOrder> for Body {
    fn from(message: ToOrder) -> Self {
        Self::ToOrder(message)
    }
}
