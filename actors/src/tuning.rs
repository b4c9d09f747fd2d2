//! What can be changed while the engine runs.
//!
//! Invariant: a value is read where it is used, so a change counts from the next use on; nothing that is in hand is taken back.

use arc_swap::ArcSwap;
use holdfast_engine::time::Policy;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The values of [`crate::Options`] that can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    pub credits: usize,
    pub client_percent: u8,
    pub snapshot_events: u64,
    pub batch_bytes: usize,
    pub commits_in_flight: usize,
    pub provider_timeout: Duration,
    pub policy: Policy,
}

/// The values that shards and their helpers read. Credits and shares are where they are taken.
#[derive(Debug)]
pub struct Tuning {
    snapshot_events: AtomicU64,
    batch_bytes: AtomicUsize,
    commits_in_flight: AtomicUsize,
    provider_timeout_ms: AtomicU64,
    policy: ArcSwap<Policy>,
}

impl Tuning {
    pub fn new(knobs: &Knobs) -> Self {
        let tuning = Self {
            snapshot_events: AtomicU64::new(0),
            batch_bytes: AtomicUsize::new(0),
            commits_in_flight: AtomicUsize::new(0),
            provider_timeout_ms: AtomicU64::new(0),
            policy: ArcSwap::from_pointee(knobs.policy.clone()),
        };
        tuning.set(knobs);
        tuning
    }

    pub(crate) fn set(&self, knobs: &Knobs) {
        let timeout = u64::try_from(knobs.provider_timeout.as_millis()).unwrap_or(u64::MAX);
        self.snapshot_events.store(knobs.snapshot_events, Ordering::Relaxed);
        self.batch_bytes.store(knobs.batch_bytes, Ordering::Relaxed);
        // None would be submitted without one.
        self.commits_in_flight.store(knobs.commits_in_flight.max(1), Ordering::Relaxed);
        self.provider_timeout_ms.store(timeout, Ordering::Relaxed);
        self.policy.store(Arc::new(knobs.policy.clone()));
    }

    /// Events of a partition between two snapshots, at least.
    pub fn snapshot_events(&self) -> u64 {
        self.snapshot_events.load(Ordering::Relaxed)
    }

    /// A batch larger than this is submitted before the inbox is read on.
    pub fn batch_bytes(&self) -> usize {
        self.batch_bytes.load(Ordering::Relaxed)
    }

    /// Batches on their way to each log. What comes meanwhile gathers in the next, where it costs less.
    pub fn commits_in_flight(&self) -> usize {
        self.commits_in_flight.load(Ordering::Relaxed)
    }

    /// How long a call to a provider may take.
    pub fn provider_timeout(&self) -> Duration {
        Duration::from_millis(self.provider_timeout_ms.load(Ordering::Relaxed))
    }

    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }
}
