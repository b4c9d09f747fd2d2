//! Bytes of the rejections that are stored under keys.
//!
//! Invariant: both lists are frozen, and encoded by position: new ones go last. What is not in a list binds no key, so that writing it is
//! our fault.

use crate::ids::Sku;
use crate::rejection::{HoldLimit, Rejection, Shortage};
use crate::status::{Kind, Status};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Of an adjustment.
#[derive(Serialize, Deserialize)]
pub(crate) enum Adjustment {
    UnknownSku(Sku),
    Short(Shortage),
    TooMany,
    BelowTaken { taken: u64, count: i64 },
}

/// Of any other command.
#[derive(Serialize, Deserialize)]
pub(crate) enum Refused {
    /// The order or reservation is past that, by the name of its state.
    State {
        kind: Kind,
        state: String,
    },
    Expired,
    BelowTaken {
        taken: u64,
        count: i64,
    },
    TooMany,
    HoldLimit(HoldLimit),
}

pub(super) fn write<'a, L, S>(rejection: &'a Rejection, serializer: S) -> Result<S::Ok, S::Error>
where
    L: TryFrom<&'a Rejection, Error = &'static str> + Serialize,
    S: Serializer,
{
    L::try_from(rejection).map_err(S::Error::custom)?.serialize(serializer)
}

pub(super) fn read<'de, L, D>(deserializer: D) -> Result<Rejection, D::Error>
where
    L: Deserialize<'de>,
    Rejection: TryFrom<L, Error = &'static str>,
    D: Deserializer<'de>,
{
    L::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
}

const BINDS_NO_KEY: &str = "a rejection that binds no key";

impl TryFrom<&Rejection> for Adjustment {
    type Error = &'static str;

    fn try_from(rejection: &Rejection) -> Result<Self, Self::Error> {
        match rejection {
            Rejection::UnknownSku(sku) => Ok(Self::UnknownSku(sku.clone())),
            Rejection::Short(shortage) => Ok(Self::Short(shortage.clone())),
            Rejection::TooMany => Ok(Self::TooMany),
            Rejection::BelowTaken { taken, count } => Ok(Self::BelowTaken { taken: *taken, count: *count }),
            Rejection::NotFound | Rejection::KeyReused | Rejection::KeyInProgress => Err(BINDS_NO_KEY),
            Rejection::InvalidTransition { .. } | Rejection::ReservationExpired | Rejection::HoldLimit(_) => Err(BINDS_NO_KEY),
            Rejection::VersionMismatch { .. } | Rejection::LocationInUse { .. } | Rejection::HoldTooLong { .. } => {
                Err(BINDS_NO_KEY)
            }
        }
    }
}

impl TryFrom<Adjustment> for Rejection {
    type Error = &'static str;

    fn try_from(stored: Adjustment) -> Result<Self, Self::Error> {
        Ok(match stored {
            Adjustment::UnknownSku(sku) => Self::UnknownSku(sku),
            Adjustment::Short(shortage) => Self::Short(shortage),
            Adjustment::TooMany => Self::TooMany,
            Adjustment::BelowTaken { taken, count } => Self::BelowTaken { taken, count },
        })
    }
}

impl TryFrom<&Rejection> for Refused {
    type Error = &'static str;

    fn try_from(rejection: &Rejection) -> Result<Self, Self::Error> {
        match rejection {
            Rejection::InvalidTransition { kind, status } => {
                Ok(Self::State { kind: *kind, state: status.name(*kind).to_owned() })
            }
            Rejection::ReservationExpired => Ok(Self::Expired),
            Rejection::BelowTaken { taken, count } => Ok(Self::BelowTaken { taken: *taken, count: *count }),
            Rejection::TooMany => Ok(Self::TooMany),
            Rejection::HoldLimit(limit) => Ok(Self::HoldLimit(*limit)),
            Rejection::NotFound | Rejection::UnknownSku(_) | Rejection::KeyReused | Rejection::KeyInProgress => Err(BINDS_NO_KEY),
            Rejection::VersionMismatch { .. } | Rejection::LocationInUse { .. } | Rejection::Short(_) => Err(BINDS_NO_KEY),
            Rejection::HoldTooLong { .. } => Err(BINDS_NO_KEY),
        }
    }
}

impl TryFrom<Refused> for Rejection {
    type Error = &'static str;

    fn try_from(stored: Refused) -> Result<Self, Self::Error> {
        Ok(match stored {
            Refused::State { kind, state } => {
                let status = Status::named(kind, &state).ok_or("no state has this name")?;
                Self::InvalidTransition { kind, status }
            }
            Refused::Expired => Self::ReservationExpired,
            Refused::BelowTaken { taken, count } => Self::BelowTaken { taken, count },
            Refused::TooMany => Self::TooMany,
            Refused::HoldLimit(limit) => Self::HoldLimit(limit),
        })
    }
}
