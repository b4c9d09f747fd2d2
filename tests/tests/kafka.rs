//! The relay of the real binary to a real broker: complete, in order, and never in the way of an order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::brokers::Brokers;
use holdfast_tests::buyers::Buyers;
use holdfast_tests::server::{Options, STOP, Server, copy_data, poll};
use holdfast_tests::sink::Sink;
use holdfast_tests::topics::Topics;
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(180);
const BUYERS: u64 = 4;

/// The broker of all tests, for one of them at a time.
struct Turn {
    brokers: Arc<Brokers>,
    _alone: MutexGuard<'static, ()>,
}

/// Nothing where brokers cannot run.
fn turn() -> Option<Turn> {
    static ALONE: Mutex<()> = Mutex::new(());
    let brokers = Brokers::shared()?;
    Some(Turn { brokers, _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner) })
}

/// A server that publishes to a topic of its own, with stock.
fn open(options: Options) -> Server {
    let server = Server::start(options);
    Buyers::stock(&server.url());
    server
}

/// Lets buyers in while something happens, and says how many orders they got.
fn under_load(server: &Server, name: &str, happens: impl FnOnce(&Buyers)) -> u64 {
    let buyers = Buyers::start(&server.url(), name, BUYERS, Duration::ZERO);
    happens(&buyers);
    buyers.stop()
}

/// The buyers have got so many more orders.
#[track_caller]
fn go_on(buyers: &Buyers, orders: u64) {
    let wanted = buyers.placed() + orders;
    let got = poll(PATIENCE, || (buyers.placed() >= wanted).then_some(()));
    assert!(got.is_some(), "{} of {wanted} orders", buyers.placed());
}

fn metric(server: &Server, name: &str) -> f64 {
    let answer = Client::new(&server.url()).ask(&Request::get("/metrics")).unwrap();
    let text = String::from_utf8(answer.body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(f64::NAN, |value| value.parse().unwrap())
}

/// The last event of each partition that the API shows.
fn heads(server: &Server) -> BTreeMap<u64, u64> {
    let (client, mut after, mut heads) = (Client::new(&server.url()), String::new(), BTreeMap::new());
    loop {
        let page = client.json(&Request::get(format!("/v1/events?limit=1000&after={after}"))).unwrap();
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            return heads;
        }
        for event in events {
            heads.insert(event["partition"].as_u64().unwrap(), event["sequence"].as_u64().unwrap());
        }
        after = page["next"].as_str().unwrap().to_owned();
    }
}

/// The topic has what the API shows now, and the gauge has heard of it. However long it takes, as long as it goes on: the relay
/// runs when nobody else wants to, which on a busy machine is seldom.
#[track_caller]
fn until_caught_up(turn: &Turn, server: &Server, prefix: &str) {
    let (topics, topic, mut missing) = (Topics::at(turn.brokers.address()), format!("{prefix}.events.v1"), heads(server));
    let mut seen = 0;
    loop {
        let more = poll(PATIENCE, || Some(topics.all(&topic)).filter(|records| records.len() > seen));
        let Some(records) = more else { panic!("the topic lacks {missing:?}\n{}", server.log()) };
        seen = records.len();
        for record in records {
            let number = |name: &str| record.headers[name].parse::<u64>().unwrap();
            let (partition, seq) = (number("hf-partition"), number("hf-seq"));
            missing.retain(|other, last| *other != partition || *last > seq);
        }
        if missing.is_empty() {
            return until_shown(server, "holdfast_relay_lag_events", |lag| lag == 0.0);
        }
    }
}

#[track_caller]
fn until_shown(server: &Server, name: &str, wanted: impl Fn(f64) -> bool) {
    let shown = poll(PATIENCE, || wanted(metric(server, name)).then_some(()));
    assert!(shown.is_some(), "{name} is {}\n{}", metric(server, name), server.log());
}

/// Stops a server, which publishes what is left, and compares.
#[track_caller]
fn verified(server: &mut Server) -> Value {
    assert!(server.terminate().success(), "{}", server.log());
    compared(server)
}

