//! Which plots a report has.
//!
//! Invariant: a plot over time has at most [`MOST`] points a line, so that the page of an hour is no larger than that of some minutes.

use super::plot::{Across, Kind, Plot, Series, distance};
use super::text::short;
use crate::record::{CLASSES, Class, Operation};
use crate::sampler::Sample;
use crate::summary::{BySecond, Latency, Summary};
use std::collections::BTreeMap;

const MOST: usize = 300;

/// Seconds of a run, put together where there are many.
struct Spans {
    /// Seconds in one.
    length: usize,
    spans: Vec<BySecond>,
}

impl Spans {
    fn of(seconds: &[BySecond]) -> Self {
        let length = seconds.len().div_ceil(MOST).max(1);
        Self { length, spans: seconds.chunks(length).map(mean).collect() }
    }
}

/// Counts of a second in the mean, latencies of all.
fn mean(seconds: &[BySecond]) -> BySecond {
    let of_each = |count: u64| count / seconds.len() as u64;
    let mut latency = BTreeMap::new();
    let all = seconds.iter().flat_map(|second| &second.latency);
    all.for_each(|(value, count)| *latency.entry(*value).or_insert(0) += count);
    BySecond {
        due: of_each(seconds.iter().map(|second| second.due).sum()),
        done: CLASSES.map(|class| of_each(seconds.iter().map(|second| second.done[class as usize]).sum())),
        late: seconds.iter().map(|second| second.late).max().unwrap_or_default(),
        latency: latency.into_iter().collect(),
    }
}

pub(crate) fn all(summary: &Summary) -> Vec<Plot> {
    // What came after the last order was due are answers that were late.
    let last = summary.by_second.iter().rposition(|second| second.due > 0).map_or(0, |last| last + 1);
    let (seconds, answered) = (&Spans::of(&summary.by_second[..last]), &Spans::of(&summary.by_second));
    let few: Vec<Sample> = summary.samples.iter().step_by(summary.samples.len().div_ceil(MOST).max(1)).cloned().collect();
    let (samples, each) = (&few, &steps(&few));
    vec![
        percentiles(summary),
        latency(seconds),
        throughput(seconds),
        outcomes(answered),
        stock(samples),
        depth(samples),
        sampled(
            "Orders and holds in memory",
            "count",
            samples,
            &[("orders", |one| one.orders as f64), ("holds", |one| one.holds as f64)],
        ),
        sizes(&summary.samples),
        sampled("Commits", "a second", each, &[("commits", |one| one.commits)]),
        sampled("Events a commit", "mean of a second", each, &[("events", |one| ratio(one.commit_events, one.commits))]),
        sampled(
            "A commit with its sync",
            "ms, mean of a second",
            each,
            &[("commit", |one| ratio(one.sync_seconds * 1000.0, one.commits))],
        ),
        sampled("Memory of the server", "MB", samples, &[("resident", |one| one.resident.unwrap_or_default() as f64 / 1e6)]),
        sampled("Processor of the server", "cores", each, &[("cores", |one| one.cpu_seconds.unwrap_or_default())]),
        lateness(seconds),
    ]
}

fn ratio(of: f64, by: f64) -> f64 {
    if by > 0.0 { of / by } else { 0.0 }
}

fn series(name: impl Into<String>, points: impl Iterator<Item = (f64, f64)>) -> Series {
    Series { name: name.into(), points: points.collect() }
}

fn timed(seconds: &Spans, name: &str, of: impl Fn(&BySecond) -> f64) -> Series {
    series(name, seconds.spans.iter().enumerate().map(|(at, span)| ((at * seconds.length) as f64, of(span))))
}

/// From each sample to the next, a second: what is counted since the start of the server begins anew with another.
fn steps(samples: &[Sample]) -> Vec<Sample> {
    let pairs = samples.windows(2).map(|pair| (&pair[0], &pair[1]));
    pairs
        .filter(|(one, next)| next.second > one.second && next.commits >= one.commits)
        .map(|(one, next)| step(one, next))
        .collect()
}

fn step(one: &Sample, next: &Sample) -> Sample {
    let rate = |from: f64, to: f64| (to - from).max(0.0) / (next.second - one.second);
    Sample {
        second: next.second,
        commits: rate(one.commits, next.commits),
        commit_events: rate(one.commit_events, next.commit_events),
        sync_seconds: rate(one.sync_seconds, next.sync_seconds),
        cpu_seconds: one.cpu_seconds.zip(next.cpu_seconds).map(|(from, to)| rate(from, to)),
        ..Sample::default()
    }
}

