//! What Prometheus makes of the metrics: alert rules by promtool, dashboards by a Prometheus that scrapes a real run.
//!
//! Without Debian's `prometheus` these tests say that they are skipped; `HOLDFAST_REQUIRE_SERVERS=1` makes that a failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod scraped;

use holdfast_tests::brokers::skip;
use holdfast_tests::server::binary;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether a program of Debian's package is here; says so if it is not.
fn is_here(program: &str, what: &str) -> bool {
    let here = Command::new(program).arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !here {
        skip(what, &format!("{program} is not installed (Debian: apt-get install --no-install-recommends prometheus)"));
    }
    here
}

/// The table of metrics, as the binary prints it: kinds by name.
fn table() -> BTreeMap<String, String> {
    let printed = Command::new(binary()).args(["inspect", "metrics", "--json"]).output().unwrap();
    let table: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    table["metrics"].as_array().unwrap().iter().map(|metric| (text(&metric["name"]), text(&metric["kind"]))).collect()
}

/// Names in an expression that are of no metric of the table.
fn unknown(expression: &str, table: &BTreeMap<String, String>) -> Vec<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("holdfast_"));
    let is_known = |name: &str| {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        table.contains_key(name) || of_histogram.is_some_and(|name| table.get(name).is_some_and(|kind| kind == "histogram"))
    };
    names.filter(|name| !is_known(name)).map(str::to_owned).collect()
}
