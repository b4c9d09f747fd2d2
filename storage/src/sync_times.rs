//! How long the last commits took, for whoever looks at the disk.
//!
//! Invariant: what is kept is of the last seconds, and does not grow with the number of commits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How far back commits are looked at.
const SPAN: Duration = Duration::from_secs(10);
/// Commits that are kept at most.
const KEPT: usize = 4096;

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SyncTimes(Arc<Mutex<VecDeque<(Instant, Duration)>>>);

/// The commits of the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Syncs {
    pub count: usize,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// The share of the time in which one was under way, of all logs together: 1 is back to back.
    pub busy: f64,
}

impl SyncTimes {
    /// A commit that began then has ended now.
    pub(crate) fn record(&self, began: Instant, took: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() == KEPT {
            times.pop_front();
        }
        times.push_back((began, took));
    }

    pub fn last(&self, now: Instant) -> Syncs {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.retain(|(began, _)| now.saturating_duration_since(*began) <= SPAN);
        let Some((first, _)) = times.front() else { return Syncs::default() };
        let passed = now.saturating_duration_since(*first).max(Duration::from_millis(1));
        let mut all: Vec<Duration> = times.iter().map(|(_, took)| *took).collect();
        let busy = all.iter().sum::<Duration>().as_secs_f64() / passed.as_secs_f64();
        all.sort_unstable();
        let p99 = all[(all.len() * 99).div_ceil(100) - 1];
        Syncs { count: all.len(), p99, busy: busy.min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commits_of_the_last_seconds_are_told_and_no_others() {
        let (times, start) = (SyncTimes::default(), Instant::now());
        assert_eq!(times.last(start), Syncs::default());
        let at = |millis| start + Duration::from_millis(millis);
        (0..100).for_each(|number| times.record(at(10 * number), Duration::from_millis(number / 10)));
        let syncs = times.last(at(1_000));
        assert_eq!((syncs.count, syncs.p99), (100, Duration::from_millis(9)));
        assert!((syncs.busy - 0.45).abs() < 0.001, "{syncs:?}");
        assert_eq!(times.last(at(10_500)).count, 50);
        assert_eq!(times.last(at(60_000)), Syncs::default());
    }
}
