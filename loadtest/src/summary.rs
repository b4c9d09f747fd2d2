//! What a run came to, as it is written to `summary.json`. Report and comparison read nothing else.
//!
//! Invariant: `schema` grows when a reader of the one before would misread it.

use crate::audit::Audit;
use crate::machine::Machine;
use crate::record::{CLASSES, Class, Operation, Record};
use crate::sampler::Sample;
use crate::scenario::{Scenario, Shape};
use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

pub const SCHEMA: u32 = 1;
pub const FILE: &str = "summary.json";
/// Who sends these is refused for what he is or how he asks, whatever there is in stock.
const MISFITS: [&str; 9] = ["400", "401", "403", "404", "413", "415", "421", "429", "503 paused"];
/// Later than this, in microseconds, one buyer of a hundred makes a run invalid.
const LATE: u64 = 10_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    pub schema: u32,
    pub scenario: Scenario,
    pub started: String,
    /// From the first order due to the last answer.
    pub seconds: f64,
    /// What served: its version if it was started for the run, or its address.
    pub server: String,
    pub machine: Machine,
    /// Why its figures cannot be believed.
    pub invalid: Vec<String>,
    /// Limits of the scenario that were broken.
    pub broken: Vec<String>,
    pub audit: Audit,
    pub totals: Totals,
    /// Answers by what was asked.
    pub answers: BTreeMap<Operation, BTreeMap<String, u64>>,
    pub latencies: Vec<Latency>,
    /// How late the generator was.
    pub lateness: Percentiles,
    pub by_second: Vec<BySecond>,
    pub samples: Vec<Sample>,
    /// What else is to be told: a restart, a measured capacity, where a ramp broke.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    pub due: u64,
    pub dropped: u64,
    pub accepted: u64,
    pub refused: u64,
    pub turned_away: u64,
    pub failed: u64,
    /// Orders accepted a second.
    pub goodput: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub operation: Operation,
    pub class: Class,
    pub percentiles: Percentiles,
    /// The whole distribution, to draw it: (percentile, microseconds).
    pub curve: Vec<(f64, u64)>,
}

/// In microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    pub count: u64,
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BySecond {
    pub due: u64,
    /// Answers that came in it: accepted, refused, turned away, failed.
    pub done: [u64; 4],
    /// The generator's lateness at most, in microseconds.
    pub late: u64,
    /// Latencies of accepted orders that were due in it: (microseconds, how many).
    pub latency: Vec<(u64, u64)>,
}

impl Percentiles {
    pub fn of<C: Counter>(histogram: &Histogram<C>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
        Self { count: histogram.len(), mean: histogram.mean(), p50, p90, p99, p999, max: histogram.max() }
    }
}

fn curve(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    histogram.iter_quantiles(4).map(|step| (step.quantile_iterated_to() * 100.0, step.value_iterated_to())).collect()
}

impl BySecond {
    /// A percentile of one second, in microseconds.
    pub fn percentile(&self, percentile: f64) -> Option<u64> {
        percentile_of(&self.latency, percentile)
    }
}

/// Of (value, how many) with rising values.
pub fn percentile_of(counts: &[(u64, u64)], percentile: f64) -> Option<u64> {
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let rank = ((total as f64 * percentile / 100.0).ceil() as u64).max(1);
    let mut sum = 0;
    counts.iter().find_map(|(value, count)| {
        sum += count;
        (sum >= rank).then_some(*value)
    })
}

impl Totals {
    pub fn of(record: &Record, seconds: f64) -> Self {
        let [accepted, refused, turned_away, failed] = CLASSES.map(|class| record.count(class));
        let due = record.seconds.iter().map(|second| second.due).sum();
        Self { due, dropped: record.dropped, accepted, refused, turned_away, failed, goodput: accepted as f64 / seconds }
    }

    /// Share of orders that came to nothing that the server had decided.
    pub fn failed_share(&self) -> f64 {
        (self.turned_away + self.failed + self.dropped) as f64 / (self.due.max(1)) as f64
    }
}

impl Summary {
    pub fn is_ok(&self) -> bool {
        self.audit.findings.is_empty() && self.broken.is_empty()
    }

