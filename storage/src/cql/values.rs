//! Numbers of the journal as CQL has them, which knows signed ones only.

use crate::fencing::Owner;
use uuid::Uuid;

/// Sequence numbers and epochs grow by one and never come near the end.
pub(super) fn big(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn small(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

pub(super) fn uuid(owner: Owner) -> Uuid {
    Uuid::from_u128(owner.0)
}
