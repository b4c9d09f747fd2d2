//! The partition machine: hosts the SKU and order actors of one partition as one pure `step`.
//!
//! Invariants: state is the fold of the partition's records; a reply, a provider call or an archive order leaves only
//! when every record before it is durable; one command id has one effect. The shell feeds inputs and carries out effects.

mod actor;
mod deadlines;
mod gate;
mod lists;
mod orders;
mod prefetch;
mod saga;
mod snapshot;
mod stock;
mod terms;

pub use snapshot::{Image, SnapshotError};

use crate::answer::{Answer, Reply};
use crate::command::{Command, CommandKey, Loaded, Missing};
use crate::effect::{Archive, Effects};
use crate::event::{ArchiveFact, Event, KeyFact, OrderFact, OrderRecord, PartitionFact, Record, StockFact, StoredResponse};
use crate::filter::Filter;
use crate::ids::{AttemptId, Fingerprint, HoldKey, KeyHash, OrderId, PartitionId, Partitions, Seq, Sku, Ticket, Url};
use crate::order::{CallKind, Order, Outcome};
use crate::protocol::{Body, Message, ToStock};
use crate::rejection::Rejection;
use crate::stock::SkuStock;
use crate::time::{Policy, Timestamp};
use crate::{Map, limits};
use actor::OrderActor;
use deadlines::Deadlines;
use gate::{Gate, Gated};
use lists::Listed;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;

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
}

