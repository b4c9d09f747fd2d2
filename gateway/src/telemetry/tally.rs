//! What the gauges of the last minute are made of: how many answers there were, how they ended and how long they took.
//!
//! Invariant: an answer costs one addition here, two if it failed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest latency of each bucket in microseconds, each a fifth more than the one before: from 50 µs to more than a minute.
const BOUNDS: [u64; 78] = bounds();

/// Buckets of latencies; what took longer than the last bound is in the last.
pub const BUCKETS: usize = BOUNDS.len() + 1;

const fn bounds() -> [u64; 78] {
    let (mut bounds, mut at) = ([50; 78], 1);
    while at < bounds.len() {
        bounds[at] = bounds[at - 1] * 6 / 5;
        at += 1;
    }
    bounds
}

/// The answers of this process.
pub static ANSWERS: Tally = Tally::new();

/// Counts since the start of the process.
#[derive(Debug)]
pub struct Tally {
    /// Of API routes, by bucket.
    latencies: [AtomicU64; BUCKETS],
    /// Of other routes.
    others: AtomicU64,
    errors: AtomicU64,
    refusals: AtomicU64,
    orders: AtomicU64,
}

/// A [`Tally`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    pub latencies: [u64; BUCKETS],
    /// All of them, whatever the route; probes are not counted at all.
    pub all: u64,
    /// With a status of 500 or more.
    pub errors: u64,
    /// Those of them with 503.
    pub refusals: u64,
    /// Orders that were accepted, retries left out.
    pub orders: u64,
}

impl Tally {
    pub(crate) const fn new() -> Self {
        Self {
            latencies: [const { AtomicU64::new(0) }; BUCKETS],
            others: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            orders: AtomicU64::new(0),
        }
    }

    /// An answer of a route, which is one of the API or not.
    pub fn answered(&self, api: bool, status: u16, took: Duration) {
        let counter = if api { &self.latencies[bucket(took)] } else { &self.others };
        counter.fetch_add(1, Ordering::Relaxed);
        if status >= 500 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if status == 503 {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn accepted_an_order(&self) {
        self.orders.fetch_add(1, Ordering::Relaxed);
    }

    pub fn now(&self) -> Answers {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let latencies = std::array::from_fn(|at| count(&self.latencies[at]));
        let all = latencies.iter().sum::<u64>() + count(&self.others);
        let (errors, refusals, orders) = (count(&self.errors), count(&self.refusals), count(&self.orders));
        Answers { latencies, all, errors, refusals, orders }
    }
}

impl Answers {
    pub const NONE: Self = Self { latencies: [0; BUCKETS], all: 0, errors: 0, refusals: 0, orders: 0 };

    /// What came since.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            latencies: std::array::from_fn(|at| self.latencies[at].saturating_sub(before.latencies[at])),
            all: self.all.saturating_sub(before.all),
            errors: self.errors.saturating_sub(before.errors),
            refusals: self.refusals.saturating_sub(before.refusals),
            orders: self.orders.saturating_sub(before.orders),
        }
    }

    /// The latency in seconds that so many percent of the answers did not exceed, 0 if there were none. Inside a bucket they are taken
    /// to be spread evenly.
    pub fn latency(&self, percent: u64) -> f64 {
        let count: u64 = self.latencies.iter().sum();
        let mut rank = (count * percent).div_ceil(100);
        for (at, in_bucket) in self.latencies.iter().enumerate().filter(|(_, in_bucket)| **in_bucket > 0) {
            if rank <= *in_bucket {
                let low = at.checked_sub(1).map_or(0, |below| BOUNDS[below]) as f64;
                let high = BOUNDS.get(at).map_or(low, |bound| *bound as f64);
                return (low + (high - low) * rank as f64 / *in_bucket as f64) / 1e6;
            }
            rank -= in_bucket;
        }
        0.0
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    BOUNDS.partition_point(|bound| *bound < micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(latencies: &[u64]) -> Answers {
        let tally = Tally::new();
        latencies.iter().for_each(|millis| tally.answered(true, 201, Duration::from_millis(*millis)));
        tally.now()
    }

    #[test]
    fn a_percentile_is_within_a_fifth_of_the_latency_it_stands_for() {
        assert!(BOUNDS[77] > 60_000_000, "{}", BOUNDS[77]);
        let ladder: Vec<u64> = (1..=100).collect();
        for (latencies, percent, expected) in [
            (&ladder[..], 95, 0.095),
            (&ladder, 50, 0.05),
            (&[7], 95, 0.007),
            (&[1, 1, 1, 9_000], 95, 9.0),
            (&[1, 1, 1, 9_000], 75, 0.001),
        ] {
            let found = millis(latencies).latency(percent);
            assert!((found / expected - 1.0).abs() < 0.2, "p{percent} of {latencies:?}: {found}");
        }
        assert_eq!(millis(&[]).latency(95), 0.0);
        assert!(millis(&[3_600_000]).latency(95) > 60.0, "an hour is in the last bucket");
    }

    #[test]
    fn answers_are_counted_by_how_they_ended_and_what_came_since_is_the_difference() {
        let tally = Tally::new();
        tally.answered(true, 201, Duration::ZERO);
        let before = tally.now();
        for (api, status) in [(true, 201), (false, 200), (true, 503), (false, 500), (true, 409)] {
            tally.answered(api, status, Duration::ZERO);
        }
        tally.accepted_an_order();
        let Answers { latencies, all, errors, refusals, orders } = tally.now().since(&before);
        assert_eq!((latencies[0], all, errors, refusals, orders), (3, 5, 2, 1, 1));
    }
}
