//! What an engine has counted since it started, whatever shards did it: a shard that ends takes nothing along.
//!
//! Invariant: a count never falls.

use crate::unanswered::Unanswered;
use holdfast_engine::effect::EndedAttempts;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counts {
    captured: AtomicU64,
    declined: AtomicU64,
    voided: AtomicU64,
    overloaded: AtomicU64,
    over_share: AtomicU64,
}

impl Counts {
    /// Payment attempts have ended.
    pub(crate) fn ended(&self, ended: EndedAttempts) {
        for (counter, count) in [(&self.captured, ended.captured), (&self.declined, ended.declined), (&self.voided, ended.voided)]
        {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// A request was refused for this reason.
    pub(crate) fn refuse(&self, why: Unanswered) {
        let counter = if why == Unanswered::ShareTaken { &self.over_share } else { &self.overloaded };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Payment attempts that ended.
    pub fn payments(&self) -> EndedAttempts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EndedAttempts { captured: count(&self.captured), declined: count(&self.declined), voided: count(&self.voided) }
    }

    /// Requests that were refused for want of a credit.
    pub fn overloaded(&self) -> u64 {
        self.overloaded.load(Ordering::Relaxed)
    }

    /// Requests that were refused because their client had its share of the credits in hand.
    pub fn over_share(&self) -> u64 {
        self.over_share.load(Ordering::Relaxed)
    }
}