    /// # Errors
    /// If there is none in the directory, or it is of another schema.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let failed = |error: String| format!("{}: {error}", file.display());
        let text = std::fs::read(&file).map_err(|error| failed(error.to_string()))?;
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        if value["schema"] != SCHEMA {
            return Err(failed(format!("its schema is {}, this program reads {SCHEMA}", value["schema"])));
        }
        serde_json::from_value(value).map_err(|error| failed(error.to_string()))
    }

    pub fn latency(&self, operation: Operation, class: Class) -> Option<&Latency> {
        self.latencies.iter().find(|latency| latency.operation == operation && latency.class == class)
    }

    /// Limits of the scenario that the run broke, `capacity` orders a second being what was measured to be taken.
    pub fn broken_limits(&self, capacity: Option<f64>) -> Vec<String> {
        let (limits, totals) = (&self.scenario.limits, &self.totals);
        let slower = |class: Class, limit: Option<f64>| {
            let (limit, p99) = (limit?, self.latency(Operation::Place, class)?.percentiles.p99 as f64 / 1000.0);
            (p99 > limit).then(|| format!("p99 of orders that were {} is {p99:.1} ms, the limit is {limit} ms", class.name()))
        };
        let failed = limits.failed.filter(|limit| totals.failed_share() > *limit);
        let failed = failed
            .map(|limit| format!("{:.3} % of orders failed, the limit is {} %", totals.failed_share() * 100.0, limit * 100.0));
        let goodput = limits.goodput.zip(capacity).filter(|(least, capacity)| totals.goodput < least * capacity);
        let goodput = goodput.map(|(least, capacity)| {
            let share = totals.goodput / capacity;
            format!("goodput is {share:.2} of the {capacity:.0} orders/s that it takes, the limit is {least}")
        });
        let drift = limits.drift.zip(self.drift()).filter(|(limit, drift)| drift > limit);
        let drift =
            drift.map(|(limit, drift)| format!("p99 at the end is {drift:.2} of that at the beginning, the limit is {limit}"));
        let growth = limits.growth_mb.zip(self.growth_mb()).filter(|(limit, growth)| growth > limit);
        let growth = growth.map(|(limit, growth)| format!("memory grew by {growth:.0} MB, the limit is {limit} MB"));
        let slow = [
            slower(Class::Accepted, limits.p99_ms),
            slower(Class::Refused, limits.refused_p99_ms),
            slower(Class::TurnedAway, limits.turned_away_p99_ms),
        ];
        slow.into_iter().chain([failed, goodput, drift, growth]).flatten().collect()
    }

    /// p99 of the last quarter of the run, of that of the first.
    fn drift(&self) -> Option<f64> {
        let quarter = self.by_second.len() / 4;
        let p99 = |seconds: &[BySecond]| {
            let mut counts = BTreeMap::new();
            let all = seconds.iter().flat_map(|second| &second.latency);
            all.for_each(|(value, count)| *counts.entry(*value).or_insert(0) += count);
            percentile_of(&counts.into_iter().collect::<Vec<_>>(), 99.0)
        };
        let (first, last) = (p99(&self.by_second[..quarter])?, p99(&self.by_second[self.by_second.len() - quarter..])?);
        Some(last as f64 / first as f64)
    }

    /// Memory of the server at the end beyond that after a quarter of the run, when it is warm.
    fn growth_mb(&self) -> Option<f64> {
        let warm = self.samples.get(self.samples.len() / 4)?.resident?;
        Some((self.samples.last()?.resident? as f64 - warm as f64) / 1e6)
    }
}

pub fn latencies(record: &Record) -> Vec<Latency> {
    let all = record.latencies.iter();
    all.map(|((operation, class), histogram)| Latency {
        operation: *operation,
        class: *class,
        percentiles: Percentiles::of(histogram),
        curve: curve(histogram),
    })
    .collect()
}

pub fn by_second(record: &Record) -> Vec<BySecond> {
    let second = |second: &crate::record::Second| BySecond {
        due: second.due,
        done: second.done,
        late: second.late,
        latency: second.latency.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value().into())).collect(),
    };
    record.seconds.iter().map(second).collect()
}

/// Why the figures of a run cannot be believed.
pub fn invalid(scenario: &Scenario, totals: &Totals, lateness: &Percentiles) -> Vec<String> {
    let open = matches!(scenario.load.shape, Shape::Constant | Shape::Ramp | Shape::Spike);
    let late = open && lateness.p99 > LATE;
    let late = late
        .then(|| format!("the generator was late: one buyer of a hundred by more than {:.0} ms", lateness.p99 as f64 / 1000.0));
    let dropped = (totals.dropped > 0).then(|| format!("{} buyers did not come: too many were there already", totals.dropped));
    late.into_iter().chain(dropped).collect()
}

/// Answers to orders that no buyer gets whose load fits the server: what such a run measures is how fast buyers are refused.
pub fn misfits(answers: &BTreeMap<Operation, BTreeMap<String, u64>>) -> Vec<String> {
    let answers = [Operation::Place, Operation::Again].into_iter().filter_map(|operation| answers.get(&operation)).flatten();
    let misfits = answers.filter(|(answer, _)| MISFITS.iter().any(|misfit| answer.starts_with(misfit)));
    misfits.map(|(answer, count)| format!("{count} orders were answered {answer}: the load does not fit the server")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_whose_orders_are_refused_for_how_they_are_sent_does_not_fit() {
        for (answer, misfits) in [
            ("201", false),
            ("409 out_of_stock", false),
            ("422 idempotency_key_reused", false),
            ("503 overloaded", false),
            ("connection reset", false),
            ("400 invalid_request", true),
            ("401 unauthorized", true),
            ("429 rate_limited", true),
            ("503 paused", true),
        ] {
            let answers = BTreeMap::from([(Operation::Place, BTreeMap::from([(answer.to_owned(), 7)]))]);
            let expected = misfits.then(|| format!("7 orders were answered {answer}: the load does not fit the server"));
            assert_eq!(super::misfits(&answers), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
