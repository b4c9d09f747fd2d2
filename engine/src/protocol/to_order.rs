//! What a SKU says to an order, asked or by itself.
//!
//! Invariant: it is sent to the partition of the order, and says nothing that is not in the state of the SKU.

use crate::event::Allocation;
use crate::ids::{HoldKey, OrderId, Sku};
use crate::stock::ReserveRefusal;

#[derive(Clone, Debug, PartialEq)]
pub enum ToOrder {
    /// The units that were asked for, or some of them, are held.
    Held { sku: Sku, hold: HoldKey, order_version: u32, allocations: Vec<Allocation> },
    /// Nothing is held.
    Refused { sku: Sku, hold: HoldKey, order_version: u32, refusal: ReserveRefusal },
    /// The hold stands as the step wanted.
    Moved { sku: Sku, hold: HoldKey, order_version: u32 },
    /// This hold is past its time, what of it?
    HoldProbe { sku: Sku, hold: HoldKey },
}

impl ToOrder {
    pub fn order(&self) -> OrderId {
        match self {
            Self::Held { hold, .. } | Self::Refused { hold, .. } => hold.order,
            Self::Moved { hold, .. } | Self::HoldProbe { hold, .. } => hold.order,
        }
    }
}
