//! Money that arrives after its order expired ends in fresh holds or in exactly one refund, however often it is told.

use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// One server with short times, and what a test does to its one SKU.
struct Shop {
    server: Server,
    client: Client,
}

impl Shop {
    fn open(late_payment: &str, units: u64) -> Self {
        let mut options = Options::new().env("HOLDFAST__PAYMENTS__LATE_PAYMENT", late_payment);
        for key in ["PIN", "QUERY_AFTER", "QUERY_MAX", "UNKNOWN_MAX", "DECLINE_GRACE"] {
            options = options.env(format!("HOLDFAST__PAYMENTS__{key}_SECONDS"), "1");
        }
        let server = Server::start(options);
        let client = Client::new(&server.url());
        client.json(&Request::put("/v1/inventory/LATE/locations/main", 0, &json!({"on_hand": units}))).unwrap();
        Self { server, client }
    }

    /// An order with an open payment: its path and its attempt.
    fn order(&self, key: &str) -> (String, String) {
        let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": "LATE", "quantity": 2, "unit_price": 500}],
            "ttl_seconds": 1, "payment": {"provider": "sandbox"}});
        let answer = self.client.ask(&Request::keyed("/v1/orders", key, &body)).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.shown());
        let body = answer.json();
        let attempt = body["payment"]["attempt_id"].as_str().unwrap();
        (format!("/v1/orders/{}", body["id"].as_str().unwrap()), attempt.to_owned())
    }

    fn press(&self, attempt: &str, button: &str) {
        let answer = self.client.ask(&Request::press(format!("/sandbox/payments/{attempt}/{button}"))).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.shown());
    }

    fn get(&self, path: &str) -> Value {
        self.client.json(&Request::get(path)).unwrap()
    }

    /// Waits until a member of a resource is `wanted`, and returns the resource.
    fn until(&self, path: &str, member: &str, wanted: &str) -> Value {
        let mut last = Value::Null;
        let came = poll(PATIENCE, || {
            last = self.get(path);
            (last[member] == wanted).then_some(())
        });
        assert!(came.is_some(), "{member} never became {wanted}: {last}\n{}", self.get(&format!("{path}/timeline")));
        last
    }

    /// How often a fact is in the timeline of an order.
    fn facts(&self, order: &str, fact: &str) -> usize {
        let timeline = self.get(&format!("{order}/timeline"));
        timeline["items"].as_array().unwrap().iter().filter(|item| item["type"] == fact).count()
    }

    /// Available, held and pinned, committed.
    fn stock(&self) -> (u64, u64, u64) {
        let stock = self.get("/v1/inventory/LATE");
        let units = |name: &str| stock[name].as_u64().unwrap();
        (units("available"), units("held") + units("pinned"), units("committed"))
    }

    /// An order is over or confirmed a moment before its units are where they belong.
    #[track_caller]
    fn until_stock(&self, wanted: (u64, u64, u64)) {
        let came = poll(PATIENCE, || (self.stock() == wanted).then_some(()));
        assert!(came.is_some(), "{:?} is not {wanted:?}", self.stock());
    }

    /// Payments from now on have all the time there is.
    fn give_time(&mut self) {
        self.server.stop_with("HOLDFAST__PAYMENTS__PIN_SECONDS", "600");
        self.server.restart();
        self.client = Client::new(&self.server.url());
    }

    /// Steps of the attempt in the sandbox's own record.
    fn steps(&self, attempt: &str, step: &str) -> usize {
        let record = std::fs::read_to_string(self.server.data_dir().join("sandbox/attempts.jsonl")).unwrap();
        let wanted = format!("\"step\":\"{step}\"");
        record.lines().filter(|line| line.contains(attempt) && line.contains(&wanted)).count()
    }

    fn assert_sold(&self, order: &str, attempt: &str, reheld: usize) {
        self.until(order, "status", "confirmed");
        assert_eq!(self.get(order)["payment_status"], "captured");
        assert_eq!((self.facts(order, "holdfast.order.reheld"), self.facts(order, "holdfast.order.paid")), (reheld, 1));
        assert_eq!((self.facts(order, "holdfast.refund.due"), self.steps(attempt, "refunded")), (0, 0));
    }

    fn assert_refunded_once(&self, order: &str, attempt: &str) {
        self.until(order, "payment_status", "refunded");
        assert_eq!((self.facts(order, "holdfast.refund.due"), self.facts(order, "holdfast.refund.done")), (1, 1));
        assert_eq!(self.steps(attempt, "refunded"), 1);
        assert_eq!(self.facts(order, "holdfast.order.paid"), 0);
    }

    /// Kills it, asks again after the restart, stops it in order and verifies the data.
    fn close(mut self, still: impl Fn(&Self)) {
        still(&self);
        self.server.kill();
        self.server.restart();
        self.client = Client::new(&self.server.url());
        still(&self);
        assert!(self.server.terminate().success(), "{}", self.server.log());
        let (sound, said) = self.server.verify();
        assert!(sound, "{said}");
    }
}

