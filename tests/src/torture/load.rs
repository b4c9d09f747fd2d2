//! One buyer and clerk: places, pays, confirms, cancels, adjusts, one request after the other, and notes it all.
//!
//! Invariant: an order is moved on by the worker that placed it only, so the worker knows what to expect of it. Stock is
//! fought over by all.

use super::Kind;
use super::client::{Answer, Client, Reached, Request};
use super::dice::Dice;
use super::facts::{Fact, bare};
use super::ledger::{Deed, Notes, Purpose, Seal};
use crate::server::poll;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What everybody wants.
pub const SKUS: [&str; 8] = ["HOT", "S1", "S2", "S3", "S4", "S5", "S6", "S7"];
pub const LOCATION: &str = "main";
/// Orders a worker keeps going back to.
const MEMORY: usize = 100;

#[derive(Clone, Debug)]
enum Item {
    /// Held and not paid.
    Order(String),
    /// With its open attempt.
    Paying(String, String),
    Reservation(String),
}

/// The SKU that one worker alone counts.
#[derive(Debug)]
pub struct Own {
    pub sku: String,
    pub version: u64,
    pub on_hand: u64,
    /// A count whose outcome is not known.
    pub open: Option<u64>,
}

pub struct Worker {
    number: u64,
    dice: Dice,
    keys: u64,
    items: Vec<Item>,
    /// Attempts that are over as far as the worker knows: a bank may still pay them.
    old: Vec<(String, String)>,
    pays: bool,
    pub own: Own,
    pub notes: Notes,
}

impl Worker {
    pub fn new(number: u64, dice: Dice) -> Self {
        let own = Own { sku: format!("OWN-{number}"), version: 0, on_hand: 0, open: None };
        Self { number, dice, keys: 0, items: Vec::new(), old: Vec::new(), pays: true, own, notes: Notes::default() }
    }

    /// Never pays: for servers that do not share a sandbox.
    #[must_use]
    pub fn without_money(mut self) -> Self {
        self.pays = false;
        self
    }

