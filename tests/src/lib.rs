//! The suites of Holdfast that need more than one crate. [`simulation`] runs the whole engine in one thread, from a seed.

pub mod brokers;
pub mod buyers;
pub mod cassandra;
pub mod faults;
pub mod relay_torture;
pub mod repertoire;
pub mod server;
pub mod simulation;
pub mod sink;
pub mod takeover;
pub mod topics;
pub mod torture;