#[test]
fn late_money_holds_the_units_again_when_they_are_there() {
    let shop = Shop::open("rehold", 10);
    let (order, attempt) = shop.order("one");
    shop.until(&order, "status", "expired");
    shop.until_stock((10, 0, 0));
    shop.press(&attempt, "approve?duplicates=3");
    shop.until(&order, "status", "confirmed");
    shop.close(|shop| {
        shop.assert_sold(&order, &attempt, 1);
        shop.until_stock((8, 0, 2));
    });
}

#[test]
fn late_money_is_refunded_once_when_the_units_are_gone() {
    let mut shop = Shop::open("rehold", 2);
    let (late, late_attempt) = shop.order("late");
    shop.until(&late, "status", "expired");
    shop.until_stock((2, 0, 0));
    shop.give_time();
    let (quick, quick_attempt) = shop.order("quick");
    shop.press(&quick_attempt, "approve");
    shop.until(&quick, "status", "confirmed");
    shop.press(&late_attempt, "approve?duplicates=3");
    shop.until(&late, "payment_status", "refunded");
    shop.close(|shop| {
        shop.assert_refunded_once(&late, &late_attempt);
        shop.assert_sold(&quick, &quick_attempt, 0);
        shop.until_stock((0, 0, 2));
    });
}

#[test]
fn late_money_is_refunded_once_where_the_shop_wants_that() {
    let shop = Shop::open("refund", 10);
    let (order, attempt) = shop.order("one");
    shop.until(&order, "status", "expired");
    shop.press(&attempt, "approve?duplicates=3");
    shop.until(&order, "payment_status", "refunded");
    shop.close(|shop| {
        shop.assert_refunded_once(&order, &attempt);
        shop.until_stock((10, 0, 0));
    });
}

/// The provider was silent until the attempt was given up; then it turns out that the buyer paid.
#[test]
fn money_of_an_attempt_given_up_as_unknown_ends_like_any_late_money() {
    for (late_payment, sold) in [("rehold", true), ("refund", false)] {
        let shop = Shop::open(late_payment, 10);
        let (order, attempt) = shop.order("one");
        shop.press(&attempt, "silence");
        shop.until(&order, "status", "expired");
        shop.press(&attempt, "approve?duplicates=3");
        shop.until(&order, "payment_status", if sold { "captured" } else { "refunded" });
        shop.close(|shop| if sold { shop.assert_sold(&order, &attempt, 1) } else { shop.assert_refunded_once(&order, &attempt) });
    }
}

/// The webhook that comes while the server is away is told again after it is back.
#[test]
fn money_told_to_a_server_that_is_killed_is_told_again() {
    let mut shop = Shop::open("rehold", 10);
    let (order, attempt) = shop.order("one");
    shop.press(&attempt, "approve?delay_ms=60000");
    shop.server.kill();
    shop.server.restart();
    shop.client = Client::new(&shop.server.url());
    shop.until(&order, "status", "confirmed");
    shop.close(|shop| assert_eq!(shop.facts(&order, "holdfast.order.paid"), 1));
}
