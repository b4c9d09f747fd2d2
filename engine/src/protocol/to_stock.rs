//! What an order asks of a SKU.
//!
//! Invariant: it is sent to the partition of the SKU, and answered by a [`super::ToOrder`] of the same order version.

use crate::ids::{HoldKey, OrderId, Sku};
use crate::stock::{HoldOp, ReserveRequest};

#[derive(Clone, Debug, PartialEq)]
pub enum ToStock {
    /// Hold units.
    Reserve { sku: Sku, request: ReserveRequest },
    /// Move the hold on.
    Move { sku: Sku, hold: HoldKey, order_version: u32, op: HoldOp },
}

impl ToStock {
    pub fn sku(&self) -> &Sku {
        match self {
            Self::Reserve { sku, .. } | Self::Move { sku, .. } => sku,
        }
    }

    /// The order that asks.
    pub fn order(&self) -> OrderId {
        match self {
            Self::Reserve { request, .. } => request.hold.order,
            Self::Move { hold, .. } => hold.order,
        }
    }
}
