//! The counts of requests as `/metrics` shows them.
//!
//! Invariant: two looks never show a count that fell.

use super::{BUCKETS, OrderAnswers, RouteCounts, Tally, add_latencies, locked};
use crate::telemetry::buckets::within;
use crate::telemetry::table::help;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const SECONDS: &str = "holdfast_http_request_seconds";

/// Latencies of one method of a route.
struct Latencies {
    counts: [u64; BUCKETS],
    nanos: u64,
}

impl Tally {
    /// Has the recorder of the process know the counters as they are now.
    pub fn publish(&self) {
        for ((method, route, status), count) in self.by_status() {
            let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
            metrics::counter!("holdfast_http_requests_total", &labels).absolute(count);
        }
        let OrderAnswers { placed, refused } = self.orders_now();
        for (outcome, count) in [("placed", placed), ("refused", refused)].into_iter().filter(|(_, count)| *count > 0) {
            metrics::counter!("holdfast_orders_total", "outcome" => outcome).absolute(count);
        }
    }

    fn by_status(&self) -> BTreeMap<(&'static str, &'static str, u16), u64> {
        let mut sums = BTreeMap::new();
        for route in locked(&self.routes).iter() {
            for (status, count) in locked(&route.statuses).iter() {
                *sums.entry((route.row.method, route.row.route, *status)).or_default() += count.get();
            }
        }
        sums
    }

    fn by_route(&self) -> BTreeMap<(&'static str, &'static str), Latencies> {
        let mut sums = BTreeMap::new();
        for route in locked(&self.routes).iter() {
            let RouteCounts { row, nanos, .. } = &**route;
            let sum = sums.entry((row.method, row.route)).or_insert(Latencies { counts: [0; BUCKETS], nanos: 0 });
            add_latencies(&mut sum.counts, route);
            sum.nanos += nanos.get();
        }
        sums
    }

    /// The latencies as a family of the Prometheus text format: the recorder keeps each value until it is asked, and would sort it in then.
    pub fn latencies(&self, bounds: &[f64]) -> String {
        let routes = self.by_route();
        let mut text = if routes.is_empty() {
            String::new()
        } else {
            format!("# HELP {SECONDS} {}\n# TYPE {SECONDS} histogram\n", help(SECONDS))
        };
        for ((method, route), latencies) in routes {
            latencies.write(&mut text, &format!("method=\"{method}\",route=\"{route}\""), bounds);
        }
        text
    }
}

impl Latencies {
    fn write(&self, text: &mut String, labels: &str, bounds: &[f64]) {
        let (all, seconds) = (self.counts.iter().sum::<u64>(), self.nanos as f64 / 1e9);
        let buckets = bounds.iter().map(|bound| (bound.to_string(), within(&self.counts, *bound)));
        for (bound, count) in buckets.chain([("+Inf".to_owned(), all)]) {
            writeln!(text, "{SECONDS}_bucket{{{labels},le=\"{bound}\"}} {count}").unwrap_or_default();
        }
        writeln!(text, "{SECONDS}_sum{{{labels}}} {seconds}\n{SECONDS}_count{{{labels}}} {all}").unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Row;
    use super::*;
    use std::time::Duration;

    #[test]
    fn latencies_of_all_threads_are_one_histogram_a_route() {
        let (tally, row) = (Tally::new(), Row { method: "GET", route: "/v1/orders", api: true, probe: false });
        for millis in [1, 2, 30_000] {
            tally.route(row).answered(200, Duration::from_millis(millis));
        }
        let text = tally.latencies(&[0.001, 5.0]);
        let (comments, samples) =
            text.split_once("# TYPE holdfast_http_request_seconds histogram\n").unwrap_or_else(|| panic!("{text}"));
        assert_eq!(comments, format!("# HELP holdfast_http_request_seconds {}\n", help(SECONDS)));
        let expected = "\
holdfast_http_request_seconds_bucket{method=\"GET\",route=\"/v1/orders\",le=\"0.001\"} 1
holdfast_http_request_seconds_bucket{method=\"GET\",route=\"/v1/orders\",le=\"5\"} 2
holdfast_http_request_seconds_bucket{method=\"GET\",route=\"/v1/orders\",le=\"+Inf\"} 3
holdfast_http_request_seconds_sum{method=\"GET\",route=\"/v1/orders\"} 30.003
holdfast_http_request_seconds_count{method=\"GET\",route=\"/v1/orders\"} 3\n";
        assert_eq!(samples, expected);
        assert_eq!(Tally::new().latencies(&[1.0]), "");
    }
}
