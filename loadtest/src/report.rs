//! What came of a run: outcomes counted, latencies in a histogram, violations in words.

use crate::http::Answer;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest latency the histogram can tell apart, in microseconds.
const LONGEST: u64 = 60_000_000;

pub(crate) struct Outcome {
    /// Which SKU or buyer it was about.
    pub(crate) label: usize,
    pub(crate) answer: Result<Answer, String>,
    /// From when it was due.
    pub(crate) latency: Duration,
}

#[derive(Default)]
pub(crate) struct Outcomes {
    /// `201`, `409 out_of_stock`, `connection reset`, …
    pub(crate) counts: BTreeMap<String, u64>,
    /// Accepted requests by label.
    pub(crate) accepted: BTreeMap<usize, u64>,
    /// Requests without an answer by label: they may have happened.
    pub(crate) unknown: BTreeMap<usize, u64>,
    pub(crate) took: Duration,
    latencies: Option<Histogram<u64>>,
}

pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) outcomes: Outcomes,
    /// What else was counted.
    pub(crate) beside: Vec<(String, u64)>,
    pub(crate) violations: Vec<String>,
}

impl Outcomes {
    pub(crate) fn add(&mut self, Outcome { label, answer, latency }: Outcome) {
        let name = match &answer {
            Ok(Answer { status, body }) => match body["code"].as_str() {
                Some(code) => format!("{status} {code}"),
                None => status.to_string(),
            },
            Err(error) => error.clone(),
        };
        *self.counts.entry(name).or_default() += 1;
        match answer {
            Ok(Answer { status: 201, .. }) => *self.accepted.entry(label).or_default() += 1,
            Ok(Answer { status: 202, .. }) | Err(_) => *self.unknown.entry(label).or_default() += 1,
            Ok(_) => {}
        }
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST);
        let histogram = self.latencies.take().or_else(|| Histogram::new_with_bounds(1, LONGEST, 3).ok());
        self.latencies = histogram.map(|mut histogram| {
            histogram.saturating_record(micros);
            histogram
        });
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// In milliseconds.
    pub(crate) fn percentile(&self, percentile: f64) -> f64 {
        self.latencies.as_ref().map_or(0.0, |histogram| histogram.value_at_percentile(percentile) as f64 / 1000.0)
    }

    /// Percentiles in milliseconds.
    fn latencies(&self) -> Vec<(&'static str, f64)> {
        let shown = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];
        shown.map(|(name, percentile)| (name, self.percentile(percentile))).into()
    }
}

impl Report {
    pub(crate) fn json(&self) -> String {
        let latencies: BTreeMap<&str, f64> = self.outcomes.latencies().into_iter().collect();
        let beside: BTreeMap<&str, u64> = self.beside.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let shown: Value = json!({
            "scenario": self.scenario,
            "ok": self.violations.is_empty(),
            "requests": self.outcomes.total(),
            "seconds": self.outcomes.took.as_secs_f64(),
            "outcomes": self.outcomes.counts,
            "latency_ms": latencies,
            "beside": beside,
            "violations": self.violations,
        });
        shown.to_string()
    }

    pub(crate) fn text(&self) -> String {
        let seconds = self.outcomes.took.as_secs_f64();
        let mut lines = vec![format!("{}: {} requests in {seconds:.2} s", self.scenario, self.outcomes.total())];
        lines.extend(self.outcomes.counts.iter().map(|(name, count)| format!("  {count:>9}  {name}")));
        let latencies: Vec<String> = self.outcomes.latencies().iter().map(|(name, ms)| format!("{name} {ms:.2}")).collect();
        lines.push(format!("  latency from the time due, ms: {}", latencies.join("  ")));
        lines.extend(self.beside.iter().map(|(name, count)| format!("  {count:>9}  {name}")));
        match self.violations.as_slice() {
            [] if self.scenario == "fairness" => lines.push("  every client had its share".to_owned()),
            [] => lines.push("  audit: nothing oversold, every invariant holds".to_owned()),
            violations => lines.extend(violations.iter().map(|violation| format!("  VIOLATION {violation}"))),
        }
        lines.join("\n")
    }
}
