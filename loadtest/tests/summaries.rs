//! Summaries are read by programs and by later versions of this one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_loadtest::report;
use holdfast_loadtest::summary::{BySecond, FILE, Summary};

/// As the k6 scripts write it (`loadtest/k6/lib/summary.js`): totals only.
const BY_K6: &str = r#"{
  "schema": 1,
  "scenario": {"name": "k6 flash", "about": "A script of loadtest/k6.", "seconds": 10.5, "load": {"shape": "constant"}},
  "started": "2026-11-29T08:00:00.000Z", "seconds": 10.5, "server": "http://127.0.0.1:8080",
  "machine": {"processor": "", "cores": 0, "memory_mb": 0, "kernel": "", "sync_us": 0, "load": "", "generator": "k6"},
  "invalid": [], "broken": ["order_accepted: p(99)<250"],
  "audit": {"findings": [{"breach": "inconsistent", "what": "2 checks failed"}]},
  "totals": {"due": 30, "dropped": 0, "accepted": 20, "refused": 9, "turned_away": 1, "failed": 0, "goodput": 1.905},
  "answers": {"place": {"accepted": 20, "refused": 9, "turned_away": 1}},
  "latencies": [{"operation": "place", "class": "turned_away", "curve": [[50, 1200], [99.9, 4000]],
    "percentiles": {"count": 1, "mean": 1200.5, "p50": 1200, "p90": 1300, "p99": 4000, "p999": 4000, "max": 4000}}],
  "lateness": {"count": 0, "mean": 0, "p50": 0, "p90": 0, "p99": 0, "p999": 0, "max": 0},
  "by_second": [], "samples": [], "notes": []
}"#;

fn read(text: &str) -> Result<Summary, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), text).unwrap();
    Summary::read(dir.path())
}

#[test]
fn a_summary_of_k6_is_read_and_makes_a_page() {
    let summary = read(BY_K6).unwrap();
    assert!(!summary.is_ok());
    let page = report::page(&summary);
    assert!(page.contains("2 checks failed") && page.contains("p(99)&lt;250"), "what a script wrote is text, not markup");
}

#[test]
fn a_page_needs_nothing_from_elsewhere() {
    let page = report::page(&read(BY_K6).unwrap());
    for foreign in ["src=", "href=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn a_summary_of_another_schema_is_refused_with_both_numbers() {
    let refused = read(&BY_K6.replace("\"schema\": 1", "\"schema\": 2")).unwrap_err();
    assert!(refused.contains("its schema is 2, this program reads 1"), "{refused}");
}

#[test]
fn the_page_of_ten_hours_is_no_larger_than_that_of_ten_minutes_by_much() {
    let size = |seconds: u64| {
        let mut summary = read(BY_K6).unwrap();
        let second =
            |at| BySecond { due: 100, done: [90 + at % 7, 5, 3, 2], late: 80, latency: vec![(900, 50), (2000 + at % 99, 40)] };
        summary.by_second = (0..seconds).map(second).collect();
        report::page(&summary).len()
    };
    assert!(size(36_000) < size(600) * 3 / 2);
}
