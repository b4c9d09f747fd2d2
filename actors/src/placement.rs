//! Which shard hosts which partition, and how that changes while the engine runs.
//!
//! Invariants: a partition has one host at most, and one when no move of it is under way; a request is never dropped by a move: the host
//! that is to be keeps it until the partition is there. See docs/adr/0017.

pub mod handover;
pub mod layout;
pub mod operations;
pub mod stash;
