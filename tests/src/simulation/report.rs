//! What a run counts: operations, faults, and which facts were ever produced.
//!
//! Invariant: every variant of a fact has a column here; a new one breaks the build until it has.

use holdfast_engine::event::{ArchiveFact, Event, Level, OrderFact, PartitionFact, Record, RefundReason, StockFact};
use serde::Serialize;
use std::collections::BTreeMap;

/// Counters of one run, or of many added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub operations: u64,
    pub steps: u64,
    pub turns: u64,
    pub records: u64,
    pub crashes: u64,
    pub panics: u64,
    pub torn_tails: u64,
    pub failed_syncs: u64,
    pub lost_messages: u64,
    pub doubled_messages: u64,
    pub late_messages: u64,
    pub lost_requests: u64,
    pub lost_replies: u64,
    pub double_clicks: u64,
    pub provider_timeouts: u64,
    pub lost_webhooks: u64,
    pub doubled_webhooks: u64,
    pub late_webhooks: u64,
    pub clock_jumps: u64,
    pub snapshots: u64,
    pub lost_snapshots: u64,
    pub moves: u64,
    /// Of them, those of partitions that panicked on their way.
    pub broken_moves: u64,
    /// What waited for a partition that came, and what was sent on to where one is.
    pub stashed: u64,
    pub forwarded: u64,
    pub facts: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub fn faults(&self) -> u64 {
        let process = [self.crashes, self.panics, self.torn_tails, self.failed_syncs, self.clock_jumps, self.lost_snapshots];
        let messages = [self.lost_messages, self.doubled_messages, self.late_messages];
        let clients = [self.lost_requests, self.lost_replies, self.double_clicks];
        let provider = [self.provider_timeouts, self.lost_webhooks, self.doubled_webhooks, self.late_webhooks];
        process.iter().chain(&messages).chain(&clients).chain(&provider).sum()
    }

    pub fn record(&mut self, record: &Record) {
        self.records += 1;
        *self.facts.entry(name(&record.event)).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        self.columns().into_iter().zip(other.columns()).for_each(|(sum, one)| *sum += *one);
        for (name, count) in &other.facts {
            *self.facts.entry(name).or_default() += count;
        }
    }

    fn columns(&mut self) -> [&mut u64; 25] {
        [
            &mut self.operations,
            &mut self.steps,
            &mut self.turns,
            &mut self.records,
            &mut self.crashes,
            &mut self.panics,
            &mut self.torn_tails,
            &mut self.failed_syncs,
            &mut self.lost_messages,
            &mut self.doubled_messages,
            &mut self.late_messages,
            &mut self.lost_requests,
            &mut self.lost_replies,
            &mut self.double_clicks,
            &mut self.provider_timeouts,
            &mut self.lost_webhooks,
            &mut self.doubled_webhooks,
            &mut self.late_webhooks,
            &mut self.clock_jumps,
            &mut self.snapshots,
            &mut self.lost_snapshots,
            &mut self.moves,
            &mut self.broken_moves,
            &mut self.stashed,
            &mut self.forwarded,
        ]
    }

    /// Facts that no run produced.
    pub fn never_produced(&self) -> Vec<&'static str> {
        ALL.iter().copied().filter(|name| !self.facts.contains_key(name)).collect()
    }
}

/// Every name [`name`] can give.
const ALL: [&str; 38] = [
    "Set",
    "Adjusted",
    "ThresholdSet",
    "HoldPlaced",
    "HoldPinned",
    "HoldUnpinned",
    "HoldCommitted",
    "HoldReleased",
    "HoldForbidden",
    "LevelCrossed Depleted",
    "LevelCrossed Low",
    "LevelCrossed Restored",
    "LocationClosed",
    "Placed",
    "Held",
    "Rejected",
    "Expired",
    "Cancelled",
    "Extended",
    "Confirmed",
    "PaymentStarted",
    "PaymentOpened",
    "PaymentUnknown",
    "PaymentDeclined",
    "PaymentVoided",
    "Paid",
    "PaymentLate",
    "Reheld",
    "RefundDue OrderOver",
    "RefundDue PaidTwice",
    "Refunded",
    "Settled",
    "Key Answered",
    "Archived orders",
    "Archived keys",
    "Restored",
    "Partition restored",
    "Operator changed",
];

fn name(event: &Event) -> &'static str {
    match event {
        Event::Stock { fact, .. } => stock_name(fact),
        Event::Order { fact, .. } => order_name(fact),
        Event::Key(_) => "Key Answered",
        Event::Archive(ArchiveFact::Orders(_)) => "Archived orders",
        Event::Archive(ArchiveFact::Keys(_)) => "Archived keys",
        Event::Archive(ArchiveFact::Restored { .. }) => "Restored",
        Event::Partition(PartitionFact::Restored { .. }) => "Partition restored",
        Event::Operator(_) => "Operator changed",
    }
}

fn stock_name(fact: &StockFact) -> &'static str {
    match fact {
        StockFact::Set { .. } => "Set",
        StockFact::Adjusted { .. } => "Adjusted",
        StockFact::ThresholdSet { .. } => "ThresholdSet",
        StockFact::HoldPlaced { .. } => "HoldPlaced",
        StockFact::HoldPinned { .. } => "HoldPinned",
        StockFact::HoldUnpinned { .. } => "HoldUnpinned",
        StockFact::HoldCommitted { .. } => "HoldCommitted",
        StockFact::HoldReleased { .. } => "HoldReleased",
        StockFact::HoldForbidden { .. } => "HoldForbidden",
        StockFact::LevelCrossed { level: Level::Depleted, .. } => "LevelCrossed Depleted",
        StockFact::LevelCrossed { level: Level::Low, .. } => "LevelCrossed Low",
        StockFact::LevelCrossed { level: Level::Restored, .. } => "LevelCrossed Restored",
        StockFact::LocationClosed { .. } => "LocationClosed",
    }
}

fn order_name(fact: &OrderFact) -> &'static str {
    match fact {
        OrderFact::Placed(_) => "Placed",
        OrderFact::Held { .. } => "Held",
        // Of an order that is too large for a run: the scenarios have it.
        OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } => "Rejected",
        OrderFact::Expired => "Expired",
        OrderFact::Cancelled { .. } => "Cancelled",
        OrderFact::Extended { .. } => "Extended",
        OrderFact::Confirmed { .. } => "Confirmed",
        OrderFact::PaymentStarted { .. } => "PaymentStarted",
        OrderFact::PaymentOpened { .. } => "PaymentOpened",
        OrderFact::PaymentUnknown { .. } => "PaymentUnknown",
        OrderFact::PaymentDeclined { .. } => "PaymentDeclined",
        OrderFact::PaymentVoided { .. } => "PaymentVoided",
        OrderFact::Paid { .. } => "Paid",
        OrderFact::PaymentLate { .. } => "PaymentLate",
        OrderFact::Reheld { .. } => "Reheld",
        OrderFact::RefundDue { reason: RefundReason::OrderOver, .. } => "RefundDue OrderOver",
        OrderFact::RefundDue { reason: RefundReason::PaidTwice, .. } => "RefundDue PaidTwice",
        OrderFact::Refunded { .. } => "Refunded",
        OrderFact::Settled => "Settled",
    }
}
