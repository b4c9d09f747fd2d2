//! One hold of an order on a SKU: where it stands, what it is asked, what is said to that.
//!
//! Invariant: a hold ends once, committed or released.

use crate::event::{Allocation, ReleaseCause, StockFact};
use crate::ids::HoldKey;
use crate::quantity::Quantity;
use crate::stock::Few;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a hold stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldState {
    Held,
    Pinned,
    Committed,
    Released,
}

/// Written to snapshots: the order of its fields is frozen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub state: HoldState,
    /// Highest order_version of the order seen, so that an overtaken pin or unpin is recognised.
    pub order_version: u32,
    pub allocations: Few<Allocation>,
    pub probe_at: Timestamp,
}

impl Hold {
    /// It never was and never will be.
    pub(super) fn forbidden() -> Self {
        Self { state: HoldState::Released, order_version: 0, allocations: Few::default(), probe_at: Timestamp::ZERO }
    }

    pub fn live(&self) -> bool {
        matches!(self.state, HoldState::Held | HoldState::Pinned)
    }
}

/// What a reserve message asks of one SKU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReserveRequest {
    pub hold: HoldKey,
    pub order_version: u32,
    pub quantity: Quantity,
    pub partial: bool,
    /// Locations that the units may come from, at most: the SKU's share of [`limits::MAX_ALLOCATIONS`].
    pub locations: usize,
    pub probe_at: Timestamp,
}

/// What the SKU answers to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum ReserveDecision {
    /// Units are held now, by this fact or, `None`, by an earlier one.
    Held(Option<StockFact>),
    Refused(ReserveRefusal),
}

/// Why a SKU does not meet a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveRefusal {
    /// Nobody ever stocked it.
    Unknown,
    Short {
        available: u64,
    },
    /// There are enough units, in more locations than the request may take from: `available` is what so many can give.
    TooManyLocations {
        available: u64,
    },
}

impl ReserveRefusal {
    /// What could have been had; `None` if nobody ever stocked the SKU.
    pub fn available(self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::Short { available } | Self::TooManyLocations { available } => Some(available),
        }
    }
}

/// What an order wants done with its hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HoldOp {
    Pin,
    Unpin,
    Commit,
    Release(ReleaseCause),
}

/// What the SKU does about it.
#[derive(Clone, Debug, PartialEq)]
pub enum HoldDecision {
    Do(StockFact),
    /// Done before, or overtaken by a later order_version.
    Done,
    /// A commit found no hold. Never happens while the protocol holds; it moves no stock and raises an alarm.
    Impossible,
}
