//! The real binary over time: stopping in order, holds that expire, money that comes late.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod expiry;
mod late;
mod memory;
mod stopping;