    /// Works until told to stop, or until the connection breaks.
    pub fn work(&mut self, client: &Client, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) && self.step(client) {}
    }

    /// One request. False if its outcome is unknown.
    fn step(&mut self, client: &Client) -> bool {
        match self.dice.below(100) {
            0..30 => self.place(client, false),
            30..42 => self.place(client, self.pays),
            42..54 => self.reserve(client),
            54..60 => self.adjust(client),
            60..64 => self.count(client),
            64..66 => self.late(client),
            _ => self.go_on(client),
        }
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("w{}-{}", self.number, self.keys)
    }

    fn lines(&mut self, priced: bool) -> Vec<Value> {
        let count = 1 + self.dice.below(6) / 4 + self.dice.below(8) / 7;
        let lines = (0..count).map(|_| {
            let sku = match self.dice.below(100) {
                0..2 => "NEVER-STOCKED",
                2..40 => SKUS[0],
                _ => SKUS[self.dice.index(SKUS.len())],
            };
            let quantity = if self.dice.chance(20) { 900_000 } else { self.dice.between(1, 3) };
            if priced {
                json!({"sku": sku, "quantity": quantity, "unit_price": 250})
            } else {
                json!({"sku": sku, "quantity": quantity})
            }
        });
        lines.collect()
    }

    fn ttl(&mut self) -> u64 {
        if self.dice.chance(200) { self.dice.between(1, 2) } else { 600 }
    }

    /// Places an order. False if its outcome is unknown.
    pub fn place(&mut self, client: &Client, pays: bool) -> bool {
        let mut body = json!({"customer_id": format!("c{}", self.number), "currency": "EUR", "lines": self.lines(true),
            "ttl_seconds": self.ttl(), "allow_partial": self.dice.chance(100)});
        if pays {
            body["payment"] = json!({"provider": "sandbox"});
        }
        let request = Request::keyed("/v1/orders", self.key(), &body);
        self.do_keyed(client, request, Purpose::Place)
    }

    /// Places one order until it is answered: what a buyer does who finds nobody there. False if `patience` is over.
    pub fn insist(&mut self, client: &Client, patience: Duration) -> bool {
        let body = json!({"customer_id": format!("c{}", self.number), "currency": "EUR", "lines": self.lines(true)});
        let request = Request::keyed("/v1/orders", self.key(), &body);
        let deed = Deed { request, purpose: Purpose::Place, sealed: None, refused: false };
        let answered = poll(patience, || match client.send(&deed.request) {
            Reached::Answered(answer) => Some(answer),
            Reached::Refused(_) | Reached::Unknown => None,
        });
        let Some(answer) = answered else {
            self.notes.open.push(deed);
            return false;
        };
        self.learn(deed, &answer);
        true
    }

    fn reserve(&mut self, client: &Client) -> bool {
        let body = json!({"owner": format!("o{}", self.number), "lines": self.lines(false), "ttl_seconds": self.ttl()});
        let request = Request::keyed("/v1/reservations", self.key(), &body);
        self.do_keyed(client, request, Purpose::Place)
    }

    fn adjust(&mut self, client: &Client) -> bool {
        let sku = SKUS[self.dice.index(SKUS.len())];
        let delta = match self.dice.below(10) {
            0 => -(self.dice.between(1, 20).cast_signed()),
            1 => -900_000,
            _ => self.dice.between(10, 60).cast_signed(),
        };
        let body = json!({"location": LOCATION, "delta": delta, "reason": "torture"});
        let request = Request::keyed(format!("/v1/inventory/{sku}/adjustments"), self.key(), &body);
        self.do_keyed(client, request, Purpose::Adjust { sku: sku.to_owned(), delta })
    }

    fn do_keyed(&mut self, client: &Client, request: Request, purpose: Purpose) -> bool {
        let mut deed = Deed { request, purpose, sealed: None, refused: false };
        match client.send(&deed.request) {
            Reached::Answered(answer) => {
                self.learn(deed, &answer);
                return true;
            }
            Reached::Refused(_) => deed.refused = true,
            Reached::Unknown => {}
        }
        self.notes.open.push(deed);
        false
    }

    /// Takes the first answer to a deed, whenever it comes.
    pub fn learn(&mut self, mut deed: Deed, answer: &Answer) {
        self.notes.acknowledged += 1;
        match (&deed.purpose, answer.status) {
            (Purpose::Place, 201) => self.placed(answer),
            (Purpose::Place, 409 | 422) => self.not_placed(&deed, answer),
            (Purpose::Pay(order), 201) => {
                let (order, attempt) = (order.clone(), answer.text("attempt_id"));
                self.notes.claim(&order, Fact::PaymentStarted);
                self.remember(Item::Paying(order, attempt));
            }
            (Purpose::Adjust { sku, delta }, 201) => self.notes.stocked.push((sku.clone(), *delta)),
            (Purpose::Pay(_) | Purpose::Adjust { .. }, 409) => {}
            (Purpose::Place | Purpose::Pay(_) | Purpose::Adjust { .. }, _) => self.notes.unexpected(&deed.request, answer),
        }
        deed.sealed = Some(Seal::of(answer));
        self.notes.sealed.push(deed);
    }

    fn placed(&mut self, answer: &Answer) {
        let body = answer.json();
        let order = bare(&body["id"]);
        self.notes.ask(&order, Fact::Placed);
        self.notes.claim(&order, Fact::Placed);
        self.notes.claim(&order, Fact::Held);
        let reserved = body["id"].as_str().is_some_and(|id| id.starts_with("res_"));
        let attempt = body["payment"]["attempt_id"].as_str();
        if attempt.is_some() {
            self.notes.ask(&order, Fact::PaymentStarted);
            self.notes.claim(&order, Fact::PaymentStarted);
        }
        // An attempt that was voided before its page opened has no page, and its order waits for another.
        let opened = attempt.filter(|_| body["payment"]["redirect_url"].is_string());
        match opened {
            _ if reserved => self.remember(Item::Reservation(order)),
            Some(attempt) => self.remember(Item::Paying(order, attempt.to_owned())),
            None => self.remember(Item::Order(order)),
        }
    }

    /// A refused order is kept under an id too.
    fn not_placed(&mut self, deed: &Deed, answer: &Answer) {
        let body = answer.json();
        let id = if body["order_id"].is_null() { &body["reservation_id"] } else { &body["order_id"] };
        let order = bare(id);
        self.notes.ask(&order, Fact::Placed);
        self.notes.ask(&order, Fact::PaymentStarted);
        match body["code"].as_str().unwrap_or_default() {
            "out_of_stock" | "unknown_sku" => self.notes.claim(&order, Fact::Rejected),
            // The payment page did not open in time.
            "reservation_expired" => self.notes.claim(&order, Fact::Expired),
            _ => self.notes.unexpected(&deed.request, answer),
        }
    }

    fn remember(&mut self, item: Item) {
        if self.items.len() >= MEMORY {
            let oldest = self.dice.index(MEMORY / 2);
            self.items.remove(oldest);
        }
        self.items.push(item);
    }

    /// Counts the SKU of its own.
    fn count(&mut self, client: &Client) -> bool {
        let units = self.dice.below(1000);
        let path = format!("/v1/inventory/{}/locations/{LOCATION}", self.own.sku);
        let request = Request::put(path, self.own.version, &json!({"on_hand": units}));
        match client.send(&request) {
            Reached::Answered(answer) if answer.status == 200 => {
                self.notes.acknowledged += 1;
                (self.own.version, self.own.on_hand) = (answer.json()["version"].as_u64().unwrap_or_default(), units);
                return true;
            }
            Reached::Answered(answer) => self.notes.unexpected(&request, &answer),
            Reached::Refused(_) => {}
            Reached::Unknown => self.own.open = Some(units),
        }
        false
    }

    /// Money for something that may be over: the bank was slow.
    fn late(&mut self, client: &Client) -> bool {
        if self.old.is_empty() {
            return true;
        }
        let (order, attempt) = self.old.swap_remove(self.dice.index(self.old.len()));
        self.press(client, &order, &attempt, "approve")
    }

    /// Moves one of its orders on.
    fn go_on(&mut self, client: &Client) -> bool {
        if self.items.is_empty() {
            return true;
        }
        let item = self.items.swap_remove(self.dice.index(self.items.len()));
        let choice = self.dice.below(100);
        match &item {
            Item::Order(order) => match choice {
                0..40 => self.post(client, &format!("/v1/orders/ord_{order}:confirm"), order, Fact::Confirmed),
                40..60 => self.post(client, &format!("/v1/orders/ord_{order}:cancel"), order, Fact::Cancelled),
                _ if self.pays => self.pay(client, order),
                _ => self.post(client, &format!("/v1/orders/ord_{order}:confirm"), order, Fact::Confirmed),
            },
            Item::Paying(order, attempt) => self.end_payment(client, order, attempt, choice),
            Item::Reservation(order) => match choice {
                0..50 => self.post(client, &format!("/v1/reservations/res_{order}:commit"), order, Fact::Confirmed),
                50..80 => self.ask_for(client, &Request::delete(format!("/v1/reservations/res_{order}")), order, Fact::Cancelled),
                _ => {
                    let known = self.post(client, &format!("/v1/reservations/res_{order}:extend"), order, Fact::Extended);
                    self.remember(item);
                    known
                }
            },
        }
    }

    fn pay(&mut self, client: &Client, order: &str) -> bool {
        self.notes.ask(order, Fact::PaymentStarted);
        let request = Request::keyed(format!("/v1/orders/ord_{order}/payments"), self.key(), &json!({"provider": "sandbox"}));
        self.do_keyed(client, request, Purpose::Pay(order.to_owned()))
    }

    fn end_payment(&mut self, client: &Client, order: &str, attempt: &str, choice: u64) -> bool {
        match choice {
            0..60 => self.press(client, order, attempt, "approve"),
            60..75 => {
                // After the bank said no the order waits for another attempt.
                self.remember(Item::Order(order.to_owned()));
                self.old.push((order.to_owned(), attempt.to_owned()));
                self.press(client, order, attempt, "decline")
            }
            75..80 => {
                self.old.push((order.to_owned(), attempt.to_owned()));
                self.press(client, order, attempt, "silence")
            }
            80..90 => {
                self.old.push((order.to_owned(), attempt.to_owned()));
                self.post(client, &format!("/v1/orders/ord_{order}:cancel"), order, Fact::Cancelled)
            }
            _ => {
                self.old.push((order.to_owned(), attempt.to_owned()));
                true
            }
        }
    }

    fn press(&mut self, client: &Client, order: &str, attempt: &str, button: &str) -> bool {
        let path = format!("/sandbox/payments/{attempt}/{button}?duplicates={}", self.dice.below(3));
        match button {
            "approve" => self.notes.ask(order, Fact::Paid),
            // The fifth decline ends an order.
            "decline" => self.notes.ask(order, Fact::Cancelled),
            _ => {}
        }
        let request = Request::press(path);
        match client.send(&request) {
            Reached::Answered(answer) if answer.status == 200 => {
                self.notes.acknowledged += 1;
                if answer.text("status") == "captured" {
                    self.notes.captured.push(attempt.to_owned());
                }
                true
            }
            Reached::Answered(answer) => {
                self.notes.breach(Kind::Lost, format!("the sandbox does not know {attempt}: {}", answer.shown()));
                true
            }
            Reached::Refused(_) | Reached::Unknown => false,
        }
    }

    fn post(&mut self, client: &Client, path: &str, order: &str, fact: Fact) -> bool {
        self.ask_for(client, &Request::post(path, &json!({})), order, fact)
    }

    /// Asks for a fact about an order. The answer may say that the order is past it.
    fn ask_for(&mut self, client: &Client, request: &Request, order: &str, fact: Fact) -> bool {
        self.notes.ask(order, fact);
        match client.send(request) {
            Reached::Answered(answer) => {
                match answer.status {
                    200 | 204 => {
                        self.notes.acknowledged += 1;
                        // Giving back what expired by itself is answered with 204 too.
                        if answer.status == 200 {
                            self.notes.claim(order, fact);
                        }
                    }
                    409 => {}
                    404 => self.notes.breach(Kind::Lost, format!("order {order} is not there: {}", answer.shown())),
                    _ => self.notes.unexpected(request, &answer),
                }
                true
            }
            Reached::Refused(_) | Reached::Unknown => false,
        }
    }
}
