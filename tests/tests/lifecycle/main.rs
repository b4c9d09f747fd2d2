//! The real binary over time: starting, stopping in order, its memory, its log, its clocks and what others put beside its data; holds that
//! expire, money that comes late.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backup;
mod bodies;
mod clocks;
mod discretion;
mod earlier;
mod expiry;
mod late;
mod logs;
mod memory;
mod moments;
mod names;
mod newer;
mod starting;
mod stopping;