/// `holdfast kafka verify` on a server that does not run.
#[track_caller]
fn compared(server: &Server) -> Value {
    let dir = server.data_dir().display().to_string();
    let (status, said) = server.run(&["kafka", "verify", "--json", "--data-dir", &dir]);
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}\n{}", server.log()));
    assert!(status.success() && report["ok"] == true, "{report}\n{}", server.log());
    assert_eq!((&report["missing"], &report["invented"], &report["out_of_order"]), (&json!(0), &json!(0), &json!(0)));
    report
}

fn until_it_says(server: &Server, words: &str) {
    let said = poll(PATIENCE, || server.log().contains(words).then_some(()));
    assert!(said.is_some(), "it never said {words:?}\n{}", server.log());
}

#[test]
fn a_real_run_is_published_whole_each_event_once() {
    let Some(turn) = turn() else { return };
    let mut server = open(turn.brokers.publishing("whole"));
    let orders = under_load(&server, "a", |buyers| go_on(buyers, 100));
    let report = verified(&mut server);
    assert!(report["events"].as_u64().unwrap() > 2 * orders, "{report}");
    assert_eq!((&report["records"], &report["duplicates"]), (&report["events"], &json!(0)));
    // A start finds everything published and publishes nothing again.
    server.restart();
    until_caught_up(&turn, &server, "whole");
    under_load(&server, "b", |buyers| go_on(buyers, 50));
    let report = verified(&mut server);
    assert_eq!((&report["records"], &report["duplicates"]), (&report["events"], &json!(0)));
}

#[test]
fn a_broker_killed_under_load_leaves_nothing_out() {
    let Some(turn) = turn() else { return };
    let mut server = open(turn.brokers.publishing("killed"));
    under_load(&server, "a", |buyers| {
        for _ in 0..2 {
            go_on(buyers, 100);
            turn.brokers.kill(1);
            go_on(buyers, 50);
            turn.brokers.restart(1);
        }
        go_on(buyers, 100);
    });
    until_caught_up(&turn, &server, "killed");
    verified(&mut server);
}

#[test]
fn with_kafka_away_orders_go_on_and_the_lag_shows_until_it_is_back() {
    let Some(turn) = turn() else { return };
    turn.brokers.kill(1);
    let mut server = open(turn.brokers.publishing("away"));
    let orders = under_load(&server, "a", |buyers| go_on(buyers, 100));
    until_shown(&server, "holdfast_relay_lag_events", |lag| lag > orders as f64);
    until_shown(&server, "holdfast_relay_lag_seconds", |lag| lag > 0.5);
    until_it_says(&server, "not publishing to Kafka");
    turn.brokers.restart(1);
    until_caught_up(&turn, &server, "away");
    until_shown(&server, "holdfast_relay_lag_seconds", |lag| lag == 0.0);
    verified(&mut server);
}

#[test]
fn an_engine_killed_under_load_is_published_whole_by_the_next() {
    let Some(turn) = turn() else { return };
    let mut server = open(turn.brokers.publishing("engine"));
    let buyers = Buyers::start(&server.url(), "a", BUYERS, Duration::ZERO);
    for orders in [50, 100, 20] {
        go_on(&buyers, orders);
        server.restart();
    }
    buyers.stop();
    until_caught_up(&turn, &server, "engine");
    verified(&mut server);
}

#[test]
fn a_full_queue_waits_and_loses_nothing() {
    let Some(turn) = turn() else { return };
    let mut server = open(turn.brokers.publishing("full").env("HOLDFAST__KAFKA__QUEUE_EVENTS", "50"));
    under_load(&server, "a", |buyers| {
        go_on(buyers, 50);
        turn.brokers.pause(1);
        let lags = poll(PATIENCE, || (metric(&server, "holdfast_relay_lag_events") > 200.0).then_some(()));
        turn.brokers.resume(1);
        assert!(lags.is_some(), "the lag is {}", metric(&server, "holdfast_relay_lag_events"));
    });
    until_caught_up(&turn, &server, "full");
    verified(&mut server);
}

