//! The partition machine: hosts the SKU and order actors of one partition as one pure `step`.
//!
//! Invariants: state is the fold of the partition's records; a reply, a provider call or an archive order leaves only
//! when every record before it is durable; one command id has one effect. The shell feeds inputs and carries out effects.

mod actor;
mod at_once;
mod changes;
mod commands;
mod deadlines;
mod fold;
mod gate;
mod holds;
mod index;
mod lists;
mod orders;
mod saga;
mod skus;
mod snapshot;
mod stock;
mod terms;
mod turn;

pub use at_once::Asked;
pub use snapshot::{Image, SnapshotError};

use crate::answer::{Answer, Reply};
use crate::codec::origin;
use crate::command::{Command, CommandKey, Loaded, Missing};
use crate::effect::{Archive, Effects};
use crate::event::{ArchiveFact, Event, OrderFact, Record, StoredResponse};
use crate::filter::Filter;
use crate::ids::{AttemptId, Fingerprint, HoldKey, KeyHash, OrderId, PartitionId, Partitions, Seq, Sku, Ticket, Url};
use crate::order::{CallKind, Order, Outcome};
use crate::plant;
use crate::protocol::{Body, Message, ToStock};
use crate::rejection::Rejection;
use crate::stock::{Hold, SkuStock};
use crate::time::{Policy, Timestamp};
use crate::{Map, limits};
use actor::OrderActor;
use changes::Trail;
use deadlines::Deadlines;
use gate::{Gate, Gated};
use holds::{HoldRef, Holds};
use lists::Listed;
use skus::Skus;
use std::collections::VecDeque;
use std::sync::Arc;
use turn::{Request, Turn};

/// How the journal orders the facts of different partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causality {
    /// One log: a later record is never durable without an earlier one, so messages may leave at once.
    OneLog,
    /// One log per partition: a message waits until the facts before it are durable.
    PerPartition,
}

/// Everything that can happen to a partition.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Command {
        ticket: Ticket,
        command: Command,
        loaded: Loaded,
    },
    Message(Body),
    Provider(ProviderResult),
    /// Time has passed.
    Tick,
    /// All records up to this one are durable.
    Durable(Seq),
    /// The projection has these rows: `(order, facts written)` and keys.
    Archived {
        orders: Vec<(OrderId, usize)>,
        keys: Vec<KeyHash>,
    },
    /// What steers sagas from now on. What was decided before keeps the times it was given.
    Policy(Box<Policy>),
}

/// What a provider answered to a [`crate::effect::ProviderCall`].
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderResult {
    Opened { attempt: AttemptId, redirect_url: Url },
    Outcome { attempt: AttemptId, kind: CallKind, outcome: Outcome },
}

