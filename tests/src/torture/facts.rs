//! The published events, folded with rules of their own: what happened to each order and where the units of each SKU are.
//!
//! Invariant: the fold only ever goes forward over restarts; an event once read must never change or vanish.

use super::client::{Client, Request};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use xxhash_rust::xxh3::xxh3_64;

/// A kind of fact about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    Placed,
    Held,
    Rejected,
    Expired,
    Cancelled,
    Confirmed,
    Extended,
    PaymentStarted,
    Paid,
    Late,
    RefundDue,
    Refunded,
    /// One that nothing is asked about.
    Other,
}

/// A set of facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts(u16);

impl Facts {
    pub fn add(&mut self, fact: Fact) {
        self.0 |= 1 << fact as u16;
    }

    pub fn has(self, fact: Fact) -> bool {
        self.0 & (1 << fact as u16) != 0
    }
}

impl Fact {
    fn of(event: &str) -> Option<Self> {
        Some(match event {
            "holdfast.order.placed" | "holdfast.reservation.placed" => Fact::Placed,
            "holdfast.order.held" => Fact::Held,
            "holdfast.order.rejected" => Fact::Rejected,
            "holdfast.order.expired" => Fact::Expired,
            "holdfast.order.cancelled" => Fact::Cancelled,
            "holdfast.order.confirmed" => Fact::Confirmed,
            "holdfast.order.extended" => Fact::Extended,
            "holdfast.payment.started" => Fact::PaymentStarted,
            "holdfast.order.paid" => Fact::Paid,
            "holdfast.payment.late" => Fact::Late,
            "holdfast.refund.due" => Fact::RefundDue,
            "holdfast.refund.done" => Fact::Refunded,
            other if other.starts_with("holdfast.order.") || other.starts_with("holdfast.payment.") => Fact::Other,
            _ => return None,
        })
    }
}

/// What happened to one order.
#[derive(Debug, Default)]
pub struct Life {
    /// How many facts: the version of its resource.
    pub version: u64,
    pub facts: Facts,
    pub placed: u32,
}

/// What happened to the money of one attempt.
#[derive(Debug, Default)]
pub struct Money {
    pub paid: u32,
    pub refund_due: u32,
    pub refunded: u32,
}

/// Where the units of one SKU are.
#[derive(Debug, Default)]
pub struct Shelf {
    pub version: u64,
    pub on_hand: i64,
    /// Units of live holds, by order.
    live: HashMap<String, i64>,
    pub committed: i64,
}

impl Shelf {
    pub fn live(&self) -> i64 {
        self.live.values().sum()
    }
}

#[derive(Default)]
pub struct Fold {
    cursor: String,
    pub lives: HashMap<String, Life>,
    pub money: HashMap<String, Money>,
    pub shelves: BTreeMap<String, Shelf>,
    /// Orders with facts since this was last emptied.
    pub touched: Vec<String>,
    /// What was read of each partition. Between partitions there is no order.
    pub history: BTreeMap<u64, History>,
}

/// The events of one partition, in short.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Sequence of the last.
    last: u64,
    /// Chained over the text of each.
    hash: u64,
}

impl Fold {
    /// Reads to the end of what is published now.
    ///
    /// # Errors
    /// If the events cannot be read, or are not dense.
    pub fn read(&mut self, client: &Client) -> Result<(), String> {
        loop {
            let page = client.json(&Request::get(format!("/v1/events?limit=1000&after={}", self.cursor)))?;
            let events = page["events"].as_array().map_or(&[][..], Vec::as_slice);
            for event in events {
                self.take(event)?;
            }
            self.cursor = page["next"].as_str().unwrap_or_default().to_owned();
            if events.is_empty() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, event: &Value) -> Result<(), String> {
        let number = |member: &str| event[member].as_u64().ok_or_else(|| format!("no {member} in {event}"));
        let History { last, hash } = self.history.entry(number("partition")?).or_default();
        if number("sequence")? != *last + 1 {
            return Err(format!("after sequence {last} of its partition comes {event}"));
        }
        *last += 1;
        *hash = xxh3_64(format!("{hash:x} {event}").as_bytes());
        let name = event["type"].as_str().unwrap_or_default();
        match Fact::of(name) {
            Some(fact) => self.order(event, fact),
            None if name.starts_with("holdfast.refund.") => self.order(event, Fact::Other),
            None if name.starts_with("holdfast.stock.") => self.stock(name, &event["data"]),
            None => {}
        }
        Ok(())
    }

    fn order(&mut self, event: &Value, fact: Fact) {
        let order = bare(&event["subject"]);
        let life = self.lives.entry(order.clone()).or_default();
        life.version += 1;
        life.facts.add(fact);
        life.placed += u32::from(fact == Fact::Placed);
        if let Some(attempt) = event["data"]["attempt_id"].as_str() {
            let money = self.money.entry(attempt.to_owned()).or_default();
            money.paid += u32::from(fact == Fact::Paid);
            money.refund_due += u32::from(fact == Fact::RefundDue);
            money.refunded += u32::from(fact == Fact::Refunded);
        }
        self.touched.push(order);
    }

    fn stock(&mut self, name: &str, data: &Value) {
        let shelf = self.shelves.entry(data["sku"].as_str().unwrap_or_default().to_owned()).or_default();
        shelf.version = data["version"].as_u64().unwrap_or(shelf.version);
        let order = bare(&data["order_id"]);
        match name {
            "holdfast.stock.set" | "holdfast.stock.adjusted" => shelf.on_hand += data["delta"].as_i64().unwrap_or_default(),
            "holdfast.stock.held" => {
                let units =
                    data["allocations"].as_array().into_iter().flatten().filter_map(|one| one["quantity"].as_i64()).sum::<i64>();
                *shelf.live.entry(order).or_default() += units;
            }
            "holdfast.stock.committed" => shelf.committed += shelf.live.remove(&order).unwrap_or_default(),
            "holdfast.stock.released" => drop(shelf.live.remove(&order)),
            _ => {}
        }
    }
}

/// An id without its prefix: an order and its reservation have one.
pub fn bare(id: &Value) -> String {
    id.as_str().and_then(|id| id.get(4..)).unwrap_or_default().to_owned()
}
