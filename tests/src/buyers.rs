//! Buyers who place, pay, cancel and let expire, as fast as they are let, whatever becomes of the server.
//!
//! They check nothing: what they do is the load under which something else is looked at.

use crate::torture::client::{Client, Reached, Request};
use crate::torture::dice::Dice;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What they want.
pub const SKUS: [&str; 8] = ["HOT", "B1", "B2", "B3", "B4", "B5", "B6", "B7"];
/// Enough for any run.
const UNITS: u64 = 1_000_000_000;
/// After a request that was not answered.
const BREATH: Duration = Duration::from_millis(50);

/// A crowd at work. It goes home when the value is dropped.
pub struct Buyers {
    stop: Arc<AtomicBool>,
    placed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Buyers {
    /// Stocks what they want. Once for each data directory.
    ///
    /// # Panics
    /// If the server does not take it.
    pub fn stock(url: &str) {
        let client = Client::new(url);
        for sku in SKUS {
            let path = format!("/v1/inventory/{sku}/locations/main");
            client.json(&Request::put(path, 0, &json!({"on_hand": UNITS}))).unwrap_or_else(|what| panic!("{what}"));
        }
    }

    /// Lets so many buyers in, who rest for `pause` after each order. No two crowds at one server may have the same name.
    pub fn start(url: &str, name: &str, count: u64, pause: Duration) -> Self {
        let (stop, placed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let buyer = |number| {
            let (client, name, stop, placed) = (Client::new(url), format!("{name}-{number}"), stop.clone(), placed.clone());
            let mut buyer = Buyer { client, name, dice: Dice::new(number + 1), keys: 0 };
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let bought = buyer.buy();
                    placed.fetch_add(u64::from(bought), Ordering::SeqCst);
                    std::thread::sleep(if bought { pause } else { BREATH });
                }
            })
        };
        let threads = (0..count).map(buyer).collect();
        Self { stop, placed, threads }
    }

    /// Orders acknowledged so far.
    pub fn placed(&self) -> u64 {
        self.placed.load(Ordering::SeqCst)
    }

    /// Sends them home and says how many orders were acknowledged.
    pub fn stop(mut self) -> u64 {
        self.go_home();
        self.placed()
    }

    fn go_home(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // A buyer that panicked bought nothing more.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Drop for Buyers {
    fn drop(&mut self) {
        self.go_home();
    }
}

struct Buyer {
    client: Client,
    name: String,
    dice: Dice,
    keys: u64,
}

impl Buyer {
    /// One order and what becomes of it. False if it was not acknowledged.
    fn buy(&mut self) -> bool {
        self.keys += 1;
        let pays = self.dice.chance(300);
        let mut body = json!({"customer_id": self.name, "currency": "EUR", "ttl_seconds": if self.dice.chance(100) { 1 } else { 600 },
            "lines": [{"sku": SKUS[self.dice.index(SKUS.len())], "quantity": self.dice.between(1, 3), "unit_price": 250}]});
        if pays {
            body["payment"] = json!({"provider": "sandbox"});
        }
        let request = Request::keyed("/v1/orders", format!("{}-{}", self.name, self.keys), &body);
        let Reached::Answered(answer) = self.client.send(&request) else { return false };
        if answer.status != 201 {
            return false;
        }
        let order = answer.json();
        let attempt = order["payment"]["attempt_id"].as_str();
        let next = match (attempt, self.dice.below(10)) {
            (Some(attempt), _) => Some(Request::press(format!("/sandbox/payments/{attempt}/approve"))),
            (None, 0..4) => {
                Some(Request::post(format!("/v1/orders/{}:cancel", order["id"].as_str().unwrap_or_default()), &json!({})))
            }
            (None, 4..7) => {
                Some(Request::post(format!("/v1/orders/{}:confirm", order["id"].as_str().unwrap_or_default()), &json!({})))
            }
            (None, _) => None,
        };
        if let Some(next) = next {
            self.client.send(&next);
        }
        true
    }
}
