//! Why a command was refused: an answer to the caller, not a failure of ours.
//!
//! Invariant: one list for all that is asked, of stock and of orders. Below `event`, which stores some of them under keys.

use crate::buckets::Buckets;
use crate::ids::Sku;
use crate::quantity::Quantity;
use crate::status::{Kind, Status};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    NotFound,
    /// Units are taken off a SKU that nobody ever stocked.
    UnknownSku(Sku),
    /// The idempotency key was used for something else.
    KeyReused,
    /// The first request with this key has not been answered yet.
    KeyInProgress,
    InvalidTransition {
        kind: Kind,
        status: Status,
    },
    ReservationExpired,
    VersionMismatch {
        current: u64,
    },
    /// The count of a location would be less than what holds, sales and checks have taken of it.
    BelowTaken {
        taken: u64,
        count: i64,
    },
    /// So a count below what is taken was refused before [`Rejection::BelowTaken`]: stored and answered, never made again.
    Short(Shortage),
    /// A location that is to be closed still counts units.
    LocationInUse {
        buckets: Buckets,
    },
    /// A bucket or a list is at its limit.
    TooMany,
    /// A hold is asked to last longer from now on than the operator allows now: not decided, so it binds no key.
    HoldTooLong {
        max_ms: u64,
    },
    /// The hold cannot be extended so far, or once more.
    HoldLimit(HoldLimit),
}

/// What keeps a hold from being extended, with the limit that stood when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldLimit {
    /// It would end later than this after it was placed.
    Life { max_ms: u64 },
    /// It was extended so often.
    Extensions { max: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// Line of the order, from 1. Zero where there is no order.
    pub line: u16,
    pub sku: Sku,
    pub requested: Quantity,
    /// What could have been had; `None` if nobody ever stocked the SKU.
    pub available: Option<u64>,
}
