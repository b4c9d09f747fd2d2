//! A run in which everything happens that can happen: every type of event comes up at least once.
//!
//! It checks nothing: what came up is for others to look at. It waits for states, never for a time.

use crate::server::{Options, Server, poll};
use crate::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server on which everything has happened.
pub struct Repertoire {
    pub server: Server,
    client: Client,
}

impl Repertoire {
    /// # Panics
    /// If something does not happen.
    pub fn play(options: Options) -> Self {
        let short = ["PIN", "QUERY_AFTER", "QUERY_MAX", "UNKNOWN_MAX", "DECLINE_GRACE"];
        let options = short.iter().fold(options, |options, key| options.env(format!("HOLDFAST__PAYMENTS__{key}_SECONDS"), "1"));
        let server = Server::start(options);
        let client = Client::new(&server.url());
        let run = Self { server, client };
        run.stock();
        run.reservations();
        run.orders();
        run.payments();
        run.late_money();
        run.operator();
        run
    }

    /// Everything that happened until now.
    ///
    /// # Panics
    /// If the server does not say.
    pub fn events(&self) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(&format!("/v1/events?limit=1000&after={after}"));
            let Value::Array(found) = page["events"].take() else { panic!("no events: {page}") };
            if found.is_empty() {
                return events;
            }
            events.extend(found);
            after = page["next"].as_str().unwrap_or_default().to_owned();
        }
    }

    fn get(&self, path: &str) -> Value {
        self.client.json(&Request::get(path)).unwrap_or_else(|said| panic!("{said}"))
    }

    #[track_caller]
    fn ask(&self, request: &Request, status: u16) -> Value {
        let answer = self.client.ask(request).unwrap_or_else(|said| panic!("{said}"));
        assert_eq!(answer.status, status, "{} {}: {}", request.method, request.path, answer.shown());
        answer.json()
    }

    fn put(&self, sku: &str, units: u64) {
        let path = format!("/v1/inventory/{sku}/locations/main");
        self.ask(&Request { if_match: Some("*".to_owned()), ..Request::put(path, 0, &json!({"on_hand": units})) }, 200);
    }

    fn stock(&self) {
        self.put("MUG", 50);
        self.put("LAST", 2);
        let damaged = json!({"location": "main", "bucket": "damaged", "delta": 1, "reason": "found", "reference": "note 7"});
        self.ask(&Request::keyed("/v1/inventory/MUG/adjustments", "adjustment", &damaged), 201);
        let mistyped = "/v1/inventory/LAST/locations/mian";
        let any = || Some("*".to_owned());
        self.ask(&Request { if_match: any(), ..Request::put(mistyped, 0, &json!({"on_hand": 0})) }, 200);
        self.ask(&Request { if_match: any(), ..Request::delete(mistyped) }, 204);
        let threshold = Request::post("/v1/inventory/LAST", &json!({"low_stock_threshold": 1}));
        self.ask(&Request { method: "PATCH", ..threshold }, 200);
    }

    fn reserve(&self, key: &str, sku: &str) -> String {
        let body = json!({"owner": "ada", "lines": [{"sku": sku, "quantity": 1}]});
        let held = self.ask(&Request::keyed("/v1/reservations", key, &body), 201);
        format!("/v1/reservations/{}", held["id"].as_str().unwrap_or_default())
    }

    fn reservations(&self) {
        let sold = self.reserve("sold", "MUG");
        self.ask(&Request::post(format!("{sold}:extend"), &json!({"ttl_seconds": 3600})), 200);
        self.ask(&Request::press(format!("{sold}:commit")), 200);
        // Low, then the last one, then back.
        let (first, last) = (self.reserve("first", "LAST"), self.reserve("last", "LAST"));
        for path in [first, last] {
            self.client.ask(&Request::delete(path)).unwrap_or_else(|said| panic!("{said}"));
        }
    }

    fn place(&self, key: &str, lines: &[(&str, u64)], ttl: u64, paid: bool, status: u16) -> Value {
        let lines: Vec<Value> = lines
            .iter()
            .map(|(sku, units)| json!({"sku": sku, "quantity": units, "unit_price": 500, "seller_id": "shop"}))
            .collect();
        let mut body = json!({"customer_id": "ada", "currency": "EUR", "lines": lines, "ttl_seconds": ttl});
        if paid {
            body["payment"] = json!({"provider": "sandbox"});
        }
        // What an order is related to stays with it over everything that happens.
        self.ask(&Request { correlation: Some(key.to_owned()), ..Request::keyed("/v1/orders", key, &body) }, status)
    }

    fn orders(&self) {
        let cancelled = self.place("cancelled", &[("MUG", 1)], 900, false, 201);
        self.ask(&Request::post(format!("{}:cancel", path(&cancelled)), &json!({"reason": "no longer wanted"})), 200);
        self.place("short", &[("MUG", 1), ("LAST", 99)], 900, false, 409);
        self.place("unknown", &[("NEVER", 1)], 900, false, 422);
        let expired = self.place("expired", &[("MUG", 1)], 1, false, 201);
        self.until(&expired, "status", "expired");
    }

    fn press(&self, order: &Value, button: &str) {
        let attempt = order["payment"]["attempt_id"].as_str().unwrap_or_default();
        self.ask(&Request::press(format!("/sandbox/payments/{attempt}/{button}")), 200);
    }

    fn payments(&self) {
        let paid = self.place("paid", &[("MUG", 2)], 900, true, 201);
        self.press(&paid, "approve");
        self.until(&paid, "status", "confirmed");
        let declined = self.place("declined", &[("MUG", 1)], 900, true, 201);
        self.press(&declined, "decline");
        self.until(&declined, "status", "awaiting_payment");
        let started = Request::keyed(format!("{}/payments", path(&declined)), "again", &json!({"provider": "sandbox"}));
        self.ask(&started, 201);
        // Nobody decides until the units are no longer pinned.
        self.happens("payment.voided", &declined);
        let silent = self.place("silent", &[("MUG", 1)], 1, true, 201);
        self.press(&silent, "silence");
        self.until(&silent, "status", "expired");
    }

    fn late_money(&self) {
        let found = self.place("late", &[("MUG", 1)], 1, true, 201);
        let refunded = self.place("too-late", &[("LAST", 2)], 1, true, 201);
        for order in [&found, &refunded] {
            self.until(order, "status", "expired");
            self.leaves_memory(order);
        }
        self.place("quick", &[("LAST", 2)], 900, false, 201);
        self.press(&found, "approve");
        self.press(&refunded, "approve");
        self.until(&found, "status", "confirmed");
        self.until(&refunded, "payment_status", "refunded");
        self.happens("order.settled", &found);
        let kept = poll(PATIENCE, || self.events().iter().any(|event| event["type"] == "holdfast.archive.keys").then_some(()));
        assert!(kept.is_some(), "kept answers never left memory");
    }

    fn operator(&self) {
        let plan = self.ask(&Request::post("/admin/v1/tuning:plan", &json!({"changes": {"engine.batch_kb": 512}})), 200);
        self.ask(&Request::post("/admin/v1/tuning:apply", &json!({"plan": plan["plan"], "note": "an example"})), 200);
    }

    #[track_caller]
    fn until(&self, order: &Value, member: &str, wanted: &str) {
        let mut last = Value::Null;
        let came = poll(PATIENCE, || {
            last = self.get(&path(order));
            (last[member] == wanted).then_some(())
        });
        assert!(came.is_some(), "{member} never became {wanted}: {last}");
    }

    #[track_caller]
    fn happens(&self, kind: &str, order: &Value) {
        let wanted = format!("holdfast.{kind}");
        let this = |event: &Value| event["type"] == wanted.as_str() && event["subject"] == order["id"];
        let came = poll(PATIENCE, || self.events().iter().any(this).then_some(()));
        assert!(came.is_some(), "{kind} never happened to {order}");
    }

    /// Until the order has to be brought back before anything can happen to it.
    #[track_caller]
    fn leaves_memory(&self, order: &Value) {
        let this = |event: &Value| {
            let left = event["data"]["order_ids"].as_array();
            left.is_some_and(|left| left.contains(&order["id"]))
        };
        let came = poll(PATIENCE, || self.events().iter().any(this).then_some(()));
        assert!(came.is_some(), "{order} never left memory");
    }
}

fn path(order: &Value) -> String {
    format!("/v1/orders/{}", order["id"].as_str().unwrap_or_default())
}
