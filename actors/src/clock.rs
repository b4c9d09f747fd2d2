//! The one clock of the process: wall time at the start, carried on by a monotonic clock.
//!
//! Invariant: never runs backwards, not even over a restart: it starts no earlier than the last record of the journal.

use holdfast_engine::time::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Timestamp,
    started: Instant,
}

impl Clock {
    /// Starts at wall time, or at `floor` if the wall clock is behind it.
    pub fn start(floor: Timestamp) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Self { base: wall.max(floor), started: Instant::now() }
    }

    pub fn now(&self) -> Timestamp {
        self.base.plus(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long to sleep until `at`, at least a millisecond.
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.since(self.now()).max(1))
    }
}