type Of = fn(&Sample) -> f64;

fn sampled(title: &'static str, unit: &'static str, samples: &[Sample], lines: &[(&str, Of)]) -> Plot {
    let line = |(name, of): &(&str, Of)| series(*name, samples.iter().map(|sample| (sample.second, of(sample))));
    Plot::over_time(title, unit, lines.iter().map(line).collect())
}

fn percentiles(summary: &Summary) -> Plot {
    let shown = summary.latencies.iter().filter(|latency| latency.operation == Operation::Place);
    let curve = |latency: &Latency| {
        // The slowest stands where one of all would.
        let last = distance(100.0 - 50.0 / latency.percentiles.count.max(1) as f64);
        let points = latency.curve.iter().map(|(percentile, micros)| (distance(*percentile).min(last), *micros as f64 / 1000.0));
        series(latency.class.name(), points)
    };
    let series = shown.map(curve).collect();
    Plot { title: "Latency of orders", unit: "ms", across: Across::Percentiles, kind: Kind::Lines, logarithmic: true, series }
}

fn latency(seconds: &Spans) -> Plot {
    let at = |percentile: f64| move |second: &BySecond| second.percentile(percentile).unwrap_or_default() as f64 / 1000.0;
    let lines = [("p50", 50.0), ("p99", 99.0), ("slowest", 100.0)];
    let series = lines.map(|(name, percentile)| timed(seconds, name, at(percentile))).into();
    Plot::over_time("Latency of accepted orders over time", "ms, by when they were due", series).logarithmic()
}

fn throughput(seconds: &Spans) -> Plot {
    let due = timed(seconds, "due", |second| second.due as f64);
    let accepted = timed(seconds, "accepted", |second| second.done[Class::Accepted as usize] as f64);
    Plot::over_time("Throughput", "orders a second", vec![accepted, due])
}

fn outcomes(seconds: &Spans) -> Plot {
    let of = |class: Class| timed(seconds, class.name(), move |second| second.done[class as usize] as f64);
    Plot::over_time("Outcomes", "orders, by when they were answered", CLASSES.map(of).into()).stacked()
}

fn stock(samples: &[Sample]) -> Plot {
    let lines: [(&str, Of); 3] =
        [("available", |one| one.available as f64), ("held", |one| one.held as f64), ("sold", |one| one.committed as f64)];
    sampled("Stock of the first SKUs", "units", samples, &lines)
}

fn depth(samples: &[Sample]) -> Plot {
    let shards = samples.iter().map(|sample| sample.depth.len()).max().unwrap_or_default();
    let of = |shard: usize| {
        let points =
            samples.iter().map(move |sample| (sample.second, sample.depth.get(shard).copied().unwrap_or_default() as f64));
        series(format!("shard {shard}"), points)
    };
    Plot::over_time("Requests in hand", "by shard", (0..shards.min(6)).map(of).collect())
}

/// Over the whole run: how many commits had at most so many events.
fn sizes(samples: &[Sample]) -> Plot {
    let (first, last) = (samples.first(), samples.last());
    let before = |least: f64| {
        let bucket = first.and_then(|sample| sample.sizes.iter().find(|(of, _)| *of == least));
        bucket.map_or(0.0, |(_, count)| *count)
    };
    let counts: Vec<(f64, f64)> =
        last.iter().flat_map(|sample| &sample.sizes).map(|(least, count)| (*least, (count - before(*least)).max(0.0))).collect();
    let mut below = 0.0;
    let mut own: Vec<(f64, f64)> =
        counts.iter().map(|(least, count)| (*least, (count - std::mem::replace(&mut below, *count)).max(0.0))).collect();
    own.truncate(own.iter().rposition(|(_, count)| *count > 0.0).map_or(0, |last| last + 1));
    let names = own.iter().map(|(least, _)| short(*least)).collect();
    let points = own.iter().enumerate().map(|(at, (_, count))| (at as f64, *count));
    let (title, unit) = ("Commits by size", "count, the whole run");
    let across = Across::Names(names, "events at most");
    Plot { title, unit, across, kind: Kind::Stacked, logarithmic: false, series: vec![series("commits", points)] }
}

fn lateness(seconds: &Spans) -> Plot {
    let late = timed(seconds, "at most", |second| second.late as f64 / 1000.0);
    Plot::over_time("Lateness of the generator", "ms", vec![late])
}
