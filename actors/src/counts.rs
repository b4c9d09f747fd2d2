//! What an engine has counted since it started, whatever shards did it: a shard that ends takes nothing along.
//!
//! Invariant: a count never falls.

use holdfast_engine::effect::EndedAttempts;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counts {
    captured: AtomicU64,
    declined: AtomicU64,
    voided: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    /// Payment attempts have ended.
    pub(crate) fn ended(&self, ended: EndedAttempts) {
        for (counter, count) in [(&self.captured, ended.captured), (&self.declined, ended.declined), (&self.voided, ended.voided)]
        {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// A request was refused for want of a credit, or because its client has its part of them in hand.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Payment attempts that ended.
    pub fn payments(&self) -> EndedAttempts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EndedAttempts { captured: count(&self.captured), declined: count(&self.declined), voided: count(&self.voided) }
    }

    /// Requests that were refused for want of a credit, or because their client had its part of them in hand.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
