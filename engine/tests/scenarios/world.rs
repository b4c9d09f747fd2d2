//! A few partitions, their mail, their provider and their clock, all moved by hand.
//!
//! After every move the invariants between partitions are checked; when a world goes out of scope its journal is
//! replayed, snapshotted and audited. So every scenario also asserts that state is the fold of the journal.

use crate::draft::{Draft, command_key, location, provider, sku};
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::audit::Audit;
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::effect::{Archive, Effects, ProviderCall};
use holdfast_engine::event::{Buckets, History, Kind, OrderFact, Record};
use holdfast_engine::ids::{AttemptId, Fingerprint, KeyHash, OrderId, PartitionId, Partitions, Ticket};
use holdfast_engine::order::{CallKind, Order, Outcome, Status};
use holdfast_engine::protocol::Message;
use holdfast_engine::quantity::Quantity;
use holdfast_engine::rejection::Rejection;
use holdfast_engine::time::{LatePayment, Policy, Timestamp};
use holdfast_engine::{Causality, Input, Partition, ProviderResult, invariants};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

type KeyRow = (Fingerprint, Arc<holdfast_engine::event::StoredResponse>);

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) partitions: Partitions,
    pub(crate) parts: Vec<Partition>,
    /// Messages under way. Delivered by every move unless `post` is off.
    pub(crate) mail: VecDeque<Message>,
    pub(crate) post: bool,
    /// Whether records are durable as soon as they are made. Otherwise by [`World::sync_all`].
    pub(crate) sync: bool,
    /// Questions to the provider that it has not answered.
    pub(crate) calls: Vec<ProviderCall>,
    pub(crate) replies: BTreeMap<u64, Reply>,
    pub(crate) archive: Vec<Archive>,
    pub(crate) alarms: Vec<String>,
    /// Rows of the projection: what left memory.
    rows: BTreeMap<OrderId, History>,
    key_rows: BTreeMap<KeyHash, KeyRow>,
    journal: Batch,
    causality: Causality,
    policy: Policy,
    /// How many commands were sent.
    pub(crate) tickets: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Causality::OneLog, Policy::default())
    }

    pub(crate) fn refunding() -> Self {
        Self::with(Causality::OneLog, Policy { late_payment: LatePayment::Refund, ..Policy::default() })
    }

    pub(crate) fn with(causality: Causality, policy: Policy) -> Self {
        let partitions = Partitions::new(3).unwrap();
        let parts = partitions.all().map(|id| Partition::new(id, partitions, causality, policy.clone())).collect();
        Self {
            now: Timestamp::new(1_700_000_000_000),
            partitions,
            parts,
            mail: VecDeque::new(),
            post: true,
            sync: true,
            calls: Vec::new(),
            replies: BTreeMap::new(),
            archive: Vec::new(),
            alarms: Vec::new(),
            rows: BTreeMap::new(),
            key_rows: BTreeMap::new(),
            journal: Batch::default(),
            causality,
            policy,
            tickets: 0,
        }
    }

    /// A world whose SKUs have these units at one location.
    pub(crate) fn stocked(units: &[(&str, u32)]) -> Self {
        let mut world = Self::new();
        units.iter().for_each(|(name, units)| world.stock(name, "main", *units));
        world
    }

    pub(crate) fn part(&self, id: PartitionId) -> &Partition {
        &self.parts[usize::from(id.0)]
    }

    /// Feeds one input to one partition and carries nothing further.
    pub(crate) fn step(&mut self, id: PartitionId, input: Input) {
        let mut fx = Effects::default();
        self.parts[usize::from(id.0)].step(self.now, input, &mut fx);
        self.absorb(fx);
        if self.sync {
            self.sync_one(id);
        }
        assert_eq!(invariants::check(&self.parts), Vec::<String>::new());
    }

    fn absorb(&mut self, fx: Effects) {
        self.journal.extend(&fx.batch);
        self.mail.extend(fx.messages);
        self.calls.extend(fx.calls);
        self.archive.extend(fx.archive);
        self.alarms.extend(fx.alarms);
        for reply in fx.replies {
            let before = self.replies.insert(reply.ticket.0, reply);
            assert!(before.is_none(), "one command was answered twice: {before:?}");
        }
    }

    fn sync_one(&mut self, id: PartitionId) {
        let mut fx = Effects::default();
        let part = &mut self.parts[usize::from(id.0)];
        let seq = part.seq();
        part.step(self.now, Input::Durable(seq), &mut fx);
        self.absorb(fx);
    }

    /// Makes everything durable, and lets follow what was waiting for it.
    pub(crate) fn sync_all(&mut self) {
        self.partitions.all().for_each(|id| self.sync_one(id));
        self.settle();
    }

    /// Delivers the mail, and the mail that follows from it.
    pub(crate) fn settle(&mut self) {
        while self.post
            && let Some(message) = self.mail.pop_front()
        {
            self.step(message.to, Input::Message(message.body));
        }
    }

    /// Loses the mail that is under way.
    pub(crate) fn lose_mail(&mut self) {
        assert!(!self.mail.is_empty(), "there is mail to lose");
        self.mail.clear();
    }

    pub(crate) fn send(&mut self, command: Command) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let home = command.partition(self.partitions);
        let missing = self.part(home).missing(&command);
        let loaded = Loaded {
            order: missing.order.and_then(|id| self.rows.get(&id).cloned()),
            key: missing.key.and_then(|key| self.key_rows.get(&key).cloned()),
        };
        self.step(home, Input::Command { ticket, command, loaded });
        self.settle();
        ticket
    }

    pub(crate) fn reply(&self, ticket: Ticket) -> Option<&Reply> {
        self.replies.get(&ticket.0)
    }

    pub(crate) fn ask(&mut self, command: Command) -> Result<Answer, Rejection> {
        let ticket = self.send(command);
        self.reply(ticket).expect("the command is answered").outcome.clone()
    }

    pub(crate) fn send_order(&mut self, draft: &Draft) -> (OrderId, Ticket) {
        let ticket = self.send(draft.command(self.now, self.partitions));
        (draft.id(self.partitions), ticket)
    }

    /// Places an order that is answered, with whatever end.
    pub(crate) fn place(&mut self, draft: &Draft) -> OrderId {
        let (id, ticket) = self.send_order(draft);
        let reply = self.reply(ticket).expect("the order is answered");
        assert!(reply.outcome.is_ok(), "{reply:?}");
        id
    }

    pub(crate) fn stock(&mut self, name: &str, place: &str, units: u32) {
        let set = Command::SetStock {
            sku: sku(name),
            location: location(place),
            on_hand: Quantity::new(units),
            safety_stock: None,
            priority: None,
            expected: None,
        };
        self.ask(set).unwrap();
    }

    pub(crate) fn cancel(&mut self, id: OrderId) -> Result<Answer, Rejection> {
        let kind = self.order(id).kind();
        self.ask(Command::Cancel { order: id, kind, reason: None })
    }

    pub(crate) fn confirm(&mut self, id: OrderId) -> Result<Answer, Rejection> {
        let kind = self.order(id).kind();
        self.ask(Command::Confirm { order: id, kind, reason: None })
    }

    pub(crate) fn extend(&mut self, id: OrderId, ttl_ms: u64) -> Result<Answer, Rejection> {
        self.ask(Command::Extend { order: id, ttl_ms })
    }

    pub(crate) fn send_payment(&mut self, id: OrderId, key: &str) -> Ticket {
        let key = command_key(key, "pay");
        self.send(Command::StartPayment { order: id, provider: provider(), return_url: None, key })
    }

    /// Starts an attempt whose page the provider opens.
    pub(crate) fn pay(&mut self, id: OrderId, key: &str) -> AttemptId {
        self.send_payment(id, key);
        self.open_page()
    }

    /// The provider opens the page of the one attempt it was asked to create.
    pub(crate) fn open_page(&mut self) -> AttemptId {
        let call = self.take_call(CallKind::Create);
        let redirect_url = crate::draft::url("https://bank.example/page");
        self.provider(ProviderResult::Opened { attempt: call.attempt, redirect_url });
        call.attempt
    }

    /// The one open question to the provider, which must be of this kind.
    pub(crate) fn take_call(&mut self, kind: CallKind) -> ProviderCall {
        let kinds: Vec<CallKind> = self.calls.iter().map(|call| call.kind).collect();
        assert_eq!(kinds, [kind], "the open questions to the provider");
        self.calls.remove(0)
    }

    /// The provider answers its one open question.
    pub(crate) fn answer_call(&mut self, kind: CallKind, outcome: Outcome) {
        let attempt = self.take_call(kind).attempt;
        self.provider(ProviderResult::Outcome { attempt, kind, outcome });
    }

    pub(crate) fn provider(&mut self, result: ProviderResult) {
        let (ProviderResult::Opened { attempt, .. } | ProviderResult::Outcome { attempt, .. }) = &result;
        self.step(attempt.order.partition(), Input::Provider(result));
        self.settle();
    }

    /// A webhook of the provider.
    pub(crate) fn webhook(&mut self, attempt: AttemptId, outcome: Outcome) {
        let answer = self.ask(Command::PaymentResult { attempt, outcome });
        assert_eq!(answer, Ok(Answer::Recorded));
    }

    /// Moves the clock, stopping at every deadline on the way.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now.plus(millis);
        for round in 0.. {
            assert!(round < 10_000, "a deadline comes back for ever");
            let next = self.parts.iter().filter_map(Partition::next_deadline).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.partitions.all().for_each(|id| self.step(id, Input::Tick));
            self.settle();
        }
        self.now = end;
    }

    /// Writes closed things to the projection and tells the partitions so.
    pub(crate) fn project(&mut self) -> usize {
        let archive = std::mem::take(&mut self.archive);
        let written = archive.len();
        for item in archive {
            let (home, orders, keys) = match item {
                Archive::Order { partition, order, history } => {
                    let written = (order, history.len());
                    let row = codec::encode_history(&history);
                    self.rows.insert(order, codec::decode_history(&row).unwrap());
                    (partition, vec![written], Vec::new())
                }
                Archive::Key { partition, key, fingerprint, answer } => {
                    self.key_rows.insert(key, (fingerprint, answer));
                    (partition, Vec::new(), vec![key])
                }
            };
            self.step(home, Input::Archived { orders, keys });
        }
        self.settle();
        written
    }

    /// Drops all that is volatile and rebuilds the partitions from the journal.
    pub(crate) fn crash(&mut self) {
        self.parts = self.replay();
        self.mail.clear();
        self.calls.clear();
        self.archive.clear();
        for index in 0..self.parts.len() {
            let mut fx = Effects::default();
            self.parts[index].resume(self.now, &mut fx);
            self.absorb(fx);
        }
        // What a journal gave back is durable, and so is what follows at once.
        self.sync_all();
    }

    pub(crate) fn records(&self) -> Vec<(PartitionId, Record)> {
        let frame = self.journal.frame();
        let entries = codec::read_frame(&frame).unwrap();
        entries.map(|entry| entry.unwrap()).map(|entry| (entry.partition, entry.decode().unwrap())).collect()
    }

    fn replay(&self) -> Vec<Partition> {
        let fresh = |id| Partition::new(id, self.partitions, self.causality, self.policy.clone());
        let mut parts: Vec<Partition> = self.partitions.all().map(fresh).collect();
        for (id, record) in self.records() {
            parts[usize::from(id.0)].apply(record);
        }
        parts
    }

    pub(crate) fn order(&self, id: OrderId) -> &Order {
        self.part(id.partition()).order(id).expect("the order is in memory")
    }

    pub(crate) fn status(&self, id: OrderId) -> Status {
        self.order(id).status
    }

    /// The names of the facts of an order, in order.
    pub(crate) fn facts(&self, id: OrderId) -> Vec<String> {
        let name = |fact: OrderFact| format!("{fact:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned();
        self.order(id).history().facts().map(name).collect()
    }

    pub(crate) fn count(&self, id: OrderId, fact: &str) -> usize {
        self.facts(id).iter().filter(|name| *name == fact).count()
    }

    pub(crate) fn available(&self, name: &str) -> u64 {
        let sku = sku(name);
        self.part(self.partitions.of_sku(&sku)).sku(&sku).map_or(0, holdfast_engine::stock::SkuStock::available)
    }

    /// The buckets of one SKU, all locations together.
    pub(crate) fn buckets(&self, name: &str) -> Buckets {
        let sku = sku(name);
        let mut sum = Buckets::default();
        for place in &self.part(self.partitions.of_sku(&sku)).sku(&sku).expect("the SKU is stocked").locations {
            sum.on_hand = sum.on_hand.checked_add(place.buckets.on_hand).unwrap();
            sum.held = sum.held.checked_add(place.buckets.held).unwrap();
            sum.pinned = sum.pinned.checked_add(place.buckets.pinned).unwrap();
            sum.committed = sum.committed.checked_add(place.buckets.committed).unwrap();
        }
        sum
    }

    /// (held, pinned, committed, available) of one SKU.
    pub(crate) fn units(&self, name: &str) -> (u32, u32, u32, u64) {
        let buckets = self.buckets(name);
        (buckets.held.units(), buckets.pinned.units(), buckets.committed.units(), self.available(name))
    }

    pub(crate) fn kind_of(&self, id: OrderId) -> Kind {
        self.order(id).kind()
    }

    /// What every scenario must leave behind.
    fn check(&self) {
        assert_eq!(self.alarms, Vec::<String>::new(), "what must be impossible was seen");
        let replayed = self.replay();
        let mut audit = Audit::default();
        self.records().iter().for_each(|(id, record)| audit.add(*id, record));
        assert_eq!(audit.finish(&self.parts).1, Vec::<String>::new());
        for (live, folded) in self.parts.iter().zip(&replayed) {
            assert_eq!(live.hash(), folded.hash(), "the state of partition {} is the fold of its journal", live.id.0);
            let image = live.snapshot();
            let restored = Partition::restore(live.id, self.partitions, self.causality, self.policy.clone(), &image).unwrap();
            assert_eq!(live.hash(), restored.hash(), "a snapshot of partition {} restores it", live.id.0);
            // The hash is of the snapshot, and would not know what is in none.
            for other in [folded, &restored] {
                assert!(live.orders().all(|order| other.order(order.id) == Some(order)), "orders of partition {}", live.id.0);
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}
