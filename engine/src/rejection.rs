//! Why a command was refused: an answer to the caller, not a failure of ours.

use crate::event::{Buckets, HoldLimit, Kind};
use crate::status::Status;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    NotFound,
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
    /// A location that is to be closed still counts units.
    LocationInUse {
        buckets: Buckets,
    },
    /// A bucket or a list is at its limit.
    TooMany,
    /// The hold cannot be extended so far, or once more.
    HoldLimit(HoldLimit),
}
