//! The real binary over time: stopping in order, holds that expire, money that comes late, clocks that are wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bodies;
mod clocks;
mod earlier;
mod expiry;
mod late;
mod logs;
mod memory;
mod moments;
mod stopping;
