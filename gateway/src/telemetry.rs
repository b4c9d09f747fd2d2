//! What the process tells of itself: its log, its metrics and its traces.
//!
//! Invariant: nothing that serves waits for whoever reads them.

mod buckets;
pub mod line_queue;
pub mod logs;
pub mod metrics;
#[cfg(feature = "otel")]
pub mod otlp;
pub mod reference;
mod sampling;
pub mod table;
pub mod tally;
pub mod traces;
pub mod window;