impl ProviderResult {
    /// What it is the result of.
    pub fn attempt(&self) -> AttemptId {
        match self {
            Self::Opened { attempt, .. } | Self::Outcome { attempt, .. } => *attempt,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct KeyRecord {
    fingerprint: Fingerprint,
    answer: Arc<StoredResponse>,
}

/// One partition. See the module for its contract.
#[derive(Debug)]
pub struct Partition {
    pub id: PartitionId,
    partitions: Partitions,
    policy: Policy,
    seq: Seq,
    /// Of the snapshot that it was restored from, 0 for none. No part of the state.
    snapshot_seq: Seq,
    /// Time of the last record; time never runs backwards inside a partition.
    at: Timestamp,
    /// Event time without its jumps: what [`limits::RESOLVED_MS`] is counted in.
    logical_time: Timestamp,
    /// Orders placed here, and counts that a restore left out: the number of the next order is made of it.
    placed: u64,
    skus: Skus,
    holds: Holds,
    /// Boxed: a growing map then moves pointers, not actors.
    orders: Map<OrderId, Box<OrderActor>>,
    keys: Map<KeyHash, KeyRecord>,
    /// Resolved holds in the order they are to be forgotten, with their logical time.
    resolved: VecDeque<(Timestamp, HoldRef)>,
    /// Orders and keys that ever left memory for the store. What is not in it need not be looked for there.
    archived: Filter,
    /// What operators changed last. Shown, and decided by nothing.
    changes: Trail,
    /// What lists of orders are read from. It follows from `orders`.
    listed: Listed,
    gate: Gate,
    deadlines: Deadlines,
}

impl Partition {
    pub fn new(id: PartitionId, partitions: Partitions, causality: Causality, policy: Policy) -> Self {
        Self {
            id,
            partitions,
            policy,
            seq: 0,
            snapshot_seq: 0,
            at: Timestamp::ZERO,
            logical_time: Timestamp::ZERO,
            placed: 0,
            skus: Skus::default(),
            holds: Holds::default(),
            orders: Map::default(),
            keys: Map::default(),
            resolved: VecDeque::new(),
            archived: Filter::default(),
            changes: Trail::default(),
            listed: Listed::default(),
            gate: Gate::new(causality),
            deadlines: Deadlines::default(),
        }
    }

    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The last record of the snapshot that it was restored from; 0: it was folded from the first record on.
    pub fn snapshot_seq(&self) -> Seq {
        self.snapshot_seq
    }

    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Counts given out to orders of this partition, or left out. See [`crate::event::Placed::number`].
    pub fn placed(&self) -> u64 {
        self.placed
    }

    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values().map(|actor| &actor.order)
    }

    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(&id).map(|actor| &actor.order)
    }

    /// In the order they came.
    pub fn skus(&self) -> impl Iterator<Item = (&Sku, &SkuStock)> {
        self.skus.iter().map(|(sku, stock)| (sku, stock))
    }

    pub fn sku(&self, sku: &Sku) -> Option<&SkuStock> {
        self.skus.get(sku)
    }

    /// Those of all SKUs, live or resolved a short while ago, in no order.
    pub fn holds(&self) -> impl Iterator<Item = (&Sku, HoldKey, &Hold)> {
        self.holds.iter().map(|(_, found)| (self.skus.name(found.sku), found.key, &found.hold))
    }

    pub fn hold(&self, sku: &Sku, key: &HoldKey) -> Option<&Hold> {
        self.hold_ref(sku, key).and_then(|found| self.holds.at(found)).map(|found| &found.hold)
    }

    fn hold_ref(&self, sku: &Sku, key: &HoldKey) -> Option<HoldRef> {
        self.holds.find(self.skus.number(sku)?, key)
    }

    /// Orders in memory and SKUs, for gauges.
    pub fn counts(&self) -> (usize, usize) {
        (self.orders.len(), self.skus.len())
    }

    /// Holds that are held or pinned.
    pub fn live_holds(&self) -> usize {
        self.holds.live()
    }

    /// What a snapshot grows with: orders, SKUs and holds in memory.
    pub fn objects(&self) -> usize {
        self.orders.len() + self.skus.len() + self.holds.len()
    }

    /// When the next [`Input::Tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    /// What `command` needs that is not in memory and may be in the store.
    pub fn missing(&self, command: &Command) -> Missing {
        let order = command.order().filter(|id| !self.orders.contains_key(id) && self.archived.may_have(&id.bytes()));
        let stored = |key: &CommandKey| !self.keys.contains_key(&key.hash) && self.archived.may_have(&key.hash.0);
        let key = command.key().filter(|key| stored(key)).map(|key| key.hash);
        Missing { order, key }
    }

    /// What `fact`, if it comes next, lets leave memory, in the form that goes to the store. None: some of it is not in memory.
    pub fn leaving(&self, fact: &ArchiveFact) -> Option<Vec<Archive>> {
        match fact {
            ArchiveFact::Orders(orders) => orders.iter().map(|order| self.archive_of_order(*order)).collect(),
            ArchiveFact::Keys(keys) => keys.iter().map(|key| self.archive_of_key(*key)).collect(),
            ArchiveFact::Restored { .. } => Some(Vec::new()),
        }
    }

    fn archive_of_order(&self, order: OrderId) -> Option<Archive> {
        let history = self.order(order)?.history().clone();
        Some(Archive::Order { partition: self.id, order, history })
    }

    fn archive_of_key(&self, key: KeyHash) -> Option<Archive> {
        let KeyRecord { fingerprint, answer } = self.keys.get(&key).cloned()?;
        Some(Archive::Key { partition: self.id, key, fingerprint, answer })
    }

    /// Applies one input. Pure: the same state and inputs give the same effects.
    pub fn step(&mut self, now: Timestamp, input: Input, fx: &mut Effects) {
        let turn = &mut Turn { now: now.max(self.at), fx };
        match input {
            Input::Command { ticket, command, loaded } => self.command(turn, Request { ticket, loaded }, command, None),
            Input::Message(body) => self.message(turn, body),
            Input::Provider(result) => self.provider(turn, result),
            Input::Tick => self.tick(turn),
            Input::Durable(seq) => {
                assert!(seq <= self.seq, "record {seq} of partition {} was never made and is durable", self.id.0);
                self.gate.open(seq, turn.fx)
            }
            Input::Archived { orders, keys } => self.archived(turn, orders, keys),
            Input::Policy(policy) => self.policy = *policy,
        }
    }

    /// Takes up work after recovery: messages unanswered, calls unfinished, deadlines, closed things to archive. All records are
    /// durable, as they came from the journal.
    pub fn resume(&mut self, now: Timestamp, fx: &mut Effects) {
        let turn = &mut Turn { now: now.max(self.at), fx };
        self.gate.open(self.seq, turn.fx);
        self.resume_probes();
        let mut orders: Vec<OrderId> = self.orders.keys().copied().collect();
        orders.sort_unstable();
        for id in orders {
            self.advance(turn, id);
        }
        let mut keys: Vec<KeyHash> = self.keys.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            self.archive_key(turn, key);
        }
    }

