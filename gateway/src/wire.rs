//! Names, numbers, times and ids as they are written outside, and how JSON of them is read and written.
//!
//! Invariant: nothing of HTTP is here: events, Kafka and commands write them too.

pub mod figures;
pub mod ids;
pub mod json;
pub mod money;
pub mod names;
pub mod object;
pub mod origin;
pub mod scalars;
pub mod times;
