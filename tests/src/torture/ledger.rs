//! What was sent and what was answered, kept apart from the server: the other side of the comparison.
//!
//! Invariant: a deed is noted before its request is sent, and is acknowledged only by an answer that was read whole.

use super::client::{Answer, Request};
use super::facts::{Fact, Facts};
use super::{Breach, Kind};
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_128;

/// What a keyed request is for.
#[derive(Clone, Debug)]
pub enum Purpose {
    Place,
    /// A payment of the order.
    Pay(String),
    /// Units added to a SKU, or taken away.
    Adjust {
        sku: String,
        delta: i64,
    },
}

/// The answer that must come back for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    status: u16,
    hash: u128,
}

impl Seal {
    pub fn of(answer: &Answer) -> Self {
        Self { status: answer.status, hash: xxh3_128(&answer.body) }
    }
}

/// A request with an idempotency key.
#[derive(Clone, Debug)]
pub struct Deed {
    pub request: Request,
    pub purpose: Purpose,
    pub sealed: Option<Seal>,
    /// Every answer so far was a 503, which promises that nothing was executed.
    pub refused: bool,
}

/// An acknowledged fact about an order.
#[derive(Clone, Debug)]
pub struct Claim {
    pub order: String,
    pub fact: Fact,
}

/// What one worker noted since it was last asked.
#[derive(Debug, Default)]
pub struct Notes {
    pub sealed: Vec<Deed>,
    pub open: Vec<Deed>,
    pub claims: Vec<Claim>,
    /// Which facts of which orders were asked for, answered or not.
    pub asked: Vec<Claim>,
    /// Attempts whose approval the sandbox acknowledged.
    pub captured: Vec<String>,
    pub stocked: Vec<(String, i64)>,
    pub acknowledged: u64,
    pub breaches: Vec<Breach>,
}

impl Notes {
    pub fn ask(&mut self, order: &str, fact: Fact) {
        self.asked.push(Claim { order: order.to_owned(), fact });
    }

    pub fn claim(&mut self, order: &str, fact: Fact) {
        self.claims.push(Claim { order: order.to_owned(), fact });
    }

    pub fn breach(&mut self, kind: Kind, what: String) {
        self.breaches.push(Breach { kind, what });
    }

    /// An answer that this API does not give to such a request.
    pub fn unexpected(&mut self, request: &Request, answer: &Answer) {
        self.breach(Kind::Other, format!("{} {} {}: {}", request.method, request.path, request.body, answer.shown()));
    }
}

/// Everything that was noted in the whole run, without the answers that were compared long ago.
#[derive(Default)]
pub struct Ledger {
    asked: HashMap<String, Facts>,
    stocked: HashMap<String, i64>,
    pub captured: Vec<String>,
    pub acknowledged: u64,
}

impl Ledger {
    pub fn note(&mut self, notes: &mut Notes) {
        for Claim { order, fact } in notes.asked.drain(..) {
            self.asked.entry(order).or_default().add(fact);
        }
        for (sku, delta) in notes.stocked.drain(..) {
            *self.stocked.entry(sku).or_default() += delta;
        }
        self.captured.append(&mut notes.captured);
        self.acknowledged += std::mem::take(&mut notes.acknowledged);
    }

    /// What was asked of an order; `None` if nobody placed it.
    pub fn asked(&self, order: &str) -> Option<Facts> {
        self.asked.get(order).copied()
    }

    /// Units brought into the SKU, by all acknowledged counts and adjustments.
    pub fn stocked(&self, sku: &str) -> i64 {
        self.stocked.get(sku).copied().unwrap_or_default()
    }

    pub fn stock(&mut self, sku: &str, units: i64) {
        *self.stocked.entry(sku.to_owned()).or_default() += units;
    }
}
