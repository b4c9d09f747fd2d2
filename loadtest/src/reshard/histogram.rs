//! What the histograms of `/metrics` counted in a time.
//!
//! Invariant: a percentile is never below that of what was measured by more than its bucket is wide.

use crate::http::Target;
use std::collections::BTreeMap;

const PAUSE: &str = "holdfast_partition_move_pause_seconds";
const COMMIT: &str = "holdfast_journal_sync_seconds";

/// By the end of each bucket in seconds, how many were no longer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Histogram(Vec<(f64, f64)>);

#[derive(Clone, Debug, Default)]
pub(super) struct Histograms {
    /// Of partitions that moved.
    pub(super) pause: Histogram,
    pub(super) commit: Histogram,
}

impl Histograms {
    pub(super) async fn of(target: &Target) -> Result<Self, String> {
        let asked = async { target.connect().await?.send(&target.request("GET", "/metrics", "", "")).await };
        let answer = asked.await.map_err(|error| format!("/metrics: {error}"))?;
        let text = String::from_utf8_lossy(&answer.body);
        Ok(Self { pause: Histogram::read(&text, PAUSE), commit: Histogram::read(&text, COMMIT) })
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        Self { pause: self.pause.since(&before.pause), commit: self.commit.since(&before.commit) }
    }
}

impl Histogram {
    fn read(text: &str, name: &str) -> Self {
        let bucket = |line: &str| {
            let (end, count) = line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?.split_once("\"} ")?;
            Some((end.parse::<f64>().ok()?, count.trim().parse::<f64>().ok()?))
        };
        let mut buckets: Vec<(f64, f64)> = text.lines().filter_map(bucket).collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        Self(buckets)
    }

    fn since(&self, before: &Self) -> Self {
        let before: BTreeMap<u64, f64> = before.0.iter().map(|(end, count)| (end.to_bits(), *count)).collect();
        let grown = |(end, count): &(f64, f64)| (*end, count - before.get(&end.to_bits()).copied().unwrap_or_default());
        Self(self.0.iter().map(grown).collect())
    }

    /// In milliseconds; inside a bucket they are taken for evenly spread. None: nothing was counted.
    pub(super) fn percentile(&self, percentile: f64) -> Option<f64> {
        let all = self.0.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let rank = (all * percentile / 100.0).ceil();
        let at = self.0.iter().position(|(_, count)| *count >= rank)?;
        let (begin, below) = at.checked_sub(1).map_or((0.0, 0.0), |before| self.0[before]);
        let (end, upto) = self.0[at];
        // What is longer than the last bucket is at least as long as that.
        let end = if end.is_finite() { end } else { begin };
        Some(1000.0 * (begin + (end - begin) * (rank - below) / (upto - below)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE holdfast_partition_move_pause_seconds histogram
holdfast_partition_move_pause_seconds_bucket{le=\"0.001\"} 90
holdfast_partition_move_pause_seconds_bucket{le=\"0.002\"} 98
holdfast_partition_move_pause_seconds_bucket{le=\"0.004\"} 100
holdfast_partition_move_pause_seconds_bucket{le=\"+Inf\"} 100
holdfast_partition_move_pause_seconds_sum 0.1
holdfast_partition_move_pause_seconds_count 100
";

    fn read() -> Histogram {
        Histogram::read(TEXT, PAUSE)
    }

    #[test]
    fn a_percentile_lies_in_the_bucket_that_reaches_its_rank() {
        let near = |percentile, expected: f64| {
            let found = read().percentile(percentile).unwrap_or_else(|| panic!("{percentile}"));
            assert!((found - expected).abs() < 1e-9, "p{percentile} is {found}");
        };
        near(45.0, 0.5);
        near(98.0, 2.0);
        near(99.0, 3.0);
        near(100.0, 4.0);
    }

    #[test]
    fn what_is_longer_than_every_bucket_is_as_long_as_the_last_at_least() {
        let longer = Histogram::read(&TEXT.replace("le=\"0.004\"} 100", "le=\"0.004\"} 98"), PAUSE);
        assert_eq!(longer.percentile(99.0), Some(4.0));
    }

    #[test]
    fn only_what_was_counted_since_counts() {
        assert_eq!(read().since(&read()).percentile(99.0), None);
        assert_eq!(read().since(&Histogram::default()), read());
        assert_eq!(Histogram::read(TEXT, COMMIT).percentile(99.0), None);
    }
}
