//! A run in a few lines, and as JSON.

use crate::record::{Class, Operation};
use crate::summary::{Percentiles, Summary, Totals};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn milliseconds(percentiles: &Percentiles) -> [(&'static str, f64); 5] {
    let Percentiles { p50, p90, p99, p999, max, .. } = *percentiles;
    [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)].map(|(name, micros)| (name, micros as f64 / 1000.0))
}

/// What scripts want to know. All of it is in `summary.json`.
pub(crate) fn json(summary: &Summary) -> String {
    let of = |latency: &Percentiles| milliseconds(latency).into_iter().collect::<BTreeMap<_, _>>();
    let accepted = summary.latency(Operation::Place, Class::Accepted).map(|latency| of(&latency.percentiles));
    let shown: Value = json!({
        "scenario": summary.scenario.name,
        "ok": summary.is_ok(),
        "valid": summary.invalid.is_empty(),
        "seconds": summary.seconds,
        "totals": summary.totals,
        "answers": summary.answers,
        "latency_ms": accepted,
        "generator_late_ms": of(&summary.lateness),
        "audit": summary.audit,
        "broken": summary.broken,
        "invalid": summary.invalid,
        "notes": summary.notes,
    });
    shown.to_string()
}

pub(crate) fn text(summary: &Summary) -> String {
    let Totals { due, goodput, .. } = summary.totals;
    let mut lines =
        vec![format!("{}: {due} orders due in {:.2} s, {goodput:.0}/s accepted", summary.scenario.name, summary.seconds)];
    for (operation, answers) in &summary.answers {
        let answers: Vec<String> = answers.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        lines.push(format!("  {:<8} {}", format!("{operation:?}").to_lowercase(), answers.join(", ")));
    }
    for latency in summary.latencies.iter().filter(|latency| latency.operation == Operation::Place) {
        lines.push(format!("  {:<11} ms  {}", latency.class.name(), times(&latency.percentiles)));
    }
    lines.push(format!("  {:<11} ms  {}", "generator late", times(&summary.lateness)));
    lines.extend(summary.notes.iter().map(|note| format!("  {note}")));
    lines.extend(summary.invalid.iter().map(|why| format!("  NOT VALID {why}")));
    lines.extend(summary.broken.iter().map(|what| format!("  LIMIT {what}")));
    lines.extend(audit(summary));
    lines.join("\n")
}

fn times(percentiles: &Percentiles) -> String {
    milliseconds(percentiles).map(|(name, ms)| format!("{name} {ms:.2}")).join("  ")
}

fn audit(summary: &Summary) -> Vec<String> {
    let audit = &summary.audit;
    if audit.findings.is_empty() {
        let verified = if audit.verify.is_some() { ", the journal is verified" } else { "" };
        let looked = format!("{} SKUs and {} of {} orders compared", audit.skus, audit.orders_read, audit.accepted);
        return vec![format!("  audit: nothing lost, nothing oversold; {looked}{verified}")];
    }
    audit.findings.iter().map(|finding| format!("  {:?} {}", finding.breach, finding.what)).collect()
}
