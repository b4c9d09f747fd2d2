//! The relay of the real binary to a real broker: complete, in order, and never in the way of an order.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::brokers::Brokers;
use holdfast_tests::buyers::Buyers;
use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);
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
fn under_load(server: &Server, name: &str, happens: impl FnOnce()) -> u64 {
    let buyers = Buyers::start(&server.url(), name, BUYERS, Duration::ZERO);
    happens();
    buyers.stop()
}

fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

fn metric(server: &Server, name: &str) -> f64 {
    let answer = Client::new(&server.url()).ask(&Request::get("/metrics")).unwrap();
    let text = String::from_utf8(answer.body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(f64::NAN, |value| value.parse().unwrap())
}

fn until_caught_up(server: &Server) {
    // What is durable now is counted within a second.
    pause(1500);
    let caught_up = poll(PATIENCE, || (metric(server, "relay_lag_events") == 0.0).then_some(()));
    assert!(caught_up.is_some(), "it lags by {} events\n{}", metric(server, "relay_lag_events"), server.log());
}

/// `holdfast kafka verify` on a server that was told to stop.
fn verified(server: &mut Server) -> Value {
    assert!(server.terminate().success(), "{}", server.log());
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
    let orders = under_load(&server, "a", || pause(2000));
    let report = verified(&mut server);
    assert!(report["events"].as_u64().unwrap() > 2 * orders && orders > 0, "{report}");
    assert_eq!((&report["records"], &report["duplicates"]), (&report["events"], &json!(0)));
    // A start finds everything published and publishes nothing again.
    server.restart();
    until_caught_up(&server);
    under_load(&server, "b", || pause(500));
    let report = verified(&mut server);
    assert_eq!((&report["records"], &report["duplicates"]), (&report["events"], &json!(0)));
}

#[test]
fn a_broker_killed_under_load_leaves_nothing_out() {
    let Some(turn) = turn() else { return };
    let mut server = open(turn.brokers.publishing("killed"));
    under_load(&server, "a", || {
        for _ in 0..2 {
            pause(1500);
            turn.brokers.kill(1);
            pause(500);
            turn.brokers.restart(1);
        }
        pause(1000);
    });
    until_caught_up(&server);
    verified(&mut server);
}

#[test]
fn with_kafka_away_orders_go_on_and_the_lag_shows_until_it_is_back() {
    let Some(turn) = turn() else { return };
    turn.brokers.kill(1);
    let mut server = open(turn.brokers.publishing("away"));
    let orders = under_load(&server, "a", || pause(2000));
    assert!(orders > 20, "{orders} orders while Kafka was away");
    let shows = poll(PATIENCE, || (metric(&server, "relay_lag_events") > orders as f64).then_some(()));
    assert!(shows.is_some(), "the lag is {}", metric(&server, "relay_lag_events"));
    assert!(metric(&server, "relay_lag_seconds") > 0.5);
    until_it_says(&server, "not publishing to Kafka");
    turn.brokers.restart(1);
    until_caught_up(&server);
    assert_eq!(metric(&server, "relay_lag_seconds"), 0.0);
    verified(&mut server);
}

#[test]
fn an_engine_killed_under_load_is_published_whole_by_the_next() {
    let Some(turn) = turn() else { return };
    let mut server = open(turn.brokers.publishing("engine"));
    let buyers = Buyers::start(&server.url(), "a", BUYERS, Duration::ZERO);
    for millis in [700, 1500, 300] {
        pause(millis);
        server.restart();
    }
    buyers.stop();
    until_caught_up(&server);
    verified(&mut server);
}

#[test]
fn a_full_queue_waits_and_loses_nothing() {
    let Some(turn) = turn() else { return };
    let mut server = open(turn.brokers.publishing("full").env("HOLDFAST__KAFKA__QUEUE_EVENTS", "50"));
    under_load(&server, "a", || {
        pause(1000);
        turn.brokers.pause(1);
        let lags = poll(PATIENCE, || (metric(&server, "relay_lag_events") > 200.0).then_some(()));
        turn.brokers.resume(1);
        assert!(lags.is_some(), "the lag is {}", metric(&server, "relay_lag_events"));
    });
    until_caught_up(&server);
    verified(&mut server);
}

/// New data begins again at sequence 1: every consumer would drop it as long known.
#[test]
fn a_topic_of_another_journal_is_refused_with_what_to_do() {
    let Some(turn) = turn() else { return };
    let mut first = open(turn.brokers.publishing("shared"));
    under_load(&first, "a", || pause(300));
    verified(&mut first);
    let second = open(turn.brokers.publishing("shared"));
    until_it_says(&second, "events of another journal");
    until_it_says(&second, "kafka.topic_prefix");
    assert!(under_load(&second, "b", || pause(300)) > 0);
    assert_eq!(metric(&second, "relay_published_total"), 0.0);
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
    under_load(&server, "a", || pause(500));
    verified(&mut server);
    turn.brokers.wipe();
    turn.brokers.start_again();
    server.restart();
    until_it_says(&server, "filled anew");
    until_caught_up(&server);
    verified(&mut server);
}

#[test]
fn tail_shows_events_by_type() {
    let Some(turn) = turn() else { return };
    let server = open(turn.brokers.publishing("tail"));
    let url = server.url();
    let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": "HOT", "quantity": 1, "unit_price": 5}]});
    let order = Client::new(&url).ask(&Request::keyed("/v1/orders", "tail", &body)).unwrap().text("id");
    until_caught_up(&server);
    let (status, said) =
        server.run(&["kafka", "tail", "--type", "order.placed", "--from", "beginning", "--count", "1", "--json"]);
    let event: Value = serde_json::from_str(&said).unwrap();
    assert!(status.success());
    assert_eq!((&event["type"], &event["subject"]), (&json!("holdfast.order.placed"), &json!(order)));
    let (_, line) = server.run(&["kafka", "tail", "--subject", &order, "--from", "beginning", "--count", "1"]);
    assert!(line.contains("order.placed") && line.contains(&order), "{line}");
}
