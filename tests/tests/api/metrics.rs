//! Metrics of a run server: each of the table is there, and the counts are what clients counted.

use crate::client::Api;
use crate::shop::{PATIENCE, fresh, order, paying, place, reservation, stocked, with};
use holdfast_tests::server::{Options, Server, binary, poll};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// Metrics that need more than one server has to itself, and the test that looks at them.
const ELSEWHERE: [(&str, &str); 3] = [
    ("holdfast_inbound_dead_lettered_total", "tests/tests/payment_results.rs"),
    ("holdfast_relay_lag_events", "tests/tests/kafka.rs"),
    ("holdfast_relay_lag_seconds", "tests/tests/kafka.rs"),
];

/// Name and labels of each sample, with its value.
fn samples(text: &str) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.strip_suffix('}').and_then(|series| series.split_once('{')).unwrap_or((series, ""));
        let label = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
        ((name.to_owned(), labels.split(',').filter_map(label).collect()), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// Method, route and status, of every route that nothing but the test asks.
type Counts = BTreeMap<(String, String, String), u64>;

fn counted(text: &str) -> Counts {
    let mut counts = Counts::new();
    for ((name, labels), value) in samples(text) {
        let polled = ["/livez", "/readyz", "/metrics"].contains(&labels.get("route").map_or("", String::as_str));
        if name == "holdfast_http_requests_total" && !polled {
            let label = |name: &str| labels[name].clone();
            counts.insert((label("method"), label("route"), label("status")), value as u64);
        }
    }
    counts
}

/// What a storefront asks: method, path, the row it is counted under, a body.
fn asked(sku: &str) -> Vec<(&'static str, String, (&'static str, &'static str), Value)> {
    let none = Value::Null;
    let unknown = "ord_00000000000000000000000000";
    vec![
        ("POST", "/v1/orders".to_owned(), ("POST", "/v1/orders"), order(sku, 1)),
        ("POST", "/v1/orders".to_owned(), ("POST", "/v1/orders"), order(sku, 100_000)),
        ("POST", "/v1/orders".to_owned(), ("POST", "/v1/orders"), json!({"currency": "EUR"})),
        ("POST", "/v1/orders".to_owned(), ("POST", "/v1/orders"), paying(sku, 1)),
        ("POST", "/v1/reservations".to_owned(), ("POST", "/v1/reservations"), reservation(sku, 1)),
        ("GET", "/v1/orders?customer_id=ada".to_owned(), ("GET", "/v1/orders"), none.clone()),
        ("GET", "/v1/orders?nonsense=1".to_owned(), ("GET", "/v1/orders"), none.clone()),
        ("HEAD", "/v1/inventory".to_owned(), ("HEAD", "/v1/inventory"), none.clone()),
        ("DELETE", "/v1/orders".to_owned(), ("other", "/v1/orders"), none.clone()),
        ("GET", format!("/v1/orders/{unknown}"), ("GET", "/v1/orders/{id}"), none.clone()),
        ("GET", format!("/v1/inventory/{sku}"), ("GET", "/v1/inventory/{sku}"), none.clone()),
        ("GET", "/v1/nothing/here".to_owned(), ("other", "none"), none.clone()),
        ("GET", "/openapi.json".to_owned(), ("GET", "/openapi.json"), none),
    ]
}

#[test]
fn answers_are_counted_under_their_route_as_their_clients_counted_them() {
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    let sku = stocked(&api, 10_000);
    let before = counted(&api.get("/metrics").text());
    let (seen, codes) = (Mutex::new(before), Mutex::new(BTreeMap::<String, u64>::new()));
    let work = || {
        for (method, path, (counted_as, route), body) in (0..5).flat_map(|_| asked(&sku)) {
            let key = fresh("key");
            let answer = match body {
                Value::Null => api.send(method, &path, &[], None),
                body => api.json(method, &path, &[("idempotency-key", &key)], &body),
            };
            let row = (counted_as.to_owned(), route.to_owned(), answer.status.to_string());
            *seen.lock().unwrap().entry(row).or_default() += 1;
            if answer.is_problem() && !answer.bytes.is_empty() {
                *codes.lock().unwrap().entry(answer.json()["code"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let text = api.get("/metrics").text();
    let seen = seen.into_inner().unwrap();
    assert_eq!(counted(&text), seen);
    let samples = samples(&text);
    let problems = samples.iter().filter(|((name, _), _)| name == "holdfast_problems_total");
    let problems: BTreeMap<String, u64> = problems.map(|((_, labels), count)| (labels["code"].clone(), *count as u64)).collect();
    assert_eq!(problems, codes.into_inner().unwrap());
    for (method, route, _) in seen.keys() {
        let labels = [("method", method), ("route", route)].map(|(name, value)| (name.to_owned(), value.clone()));
        let timed = samples[&("holdfast_http_request_seconds_count".to_owned(), labels.into())];
        let answered: u64 = seen.iter().filter(|((m, r, _), _)| (m, r) == (method, route)).map(|(_, count)| count).sum();
        assert_eq!(timed as u64, answered, "{method} {route}");
    }
}

/// The table, as the binary prints it.
fn table() -> Vec<Value> {
    let printed = Command::new(binary()).args(["inspect", "metrics", "--json"]).output().unwrap();
    serde_json::from_slice::<Value>(&printed.stdout).unwrap()["metrics"].as_array().unwrap().clone()
}

/// The families of `/metrics`: name, kind, help.
fn families(text: &str) -> BTreeMap<String, (String, String)> {
    let of = |what: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(what)?.split_once(' '));
        lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let help = of("# HELP ");
    of("# TYPE ").into_iter().map(|(name, kind)| (name.clone(), (kind, help[&name].clone()))).collect()
}

/// Has a server do a little of everything.
fn busy(server: &Server) {
    let api = Api::of(server);
    let sku = stocked(&api, 10);
    place(&api, &paying(&sku, 1));
    crate::shop::post(&api, "/v1/orders", &order(&sku, 1000)).problem(409, "out_of_stock");
    let short = with(order(&sku, 1), json!({"ttl_seconds": 1}));
    let expires = place(&api, &short);
    crate::shop::order_becomes(&api, &expires, "expired");
}

#[test]
fn every_metric_of_the_table_is_in_the_metrics_of_a_run_server() {
    let options = Options::new().arg("--shards").arg("2");
    let mut server = Server::start(options.env("HOLDFAST__ENGINE__MEMORY_AHEAD_MB", "1"));
    // What is told of the log is told at the start, and then each minute: it must not be empty at the start.
    stocked(&Api::of(&server), 1);
    server.terminate();
    server.restart();
    busy(&server);
    let api = Api::of(&server);
    api.post("/admin/v1/partitions/0:move", &json!({"shard": 1})).ok(202);
    let _stream = api.open("/v1/events/stream", &[]);
    let table = table();
    let elsewhere = |name: &str| ELSEWHERE.iter().any(|(of, _)| *of == name);
    let wanted: Vec<&Value> = table.iter().filter(|metric| !elsewhere(metric["name"].as_str().unwrap())).collect();
    let mut missing = BTreeSet::new();
    let complete = poll(PATIENCE, || {
        let found = families(&api.get("/metrics").text());
        missing =
            wanted.iter().map(|metric| metric["name"].as_str().unwrap()).filter(|name| !found.contains_key(*name)).collect();
        missing.is_empty().then_some(found)
    });
    let found = complete.unwrap_or_else(|| panic!("not there: {missing:?}"));
    for metric in &wanted {
        let (kind, help) = &found[metric["name"].as_str().unwrap()];
        assert_eq!((&json!(kind), &json!(help)), (&metric["kind"], &metric["help"]), "{metric}");
    }
    let names = table.iter().flat_map(|metric| [&metric["name"], &metric["old_name"]]).filter_map(Value::as_str);
    let names: BTreeSet<&str> = names.collect();
    let unknown: Vec<&String> = found.keys().filter(|name| !names.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:?}");
}

#[test]
fn what_one_server_cannot_show_another_test_looks_at() {
    for (name, file) in ELSEWHERE {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap();
        assert!(text.contains(name), "{file} does not look at {name}");
    }
}

#[test]
fn names_of_before_go_on_beside_the_others_until_they_are_turned_off() {
    let old = |server: &Server| {
        let text = Api::of(server).get("/metrics").text();
        let names: BTreeSet<String> = families(&text).into_keys().filter(|name| !name.starts_with("holdfast_")).collect();
        (names, samples(&text))
    };
    let server = Server::start(Options::new());
    busy(&server);
    let (names, samples) = old(&server);
    assert!(names.contains("orders_total") && names.contains("journal_sync_seconds"), "{names:?}");
    assert!(!names.contains("http_requests_total"), "it never had that name");
    let placed = BTreeMap::from([("outcome".to_owned(), "placed".to_owned())]);
    assert_eq!(samples[&("orders_total".to_owned(), placed.clone())], samples[&("holdfast_orders_total".to_owned(), placed)]);
    let (names, _) = old(&Server::start(Options::new().env("HOLDFAST__TELEMETRY__OLD_NAMES", "false")));
    assert!(names.is_empty(), "{names:?}");
}