/// New data begins again at sequence 1: every consumer would drop it as long known.
#[test]
fn a_topic_of_another_journal_is_refused_with_what_to_do() {
    let Some(turn) = turn() else { return };
    let mut first = open(turn.brokers.publishing("shared"));
    under_load(&first, "a", |buyers| go_on(buyers, 10));
    verified(&mut first);
    let second = open(turn.brokers.publishing("shared"));
    until_it_says(&second, "events of another journal");
    until_it_says(&second, "kafka.topic_prefix");
    under_load(&second, "b", |buyers| go_on(buyers, 10));
    assert_eq!(metric(&second, "holdfast_relay_published_total"), 0.0);
}

/// The copy gets more events than the topic has, so that only their check values tell them apart.
#[test]
fn a_journal_restored_from_an_older_copy_that_went_on_is_refused_with_what_to_do() {
    let Some(turn) = turn() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let (ours, copy) = (scratch.path().join("ours"), scratch.path().join("copy"));
    let options = |dir: &Path| turn.brokers.publishing("restored").env("HOLDFAST__DATA__PARTITIONS", "1").data_dir(dir);
    let mut server = open(options(&ours));
    verified(&mut server);
    copy_data(&ours, &copy);
    server.restart();
    under_load(&server, "a", |buyers| go_on(buyers, 10));
    let published = verified(&mut server)["events"].as_u64().unwrap();

    let mut restored = Server::start(options(&copy).env("HOLDFAST__KAFKA__ENABLED", "false"));
    under_load(&restored, "b", |buyers| {
        let more = poll(PATIENCE, || (heads(&restored)[&0] > published).then_some(()));
        assert!(more.is_some(), "{} orders are no more than {published} events", buyers.placed());
    });
    restored.stop_with("HOLDFAST__KAFKA__ENABLED", "true");
    restored.restart();
    until_it_says(&restored, "restored from an older copy that went on");
    until_it_says(&restored, "set another kafka.topic_prefix");
    under_load(&restored, "c", |buyers| go_on(buyers, 10));
    until_shown(&restored, "holdfast_relay_lag_events", |lag| lag > 0.0);
    assert_eq!(metric(&restored, "holdfast_relay_published_total"), 0.0);

    restored.stop_with("HOLDFAST__KAFKA__TOPIC_PREFIX", "restored_anew");
    restored.restart();
    until_caught_up(&turn, &restored, "restored_anew");
    verified(&mut restored);
}

#[test]
fn a_topic_with_another_number_of_partitions_is_refused_with_what_to_do() {
    let Some(turn) = turn() else { return };
    let mut first = open(turn.brokers.publishing("shape"));
    verified(&mut first);
    let second = Server::start(turn.brokers.publishing("shape").env("HOLDFAST__KAFKA__TOPIC_PARTITIONS", "4"));
    until_it_says(&second, "set kafka.topic_partitions = 8");
}

#[test]
fn a_topic_that_was_lost_is_filled_anew() {
    let Some(turn) = turn() else { return };
    let mut server = open(turn.brokers.publishing("lost"));
    under_load(&server, "a", |buyers| go_on(buyers, 50));
    verified(&mut server);
    turn.brokers.wipe();
    turn.brokers.start_again();
    server.restart();
    until_it_says(&server, "filled anew");
    until_caught_up(&turn, &server, "lost");
    verified(&mut server);
}

/// The broker answers nothing until the server was told to stop: then the relay still has everything before it.
#[test]
fn a_stop_while_the_relay_is_opening_publishes_everything() {
    let Some(turn) = turn() else { return };
    turn.brokers.pause(1);
    let mut server = open(turn.brokers.publishing("opening"));
    under_load(&server, "a", |buyers| go_on(buyers, 20));
    server.signal_stop();
    until_it_says(&server, "stopping");
    turn.brokers.resume(1);
    let ended = server.wait_for_exit(STOP);
    assert!(ended.is_some_and(|status| status.success()), "{}", server.log());
    compared(&server);
}

#[test]
fn a_stop_with_kafka_away_ends_by_its_deadline_and_the_next_start_publishes_the_rest() {
    let Some(turn) = turn() else { return };
    turn.brokers.kill(1);
    let mut server = open(turn.brokers.publishing("deadline").env("HOLDFAST__KAFKA__FLUSH_SECONDS", "1"));
    under_load(&server, "a", |buyers| go_on(buyers, 20));
    assert!(server.terminate().success(), "{}", server.log());
    turn.brokers.restart(1);
    server.restart();
    until_caught_up(&turn, &server, "deadline");
    verified(&mut server);
}

