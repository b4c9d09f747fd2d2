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
    let files = std::fs::read_dir(root().join("config/grafana")).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
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

/// Where `compose.yaml` puts a file or directory of the tree in the container of Grafana.
fn mounted(of: &str) -> String {
    let compose: Value = serde_saphyr::from_str(&read("compose.yaml")).unwrap();
    let volumes = compose["services"]["grafana"]["volumes"].as_array().unwrap().iter().filter_map(Value::as_str);
    let mut targets = volumes.filter_map(|volume| volume.strip_prefix(&format!("./{of}:"))?.strip_suffix(":ro"));
    targets.next().unwrap_or_else(|| panic!("compose.yaml does not mount {of}")).to_owned()
}

#[test]
fn the_grafana_of_compose_has_the_dashboards_and_the_prometheus_beside_it() {
    assert_eq!(mounted("config/grafana/provisioning"), "/etc/grafana/provisioning");
    let file = |name: &str| serde_saphyr::from_str::<Value>(&read(&format!("config/grafana/provisioning/{name}.yml"))).unwrap();
    let provider = &file("dashboards/holdfast")["providers"][0];
    assert_eq!((&provider["type"], &provider["options"]["path"]), (&"file".into(), &mounted("config/grafana").into()));
    let compose: Value = serde_saphyr::from_str(&read("compose.yaml")).unwrap();
    let sources = file("datasources/prometheus")["datasources"].as_array().unwrap().clone();
    let [source] = &sources[..] else { panic!("dashboards that choose their source by themselves have one: {sources:?}") };
    let (_, host) = source["url"].as_str().unwrap().split_once("://").unwrap();
    let (service, port) = host.split_once(':').unwrap();
    assert!(compose["services"][service]["ports"][0].as_str().unwrap().ends_with(&format!(":{port}")), "{source}");
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