/// What a provider answered to a [`crate::effect::ProviderCall`].
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderResult {
    Opened { attempt: AttemptId, redirect_url: Url },
    Outcome { attempt: AttemptId, kind: CallKind, outcome: Outcome },
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
    /// Time of the last record; time never runs backwards inside a partition.
    at: Timestamp,
    /// Event time without its jumps: what [`limits::RESOLVED_MS`] is counted in.
    logical_time: Timestamp,
    /// What the number of the next order follows from: the orders placed here, and the counts that a restore left out.
    placed: u64,
    skus: Map<Sku, SkuStock>,
    /// Boxed: a growing map then moves pointers, not actors.
    orders: Map<OrderId, Box<OrderActor>>,
    keys: Map<KeyHash, KeyRecord>,
    /// Resolved holds in the order they are to be forgotten, with their logical time.
    resolved: VecDeque<(Timestamp, Sku, HoldKey)>,
    /// Orders and keys that ever left memory for the store. What is not in it need not be looked for there.
    archived: Filter,
    /// What lists are read from. It follows from `orders` and `skus`.
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
            at: Timestamp(0),
            logical_time: Timestamp(0),
            placed: 0,
            skus: Map::default(),
            orders: Map::default(),
            keys: Map::default(),
            resolved: VecDeque::new(),
            archived: Filter::default(),
            listed: Listed::default(),
            gate: Gate::new(causality),
            deadlines: Deadlines::default(),
        }
    }

    pub fn seq(&self) -> Seq {
        self.seq
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

    pub fn skus(&self) -> impl Iterator<Item = (&Sku, &SkuStock)> {
        self.skus.iter()
    }

    pub fn sku(&self, sku: &Sku) -> Option<&SkuStock> {
        self.skus.get(sku)
    }

    /// Orders in memory and SKUs, for gauges.
    pub fn counts(&self) -> (usize, usize) {
        (self.orders.len(), self.skus.len())
    }

    /// Holds that are neither committed nor released. Cost: one look at every SKU.
    pub fn live_holds(&self) -> usize {
        self.skus.values().map(|stock| stock.holds.values().filter(|hold| hold.live()).count()).sum()
    }

    /// What a snapshot grows with: orders, SKUs and holds in memory. Cost: one look at every SKU.
    pub fn objects(&self) -> usize {
        self.orders.len() + self.skus.len() + self.skus.values().map(|stock| stock.holds.len()).sum::<usize>()
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

    /// What leaves memory with `fact`, which comes next, in the form that goes to the store. None: some of it is not here.
    pub fn leaving(&self, fact: &ArchiveFact) -> Option<Vec<Archive>> {
        match fact {
            ArchiveFact::Orders(orders) => orders.iter().map(|order| self.archive_of_order(*order)).collect(),
            ArchiveFact::Keys(keys) => keys.iter().map(|key| self.archive_of_key(*key)).collect(),
            ArchiveFact::Restored { .. } => Some(Vec::new()),
        }
    }

    fn archive_of_order(&self, order: OrderId) -> Option<Archive> {
        let history = self.order(order)?.history.clone();
        Some(Archive::Order { partition: self.id, order, history })
    }

    fn archive_of_key(&self, key: KeyHash) -> Option<Archive> {
        let KeyRecord { fingerprint, answer } = self.keys.get(&key).cloned()?;
        Some(Archive::Key { partition: self.id, key, fingerprint, answer })
    }

    /// Applies one input. Pure: the same state and inputs give the same effects.
    pub fn step(&mut self, now: Timestamp, input: Input, fx: &mut Effects) {
        let now = now.max(self.at);
        match input {
            Input::Command { ticket, command, loaded } => self.command(now, ticket, command, None, loaded, fx),
            Input::Message(body) => self.message(now, body, fx),
            Input::Provider(result) => self.provider(now, result, fx),
            Input::Tick => self.tick(now, fx),
            Input::Durable(seq) => self.gate.open(seq, fx),
            Input::Archived { orders, keys } => self.archived(now, orders, keys, fx),
        }
    }

    /// Takes up work after recovery: messages unanswered, calls unfinished, deadlines, closed things to archive.
    /// `durable` is the last record of the journal.
    pub fn resume(&mut self, now: Timestamp, fx: &mut Effects) {
        let now = now.max(self.at);
        self.gate.open(self.seq, fx);
        self.resume_probes();
        let mut orders: Vec<OrderId> = self.orders.keys().copied().collect();
        orders.sort_unstable();
        for id in orders {
            self.advance(now, id, fx);
        }
        let mut keys: Vec<KeyHash> = self.keys.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            self.archive_key(key, fx);
        }
    }

    /// With the `key` of whoever asks for a command that has none of its own.
    fn command(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        command: Command,
        key: Option<CommandKey>,
        loaded: Loaded,
        fx: &mut Effects,
    ) {
        match command {
            Command::Under { terms, command } => self.under(now, ticket, *terms, *command, loaded, fx),
            Command::Place { order, placed } => self.place(now, ticket, order, placed, loaded, fx),
            Command::GetOrder { order, kind } => self.get_order(ticket, order, kind, loaded, fx),
            Command::Cancel { order, kind, reason } => {
                self.command_order(now, ticket, (order, Some(kind)), key, loaded, fx, |order, _| order.decide_cancel(reason));
            }
            Command::Confirm { order, kind, reason } => {
                self.command_order(now, ticket, (order, Some(kind)), key, loaded, fx, |order, _| {
                    order.decide_confirm(now, reason)
                });
            }
            Command::Extend { order, ttl_ms } => {
                let kind = Some(crate::event::Kind::Reservation);
                self.command_order(now, ticket, (order, kind), key, loaded, fx, |order, policy| {
                    order.decide_extend(now, ttl_ms, policy)
                });
            }
            Command::StartPayment { order, provider, return_url, key } => {
                self.start_payment(now, ticket, order, (provider, return_url), key, loaded, fx);
            }
            Command::PaymentResult { attempt, outcome } => self.payment_result(now, ticket, attempt, outcome, loaded, fx),
            Command::SetStock { sku, location, on_hand, safety_stock, priority, expected } => {
                let expected = expected.as_deref();
                let outcome = self
                    .change_stock(now, &sku, fx, |stock| stock.decide_set(location, on_hand, safety_stock, priority, expected));
                self.reply_stock(now, ticket, &sku, outcome, key, fx);
            }
            Command::SetThreshold { sku, threshold } => {
                let outcome = self.change_stock(now, &sku, fx, |stock| stock.decide_threshold(threshold));
                self.reply_stock(now, ticket, &sku, outcome, key, fx);
            }
            Command::CloseLocation { sku, location, expected } => {
                self.close_location(now, ticket, (&sku, location), expected.as_deref(), fx)
            }
            Command::AdjustStock { sku, location, bucket, delta, reason, reference, key } => {
                if !self.answered_key(ticket, &key, &loaded, fx) {
                    self.adjust(now, ticket, &sku, key, fx, |stock| {
                        stock.decide_adjust(location, bucket, delta, reason, reference)
                    });
                }
            }
            Command::GetStock { sku } => {
                let view = self.skus.get(&sku).filter(|stock| stock.known()).map(|stock| Answer::Stock(stock.view(&sku)));
                self.reply(ticket, view.ok_or(Rejection::NotFound), false, fx);
            }
            Command::Availability { skus, .. } => {
                let of = |sku: &Sku| self.skus.get(sku).filter(|stock| stock.known()).map(SkuStock::available);
                let items = skus.into_iter().map(|sku| (sku.clone(), of(&sku))).collect();
                self.reply(ticket, Ok(Answer::Availability(items)), false, fx);
            }
            Command::ListOrders { customer, after, limit, .. } => {
                let page = self.list_orders(&customer, after, limit);
                self.reply(ticket, Ok(Answer::Orders(page)), false, fx);
            }
            Command::ListStock { prefix, after, limit, .. } => {
                let page = self.list_stock(prefix.as_ref(), after.as_ref(), limit);
                self.reply(ticket, Ok(Answer::StockList(page)), false, fx);
            }
            Command::GetAnswer { key, .. } => {
                if !self.answered_key(ticket, &key, &loaded, fx) {
                    self.reply(ticket, Err(Rejection::NotFound), false, fx);
                }
            }
        }
    }

    /// Replays the answer of a used key. True if that was the whole of the command.
    fn answered_key(&mut self, ticket: Ticket, key: &CommandKey, loaded: &Loaded, fx: &mut Effects) -> bool {
        let kept = self.keys.get(&key.hash).map(|record| (record.fingerprint, record.answer.clone()));
        let Some((fingerprint, answer)) = kept.or_else(|| loaded.key.clone()) else { return false };
        let same = fingerprint == key.fingerprint || crate::plant::active(crate::plant::Bug::BodyNotCompared);
        let outcome = if same { self.shown_again(answer, loaded) } else { Err(Rejection::KeyReused) };
        self.reply(ticket, outcome, true, fx);
        true
    }

    fn answer_key(
        &mut self,
        now: Timestamp,
        key: KeyHash,
        fingerprint: Fingerprint,
        answer: StoredResponse,
        fx: &mut Effects,
    ) -> Arc<StoredResponse> {
        let answer = Arc::new(answer);
        self.emit(now, Event::Key(KeyFact::Answered { key, fingerprint, answer: answer.clone() }), fx);
        self.archive_key(key, fx);
        answer
    }

    fn archive_key(&mut self, key: KeyHash, fx: &mut Effects) {
        if let Some(archive) = self.archive_of_key(key) {
            self.gate.push(self.seq, Gated::Archive(archive), fx);
        }
    }

    fn reply(&mut self, ticket: Ticket, outcome: Result<Answer, Rejection>, replayed: bool, fx: &mut Effects) {
        self.gate.push(self.seq, Gated::Reply(Reply { ticket, outcome, replayed }), fx);
    }

    fn send(&mut self, to: PartitionId, body: impl Into<Body>, fx: &mut Effects) {
        let body = body.into();
        self.gate.push(self.seq, Gated::Message(Message { to, body }), fx);
    }

    /// Journals an event and folds it into the state.
    fn emit(&mut self, now: Timestamp, event: Event, fx: &mut Effects) {
        let record = Record { seq: self.seq + 1, at: now, event };
        fx.batch.push(self.id, &record);
        self.apply(record);
    }

    fn emit_order(&mut self, now: Timestamp, order: OrderId, fact: OrderFact, fx: &mut Effects) {
        let correlation = self.orders.get(&order).and_then(|actor| actor.order.placed().correlation()).cloned();
        self.emit(now, Event::Order { order, fact: Arc::new(fact), correlation }, fx);
    }

    fn tick(&mut self, now: Timestamp, fx: &mut Effects) {
        while let Some((slot, due)) = self.deadlines.due(now) {
            due.orders.into_iter().for_each(|id| self.order_due(now, id, slot, fx));
            due.probes.into_iter().for_each(|(sku, hold)| self.probe_due(now, sku, hold, fx));
        }
    }

    fn message(&mut self, now: Timestamp, body: Body, fx: &mut Effects) {
        match body {
            Body::ToStock(ToStock::Reserve { sku, request }) => self.reserve(now, sku, request, fx),
            Body::ToStock(ToStock::Move { sku, hold, order_version, op }) => {
                self.move_hold(now, sku, hold, order_version, op, fx)
            }
            Body::ToOrder(message) => self.receive_from_sku(now, message, fx),
        }
    }

    fn archived(&mut self, now: Timestamp, orders: Vec<(OrderId, usize)>, keys: Vec<KeyHash>, fx: &mut Effects) {
        let mut gone = Vec::new();
        for (id, facts) in orders {
            let Some(actor) = self.orders.get_mut(&id) else { continue };
            actor.archiving = false;
            match actor.order.archivable() && actor.order.history.len() == facts {
                true => gone.push(id),
                // It had more to decide meanwhile: once closed again it is written again.
                false => self.advance(now, id, fx),
            }
        }
        let keys: Vec<KeyHash> = keys.into_iter().filter(|key| self.keys.contains_key(key)).collect();
        for gone in gone.chunks(limits::MAX_ARCHIVED) {
            self.emit(now, Event::Archive(ArchiveFact::Orders(gone.to_vec())), fx);
        }
        for keys in keys.chunks(limits::MAX_ARCHIVED) {
            self.emit(now, Event::Archive(ArchiveFact::Keys(keys.to_vec())), fx);
        }
    }

    /// Folds one record: the only way state changes, live and in replay.
    pub fn apply(&mut self, record: Record) {
        let Record { seq, at, event } = record;
        assert_eq!(seq, self.seq + 1, "the sequence of partition {} has a gap", self.id.0);
        self.seq = seq;
        self.logical_time = self.logical_time.plus(at.since(self.at).min(limits::MAX_TIME_STEP_MS));
        self.at = at;
        match event {
            Event::Stock { sku, fact } => self.apply_stock(sku, &fact),
            Event::Order { order, fact, .. } => self.apply_order(order, OrderRecord { seq, at, fact }),
            Event::Key(KeyFact::Answered { key, fingerprint, answer }) => {
                self.keys.insert(key, KeyRecord { fingerprint, answer });
            }
            Event::Archive(ArchiveFact::Orders(orders)) => orders.iter().for_each(|id| {
                self.archived.insert(&id.bytes());
                if let Some(actor) = self.orders.remove(id) {
                    self.listed.order_left(&actor.order);
                }
            }),
            Event::Archive(ArchiveFact::Keys(keys)) => keys.iter().for_each(|key| {
                self.archived.insert(&key.0);
                self.keys.remove(key);
            }),
            Event::Archive(ArchiveFact::Restored { order, history }) => {
                if let Some(folded) = Order::fold(order, &history) {
                    self.listed.order_came(&folded);
                    self.orders.insert(order, Box::new(OrderActor::new(folded)));
                }
            }
            // Never back: a number is given out once.
            Event::Partition(PartitionFact::Restored { placed, .. }) => self.placed = self.placed.max(placed),
        }
        self.forget_resolved();
    }

    fn apply_stock(&mut self, sku: Sku, fact: &StockFact) {
        if let Some(hold) = fact.resolves() {
            self.resolved.push_back((self.logical_time, sku.clone(), hold));
        }
        let stock = match self.skus.entry(sku) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                self.listed.sku_came(new.key());
                new.insert(SkuStock::default())
            }
        };
        stock.evolve(fact);
    }

    fn apply_order(&mut self, id: OrderId, record: OrderRecord) {
        if let Some(actor) = self.orders.get_mut(&id) {
            return actor.order.evolve(record);
        }
        self.placed += 1;
        match Order::open(id, record) {
            Some(order) => {
                self.listed.order_came(&order);
                self.orders.insert(id, Box::new(OrderActor::new(order)));
            }
            None => unreachable!("a fact of an order that was never placed: {id}"),
        }
    }

    fn forget_resolved(&mut self) {
        while let Some((at, _, _)) = self.resolved.front() {
            if at.plus(limits::RESOLVED_MS) > self.logical_time {
                break;
            }
            if let Some((_, sku, hold)) = self.resolved.pop_front() {
                let holds = self.skus.get_mut(&sku).map(|stock| &mut stock.holds);
                holds.and_then(|holds| holds.remove(&hold));
            }
        }
    }
}
