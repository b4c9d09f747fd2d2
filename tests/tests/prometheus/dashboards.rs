//! The dashboards of Grafana: each expression is evaluated by a Prometheus that scraped a real run, and none is empty.
//!
//! Grafana itself is not run: what is shown here is that every panel has something to draw.

use super::scraped::{Prometheus, busy};
use super::{is_here, read, root, table, unknown};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Far longer than it takes on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// An expression, with the dashboard and the panel that it is of.
fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("config/grafana")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let place = format!("{}: {}", dashboard["title"], panel["title"]);
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{place}");
            found.extend(targets.iter().map(|target| (place.clone(), target["expr"].as_str().unwrap().to_owned())));
        }
    }
    found
}

#[test]
fn every_expression_of_a_dashboard_is_about_metrics_that_there_are() {
    let (table, expressions) = (table(), expressions());
    assert!(expressions.len() > 30, "{} expressions", expressions.len());
    for (place, expression) in expressions {
        assert_eq!(unknown(&expression, &table), Vec::<String>::new(), "{place}");
    }
}

#[test]
fn dashboards_have_names_of_their_own_and_their_panels_do_not_overlap() {
    let mut uids = BTreeSet::new();
    for name in ["overview", "shards"] {
        let dashboard: Value = serde_json::from_str(&read(&format!("config/grafana/{name}.json"))).unwrap();
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()));
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            let cells = (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row)));
            assert!(x + w <= 24 && cells.map(|cell| taken.insert(cell)).filter(|free| !free).count() == 0, "{}", panel["title"]);
        }
    }
}

#[test]
fn no_panel_is_empty_in_a_prometheus_that_scraped_a_run() {
    if !is_here("prometheus", "dashboards") {
        return;
    }
    let server = Server::start(Options::new());
    let prometheus = Prometheus::scraping(&server.address());
    let over = AtomicBool::new(false);
    let mut empty = expressions();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..).take_while(|_| !over.load(Ordering::Relaxed)).for_each(|round| busy(&server, round)));
        let filled = poll(PATIENCE, || {
            empty.retain(|(_, expression)| prometheus.is_empty(expression));
            empty.is_empty().then_some(())
        });
        over.store(true, Ordering::Relaxed);
        assert!(filled.is_some(), "{} empty panels: {empty:#?}\n{}", empty.len(), prometheus.log());
    });
}
