//! Payment results over real brokers: each one once, none lost, what can never be taken put aside with its reason.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::brokers::Brokers;
use holdfast_tests::server::{Options, STOP, Server, poll};
use holdfast_tests::topics::{Kept, Topics};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(180);
const UNITS: u64 = 1000;

/// A server that takes payment results, on the broker of all tests, for one of them at a time.
struct Shop {
    server: Server,
    topics: Topics,
    name: &'static str,
    brokers: Arc<Brokers>,
    _alone: MutexGuard<'static, ()>,
}

/// An order with an open payment.
#[derive(Clone)]
struct Unpaid {
    id: String,
    attempt: String,
}

impl Unpaid {
    fn result(&self, kind: &str) -> Value {
        json!({"id": format!("evt_{}_{kind}", self.attempt), "provider": "sandbox", "type": format!("payment.{kind}"),
            "attempt_id": self.attempt, "amount": 1000, "currency": "EUR"})
    }
}

impl Shop {
    /// Nothing where brokers cannot run. No two shops have the same name.
    fn open(name: &'static str, with: impl FnOnce(Options) -> Options) -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let brokers = Brokers::shared()?;
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let options = brokers.publishing(name).env("HOLDFAST__KAFKA__PAYMENT_RESULTS", "true");
        let options = options.env("HOLDFAST__KAFKA__GROUP", name).env("HOLDFAST__KAFKA__TOPIC_PARTITIONS", "1");
        let server = Server::start(with(options));
        let topics = Topics::at(brokers.address());
        let shop = Self { server, topics, name, brokers, _alone: alone };
        let stock = Request::put("/v1/inventory/MUG/locations/main", 0, &json!({"on_hand": UNITS}));
        shop.client().json(&stock).unwrap();
        Some(shop)
    }

    fn client(&self) -> Client {
        Client::new(&self.server.url())
    }

    fn get(&self, path: &str) -> Value {
        self.client().json(&Request::get(path)).unwrap()
    }