    fn reply(&mut self, turn: &mut Turn<'_>, ticket: Ticket, outcome: Result<Answer, Rejection>, replayed: bool) {
        self.gate.push(self.seq, Gated::Reply(Reply { ticket, outcome, replayed }), turn.fx);
    }

    fn send(&mut self, turn: &mut Turn<'_>, to: PartitionId, body: impl Into<Body>) {
        let body = body.into();
        self.gate.push(self.seq, Gated::Message(Message { to, body }), turn.fx);
    }

    /// Journals an event and folds it into the state.
    fn emit(&mut self, turn: &mut Turn<'_>, event: Event) {
        let record = Record { seq: self.seq + 1, at: turn.now, event };
        turn.fx.batch.push(self.id, &record);
        self.apply(record);
    }

    /// As [`Self::emit`]: the fact is encoded once, for the journal and for its order.
    fn emit_order(&mut self, turn: &mut Turn<'_>, order: OrderId, fact: &OrderFact) {
        let state = self.order(order);
        let follows = state.map_or(matches!(fact, OrderFact::Placed(_)), |order| order.may_decide(fact));
        assert!(plant::any() || follows, "order {order} does not decide {fact:?} as {:?}", state.map(|order| order.status));
        let origin = match (state, fact) {
            (None, OrderFact::Placed(placed)) => placed.origin_bytes(),
            (state, _) => state.map(|order| origin::of_later_fact(order.history().origin().correlation)).unwrap_or_default(),
        };
        let at = (self.seq + 1, turn.now);
        self.come_to(at.0, at.1);
        turn.fx.ended.count(fact);
        let bytes = turn.fx.batch.push_order(self.id, at, order, fact, &origin);
        self.apply_order(order, at, bytes, &origin);
        self.forget_resolved();
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        while let Some((slot, due)) = self.deadlines.due(turn.now) {
            due.orders.into_iter().for_each(|id| self.order_due(turn, id, slot));
            due.probes.into_iter().for_each(|hold| self.probe_due(turn, hold));
        }
    }

    fn message(&mut self, turn: &mut Turn<'_>, body: Body) {
        match body {
            Body::ToStock(ToStock::Reserve { sku, request }) => self.reserve(turn, sku, request),
            Body::ToStock(ToStock::Move { sku, hold, order_version, op }) => self.move_hold(turn, sku, hold, order_version, op),
            Body::ToOrder(message) => self.receive_from_sku(turn, message),
        }
    }

    fn archived(&mut self, turn: &mut Turn<'_>, orders: Vec<(OrderId, usize)>, keys: Vec<KeyHash>) {
        let mut gone = Vec::new();
        for (id, facts) in orders {
            let Some(actor) = self.orders.get_mut(&id) else { continue };
            actor.archiving = false;
            if actor.order.archivable() && actor.order.history().len() == facts {
                gone.push(id)
            } else {
                // It had more to decide meanwhile: once closed again it is written again.
                self.advance(turn, id)
            }
        }
        let keys: Vec<KeyHash> = keys.into_iter().filter(|key| self.keys.contains_key(key)).collect();
        for gone in gone.chunks(limits::MAX_ARCHIVED) {
            self.emit(turn, Event::Archive(ArchiveFact::Orders(gone.to_vec())));
        }
        for keys in keys.chunks(limits::MAX_ARCHIVED) {
            self.emit(turn, Event::Archive(ArchiveFact::Keys(keys.to_vec())));
        }
    }
}