/// The broker keeps its connections and answers nothing: neither what is on its way nor the end of the session comes to an end.
#[test]
fn a_stop_while_the_broker_is_silent_ends_by_its_deadline_and_the_next_start_publishes_the_rest() {
    let Some(turn) = turn() else { return };
    let mut server = open(turn.brokers.publishing("silent").env("HOLDFAST__KAFKA__FLUSH_SECONDS", "1"));
    until_caught_up(&turn, &server, "silent");
    turn.brokers.pause(1);
    under_load(&server, "a", |buyers| go_on(buyers, 20));
    let began = Instant::now();
    server.signal_stop();
    let ended = server.wait_for_exit(STOP);
    turn.brokers.resume(1);
    eprintln!("stopped in {:?}", began.elapsed());
    assert!(ended.is_some_and(|status| status.success()), "{}", server.log());
    server.restart();
    until_caught_up(&turn, &server, "silent");
    verified(&mut server);
}

#[test]
fn tail_shows_events_by_type() {
    let Some(turn) = turn() else { return };
    let server = open(turn.brokers.publishing("tail"));
    let url = server.url();
    let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": "HOT", "quantity": 1, "unit_price": 5}]});
    let order = Client::new(&url).ask(&Request::keyed("/v1/orders", "tail", &body)).unwrap().text("id");
    until_caught_up(&turn, &server, "tail");
    let (status, said) =
        server.run(&["kafka", "tail", "--type", "order.placed", "--from", "beginning", "--count", "1", "--json"]);
    let event: Value = serde_json::from_str(&said).unwrap();
    assert!(status.success());
    assert_eq!((&event["type"], &event["subject"]), (&json!("holdfast.order.placed"), &json!(order)));
    let (_, line) = server.run(&["kafka", "tail", "--subject", &order, "--from", "beginning", "--count", "1"]);
    assert!(line.contains("order.placed") && line.contains(&order), "{line}");
}

#[test]
fn the_trace_of_an_order_goes_on_to_its_record_in_the_topic() {
    let Some(turn) = turn() else { return };
    let sink = Sink::start();
    let options = turn.brokers.publishing("traced").env("HOLDFAST__TELEMETRY__OTLP_ENDPOINT", sink.url());
    let options = options.env("HOLDFAST__TELEMETRY__TRACE_ONE_IN", "1");
    let server = Server::start(options);
    let client = Client::new(&server.url());
    client.json(&Request::put("/v1/inventory/TRACED/locations/main", 0, &json!({"on_hand": 5}))).unwrap();
    let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": "TRACED", "quantity": 1, "unit_price": 1}]});
    assert_eq!(client.ask(&Request::keyed("/v1/orders", "traced", &body)).unwrap().status, 201);
    // The stock was put in by a request with a trace of its own.
    let of_the_order = || {
        let spans = sink.spans();
        let trace = spans.iter().find(|span| span.name == "POST /v1/orders")?.trace_id.clone();
        Some(spans.into_iter().filter(|span| span.trace_id == trace).collect::<Vec<_>>()).filter(|spans| spans.len() == 5)
    };
    let spans = poll(PATIENCE, of_the_order).expect("no whole trace comes");
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST /v1/orders", "shard turn", "journal commit", "reply", "kafka publish"]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let trace = hex(&spans[0].trace_id);
    let joined = spans[1..].iter().all(|span| hex(&span.trace_id) == trace && span.parent_span_id == spans[0].span_id);
    assert!(joined, "{spans:?}");
    let records = Topics::at(turn.brokers.address()).all("traced.events.v1");
    let traced: Vec<_> = records.iter().filter_map(|record| record.headers.get("traceparent")).collect();
    let expected = format!("00-{trace}-{}-01", hex(&spans[4].span_id));
    assert!(!traced.is_empty() && traced.iter().all(|header| **header == expected), "{traced:?} is not {expected}");
    eprintln!("one trace: {spans:#?}");
}