    fn order(&self, key: &str) -> Unpaid {
        let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": "MUG", "quantity": 2, "unit_price": 500}],
            "payment": {"provider": "sandbox"}});
        let answer = self.client().ask(&Request::keyed("/v1/orders", key, &body)).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.shown());
        let attempt = answer.json()["payment"]["attempt_id"].as_str().unwrap().to_owned();
        Unpaid { id: answer.text("id"), attempt }
    }

    fn orders(&self, count: usize) -> Vec<Unpaid> {
        (0..count).map(|number| self.order(&format!("order-{number}"))).collect()
    }

    fn inbox(&self) -> String {
        format!("{}.payment-results.v1", self.name)
    }

    /// Puts results into the topic, each under its attempt.
    fn tell<'a>(&self, results: impl IntoIterator<Item = &'a Value>) {
        let texts: Vec<(String, String)> = results
            .into_iter()
            .map(|result| (result["attempt_id"].as_str().unwrap_or("none").to_owned(), result.to_string()))
            .collect();
        self.put(texts.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    }

    fn put<'a>(&self, records: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.topics.put(&self.inbox(), records);
    }

    fn status(&self, order: &Unpaid) -> String {
        self.get(&format!("/v1/orders/{}", order.id))["status"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn becomes(&self, order: &Unpaid, status: &str) {
        let became = poll(PATIENCE, || (self.status(order) == status).then_some(()));
        assert!(became.is_some(), "it is {}, not {status}\n{}", self.status(order), self.server.log());
    }

    /// The group has committed so many records.
    #[track_caller]
    fn until_committed(&self, records: i64) {
        let done = poll(PATIENCE, || (self.committed() == records).then_some(()));
        assert!(done.is_some(), "{} of {records} are committed\n{}", self.committed(), self.server.log());
    }

    fn committed(&self) -> i64 {
        self.topics.committed(self.name, &self.inbox()).values().sum()
    }

    fn letters(&self) -> Vec<Kept> {
        self.topics.all(&format!("{}.payment-results.dlq.v1", self.name))
    }

    /// Paid once each, and nothing else sold.
    #[track_caller]
    fn paid_once(&self, orders: &[Unpaid]) {
        for order in orders {
            self.becomes(order, "confirmed");
            let timeline = self.get(&format!("/v1/orders/{}/timeline", order.id));
            let facts = timeline["items"].as_array().unwrap();
            assert_eq!(facts.iter().filter(|fact| fact["type"] == "holdfast.order.paid").count(), 1, "{timeline}");
        }
        let sold = 2 * orders.len() as u64;
        let counted = poll(PATIENCE, || (self.get("/v1/inventory/MUG")["committed"] == sold).then_some(()));
        assert!(counted.is_some(), "{}", self.get("/v1/inventory/MUG"));
    }

    fn metric(&self, name: &str) -> f64 {
        let text = String::from_utf8(self.client().ask(&Request::get("/metrics")).unwrap().body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

fn as_it_is(options: Options) -> Options {
    options
}

#[test]
fn a_result_on_the_topic_pays_or_declines_its_order() {
    let Some(shop) = Shop::open("told", as_it_is) else { return };
    let (paid, declined) = (shop.order("a"), shop.order("b"));
    shop.tell([&paid.result("captured"), &declined.result("declined")]);
    shop.becomes(&paid, "confirmed");
    shop.becomes(&declined, "awaiting_payment");
    shop.until_committed(2);
    assert_eq!(shop.metric("holdfast_inbound_handled_total"), 2.0);
    assert_eq!(shop.letters(), []);
}

#[test]
fn a_result_delivered_three_times_has_one_effect() {
    let Some(shop) = Shop::open("thrice", as_it_is) else { return };
    let orders = shop.orders(3);
    for order in &orders {
        let result = order.result("captured");
        shop.tell([&result, &result, &result]);
    }
    // In one batch, and each in one of its own: told again after the group has committed.
    shop.until_committed(9);
    shop.tell(&orders.iter().map(|order| order.result("captured")).collect::<Vec<_>>());
    shop.until_committed(12);
    shop.paid_once(&orders);
    assert_eq!(shop.letters(), []);
}

/// The topic of dead letters takes nothing, so that what came before the dead letter is applied and cannot be committed.
#[test]
fn a_server_killed_between_applying_and_committing_loses_nothing_and_pays_once() {
    let Some(mut shop) = Shop::open("between", |options| options.env("HOLDFAST__KAFKA__PAYMENT_RESULTS", "false")) else {
        return;
    };
    let letters = format!("{}.payment-results.dlq.v1", shop.name);
    shop.topics.create(&shop.inbox(), 1, &[]);
    shop.topics.create(&letters, 1, &[("max.message.bytes", "1")]);
    let orders = shop.orders(2);
    let results: Vec<String> = orders.iter().map(|order| order.result("captured").to_string()).collect();
    shop.put([("a", results[0].as_str()), ("b", "nonsense"), ("c", results[1].as_str())]);
    shop.server.stop_with("HOLDFAST__KAFKA__PAYMENT_RESULTS", "true");
    shop.server.restart();
    for order in &orders {
        shop.becomes(order, "confirmed");
    }
    assert_eq!((shop.committed(), shop.letters().len()), (0, 0), "there was nothing between applying and committing");
    shop.server.restart();
    shop.topics.alter(&letters, "max.message.bytes", "1000000");
    shop.until_committed(3);
    shop.paid_once(&orders);
    let reasons: Vec<String> = shop.letters().iter().map(|letter| letter.headers["hf-dlq-offset"].clone()).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|offset| offset == "1"), "{reasons:?}");
}

#[test]
fn a_server_killed_while_results_come_in_pays_each_order_once() {
    let Some(mut shop) = Shop::open("killed", as_it_is) else { return };
    let orders = shop.orders(60);
    for (round, orders) in orders.chunks(20).enumerate() {
        shop.tell(&orders.iter().map(|order| order.result("captured")).collect::<Vec<_>>());
        shop.becomes(&orders[5 * round], "confirmed");
        shop.server.restart();
    }
    shop.until_committed(60);
    shop.paid_once(&orders);
    assert_eq!(shop.letters(), []);
}

#[test]
fn what_can_never_be_taken_is_put_aside_with_its_reason_and_the_next_is_taken() {
    let Some(shop) = Shop::open("poison", as_it_is) else { return };
    let order = shop.order("a");
    let good = order.result("captured");
    let with = |member: &str, value: Value| {
        let mut result = good.clone();
        result[member] = value;
        result.to_string()
    };
    let poison = [
        ("malformed", "nonsense".to_owned()),
        ("malformed", json!({"id": "e", "type": "payment.captured"}).to_string()),
        ("unknown_type", with("type", json!("payment.stolen"))),
        ("unknown_attempt", with("attempt_id", json!("pay_00000000000000000000000000-1"))),
        ("unknown_attempt", with("attempt_id", json!("pay_zzzzzzzzzzzzzzzzzzzzzzzzzz-1"))),
        ("unknown_attempt", with("attempt_id", json!(order.attempt.replace("-1", "-9")))),
        ("other_provider", with("provider", json!("bank"))),
        ("other_amount", with("amount", json!(999))),
        ("other_amount", with("currency", json!("USD"))),
    ];
    shop.put(poison.iter().map(|(reason, value)| (*reason, value.as_str())));
    shop.until_committed(poison.len() as i64);
    assert_eq!(shop.status(&order), "payment_in_flight");
    shop.tell([&good]);
    shop.becomes(&order, "confirmed");
    let letters = shop.letters();
    assert_eq!(letters.len(), poison.len());
    for (offset, (reason, value)) in poison.iter().enumerate() {
        let letter = letters.iter().find(|letter| letter.headers["hf-dlq-offset"] == offset.to_string()).unwrap();
        assert_eq!((letter.key.as_str(), &letter.value), (*reason, value));
        assert_eq!((&*letter.headers["hf-dlq-reason"], &*letter.headers["hf-dlq-partition"]), (*reason, "0"));
        assert_eq!(letter.headers["hf-dlq-topic"], shop.inbox());
        assert!(!letter.headers["hf-dlq-detail"].is_empty());
    }
    assert_eq!(shop.metric("holdfast_inbound_dead_lettered_total{reason=\"other_amount\"}"), 2.0);
}

#[test]
fn with_the_broker_away_orders_go_on_and_results_are_taken_when_it_is_back() {
    let Some(shop) = Shop::open("away", as_it_is) else { return };
    let before = shop.order("a");
    shop.tell([&before.result("captured")]);
    shop.until_committed(1);
    shop.brokers.kill(1);
    let meanwhile = shop.order("b");
    shop.brokers.restart(1);
    shop.tell([&meanwhile.result("captured")]);
    shop.until_committed(2);
    shop.paid_once(&[before, meanwhile]);
}

/// Hundreds of results at a server that has room for one request: none is refused for good because of that.
#[test]
fn results_the_engine_has_no_room_for_now_wait() {
    let Some(shop) = Shop::open("room", |options| options.env("HOLDFAST__ENGINE__CREDITS", "1")) else { return };
    let orders = shop.orders(100);
    shop.tell(&orders.iter().map(|order| order.result("captured")).collect::<Vec<_>>());
    shop.until_committed(100);
    assert!(shop.metric("holdfast_inbound_retries_total") > 0.0, "there was room for all of them");
    assert_eq!(shop.letters(), []);
    shop.paid_once(&orders);
}

/// There is no topic for the dead letter, which has to wait; what comes meanwhile is read later, nothing twice.
#[test]
fn a_batch_that_takes_long_keeps_its_place_in_the_group_and_nothing_is_passed_over() {
    let verbose = |options: Options| options.env("HOLDFAST__LOG__LEVEL", "info,holdfast_storage=debug");
    let Some(shop) = Shop::open("long", verbose) else { return };
    let orders = shop.orders(40);
    let results: Vec<Value> = orders.iter().map(|order| order.result("captured")).collect();
    shop.tell(&results[..10]);
    shop.until_committed(10);
    let letters = format!("{}.payment-results.dlq.v1", shop.name);
    shop.topics.delete(&letters);
    shop.put([("b", "nonsense")]);
    shop.tell(&results[10..20]);
    let paused = poll(PATIENCE, || shop.server.log().contains("partitions are paused").then_some(()));
    assert!(paused.is_some(), "{}", shop.server.log());
    shop.tell(&results[20..]);
    shop.topics.create(&letters, 1, &[]);
    shop.until_committed(41);
    shop.paid_once(&orders);
    assert_eq!((shop.letters().len(), shop.metric("holdfast_inbound_handled_total")), (1, 40.0));
}

#[test]
fn a_server_told_to_stop_commits_what_it_has_in_hand_and_takes_no_more() {
    let Some(mut shop) = Shop::open("stopped", as_it_is) else { return };
    let orders = shop.orders(300);
    shop.tell(&orders.iter().map(|order| order.result("captured")).collect::<Vec<_>>());
    shop.becomes(&orders[0], "confirmed");
    assert!(shop.server.terminate().success(), "{}", shop.server.log());
    let committed = usize::try_from(shop.committed()).unwrap();
    shop.server.stop_with("HOLDFAST__KAFKA__PAYMENT_RESULTS", "false");
    shop.server.restart();
    let paid = orders.iter().filter(|order| shop.status(order) == "confirmed").count();
    assert_eq!(paid, committed, "taken and not committed, or the other way round");
    shop.server.stop_with("HOLDFAST__KAFKA__PAYMENT_RESULTS", "true");
    shop.server.restart();
    shop.until_committed(300);
    shop.paid_once(&orders);
}

/// A dead letter has nowhere to go, so a batch is in hand, and then the broker is silent: neither can end, the stop can.
#[test]
fn a_stop_while_the_broker_is_silent_ends_by_its_deadline_and_what_was_in_hand_is_taken_once_by_the_next() {
    let slow = |options: Options| {
        options.env("HOLDFAST__LOG__LEVEL", "info,holdfast_storage=debug").env("HOLDFAST__KAFKA__FLUSH_SECONDS", "1")
    };
    let Some(mut shop) = Shop::open("silent", slow) else { return };
    let orders = shop.orders(4);
    shop.tell(&[orders[0].result("captured")]);
    shop.until_committed(1);
    let letters = format!("{}.payment-results.dlq.v1", shop.name);
    shop.topics.delete(&letters);
    shop.put([("b", "nonsense")]);
    shop.tell(&orders[1..].iter().map(|order| order.result("captured")).collect::<Vec<_>>());
    let paused = poll(PATIENCE, || shop.server.log().contains("partitions are paused").then_some(()));
    assert!(paused.is_some(), "{}", shop.server.log());
    shop.brokers.pause(1);
    shop.server.signal_stop();
    let began = Instant::now();
    let ended = shop.server.wait_for_exit(STOP);
    shop.brokers.resume(1);
    eprintln!("stopped in {:?}", began.elapsed());
    assert!(ended.is_some_and(|status| status.success()), "{}", shop.server.log());
    shop.topics.create(&letters, 1, &[]);
    shop.server.restart();
    shop.until_committed(5);
    shop.paid_once(&orders);
}
