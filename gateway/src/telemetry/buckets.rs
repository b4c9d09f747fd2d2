//! The buckets that latencies are counted in.
//!
//! Invariants: a bucket ends at most a quarter above where it begins; each bound of `/metrics` is the end of one, so that what is counted
//! here is exactly what Prometheus is told.

use std::time::Duration;

/// Hundredths of a decade's first bound: each some fifth more than the one before.
const STEPS: [u64; 13] = [100, 120, 145, 175, 210, 250, 300, 360, 420, 500, 600, 710, 840];
/// From 10 µs to more than a minute.
const DECADES: usize = 7;
/// The longest latency of each bucket in nanoseconds.
const BOUNDS: [u64; STEPS.len() * DECADES] = bounds();

/// How many there are; what took longer than the last bound is in the last.
pub(super) const BUCKETS: usize = BOUNDS.len() + 1;

const fn bounds() -> [u64; STEPS.len() * DECADES] {
    let (mut bounds, mut at, mut unit) = ([0; STEPS.len() * DECADES], 0, 100);
    while at < bounds.len() {
        bounds[at] = STEPS[at % STEPS.len()] * unit;
        at += 1;
        if at.is_multiple_of(STEPS.len()) {
            unit *= 10;
        }
    }
    bounds
}

/// Where a latency is counted.
pub(super) fn bucket(nanos: u64) -> usize {
    BOUNDS.partition_point(|bound| *bound < nanos)
}

/// How many took so long at most. `seconds` is a bound of `/metrics`.
pub(super) fn within(latencies: &[u64; BUCKETS], seconds: f64) -> u64 {
    let bound = nanos(Duration::from_secs_f64(seconds));
    latencies.iter().zip(BOUNDS).take_while(|(_, end)| *end <= bound).map(|(count, _)| count).sum()
}

/// The latency in seconds that so many percent did not exceed, 0 if there were none. Inside a bucket they are taken to be spread evenly.
pub(super) fn percentile(latencies: &[u64; BUCKETS], percent: u64) -> f64 {
    let mut rank = (latencies.iter().sum::<u64>() * percent).div_ceil(100);
    for (at, in_bucket) in latencies.iter().enumerate().filter(|(_, in_bucket)| **in_bucket > 0) {
        if rank <= *in_bucket {
            let low = at.checked_sub(1).map_or(0, |below| BOUNDS[below]) as f64;
            let high = BOUNDS.get(at).map_or(low, |bound| *bound as f64);
            return (low + (high - low) * rank as f64 / *in_bucket as f64) / 1e9;
        }
        rank -= in_bucket;
    }
    0.0
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::SECONDS;

    fn millis(latencies: &[u64]) -> [u64; BUCKETS] {
        let mut counts = [0; BUCKETS];
        latencies.iter().for_each(|millis| counts[bucket(nanos(Duration::from_millis(*millis)))] += 1);
        counts
    }

    #[test]
    fn a_bucket_ends_a_quarter_above_where_it_begins_at_most() {
        assert!(BOUNDS.is_sorted_by(|one, next| one < next && next * 4 <= one * 5), "{BOUNDS:?}");
        assert!(BOUNDS.last().is_some_and(|last| *last > 60_000_000_000));
    }

    #[test]
    fn a_percentile_is_within_a_fifth_of_the_latency_it_stands_for() {
        let ladder: Vec<u64> = (1..=100).collect();
        for (latencies, percent, expected) in [
            (&ladder[..], 95, 0.095),
            (&ladder, 50, 0.05),
            (&[7], 95, 0.007),
            (&[1, 1, 1, 9_000], 95, 9.0),
            (&[1, 1, 1, 9_000], 75, 0.001),
        ] {
            let found = percentile(&millis(latencies), percent);
            assert!((found / expected - 1.0).abs() < 0.2, "p{percent} of {latencies:?}: {found}");
        }
        assert_eq!(percentile(&millis(&[]), 95), 0.0);
        assert!(percentile(&millis(&[3_600_000]), 95) > 60.0, "an hour is in the last bucket");
    }

    #[test]
    fn what_took_as_long_as_a_bound_of_the_metrics_is_within_it_and_nothing_longer_is() {
        for bound in SECONDS {
            let (at, beyond) = (nanos(Duration::from_secs_f64(*bound)), nanos(Duration::from_secs_f64(*bound)) + 1);
            let mut counts = [0; BUCKETS];
            counts[bucket(at)] += 1;
            counts[bucket(beyond)] += 1;
            assert_eq!(within(&counts, *bound), 1, "{bound} s");
        }
    }
}
