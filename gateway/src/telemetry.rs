//! What the process tells of itself: its log and its metrics.
//!
//! Invariant: nothing that serves waits for whoever reads them.

pub mod line_queue;
pub mod logs;
pub mod metrics;
pub mod reference;
mod sampling;
pub mod table;
pub mod tally;
pub mod window;
