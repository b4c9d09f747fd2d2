//! The table of metrics as people read it.
//!
//! Invariant: docs/reference/metrics.md is what this makes of the table; a test compares them.

use super::table::{METRICS, Metric};
use serde_json::{Value, json};

const HEAD: &str = "# Metrics

`GET /metrics` answers in the Prometheus text format. Names begin with `holdfast_` and end in their unit; `_total` counts since the start of the
process. Counters without labels are there from the start, other metrics when they have their first value. Alert on `holdfast_alarms_total`: it counts what must be impossible.
[Alerts](../operate/alerts.md) are ready to be loaded.

Builds of before had names without the prefix. Those go on beside the names below for one release, unless `telemetry.old_names = false`.

This page is made of the table in the binary: `holdfast inspect metrics --markdown`.

| name | kind | labels | what it says |
|---|---|---|---|
";

/// docs/reference/metrics.md.
pub fn markdown() -> String {
    METRICS.iter().fold(HEAD.to_owned(), |page, metric| page + &row(metric))
}

fn row(Metric { name, kind, labels, help, .. }: &Metric) -> String {
    let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
    format!("| `{name}` | {} | {labels} | {help} |\n", kind.name())
}

pub fn json() -> Value {
    let metric = |metric: &Metric| {
        let Metric { name, kind, labels, help, .. } = metric;
        json!({"name": name, "kind": kind.name(), "labels": labels, "help": help, "old_name": metric.old_name()})
    };
    json!({"metrics": METRICS.iter().map(metric).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_metrics_is_what_the_table_makes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/metrics.md");
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == markdown(), "run: cargo run -- inspect metrics --markdown > docs/reference/metrics.md");
    }
}
