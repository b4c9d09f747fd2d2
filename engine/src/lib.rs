//! The pure core of Holdfast: an order and inventory engine that never sells a unit twice.
//!
//! No IO, clock, randomness, thread or float is in here: time and ids arrive in the input, effects leave as values.
//! Read in this order: [`event`] (what can happen), [`stock`] and [`order`] (the rules: `decide` refuses, `evolve`
//! cannot fail), [`partition`] (the machine that hosts them), [`audit`] (a second opinion on the result).

#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic, clippy::match_wildcard_for_single_variants)]
// A new fact breaks the build wherever a rule reads facts. Tests may pick the variants they are about.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

pub mod answer;
pub mod audit;
pub mod buckets;
mod bytes;
pub mod codec;
pub mod command;
pub mod effect;
pub mod event;
pub mod filter;
mod fingerprint;
pub mod ids;
pub mod invariants;
pub mod limits;
pub mod order;
pub mod partition;
mod payment;
pub mod plant;
pub mod protocol;
pub mod quantity;
pub mod rejection;
mod status;
pub mod stock;
pub mod time;

pub use partition::{Causality, Input, Partition, ProviderResult};

/// Hash map with a fixed seed: the same run twice is the same run. Never iterated where order could be seen.
#[expect(clippy::disallowed_types, reason = "the one place that gives the map its fixed hasher")]
pub type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;
