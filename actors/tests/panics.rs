//! What panics a shard, and rows that cannot be read: each costs whoever sent it, and nobody else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_actors::inbox::ShardMessage;
use holdfast_actors::provider::{Answer, Answering, PaymentProvider};
use holdfast_actors::{Engine, Failure, Options, ReplyQueues, Unanswered};
use holdfast_engine::answer::{self, Reply};
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::event::{Kind, Line, Placed};
use holdfast_engine::ids::{Fingerprint, HoldKey, KeyHash, Location, OrderId, PartitionId, Partitions, RequestId, Sku};
use holdfast_engine::order::Outcome;
use holdfast_engine::protocol::{Message, ToOrder};
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::time::Timestamp;
use holdfast_engine::{Causality, limits};
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{Error, Journal, Log, LogId, LogSeq, Row, Rows, Snapshot, Snapshots, Table, Visit};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Far more than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Answering {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

fn partitions() -> Partitions {
    Partitions::new(8).unwrap()
}

fn start(journal: impl Journal) -> Engine {
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    Engine::start(Arc::new(journal), ReplyQueues::default(), provider, Options::default(), &mut |_, _| {}).unwrap()
}

fn start_in_memory() -> Engine {
    start(MemoryJournal::new(partitions()))
}

fn sku() -> Sku {
    Sku::new("A").unwrap()
}

fn stock() -> Command {
    let (location, on_hand) = (Location::new("main").unwrap(), Quantity::new(1_000));
    Command::SetStock { sku: sku(), location, on_hand, safety_stock: None, priority: None, expected: None }
}

fn id(key: &str) -> OrderId {
    OrderId::derive(KeyHash::derive("", "orders", key), partitions())
}

fn place(key: &str, metadata: Option<Box<str>>) -> Command {
    let line = Line { sku: sku(), quantity: Quantity::new(1), unit_price: Money::new(1), seller: None, metadata: None };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(metadata.is_some().into()),
        request_id: RequestId::new("req_1").unwrap(),
        customer: None,
        currency: None,
        lines: vec![line],
        allow_partial: false,
        expires_at: Timestamp::new(u64::MAX / 2),
        shipping_address: None,
        metadata,
        payment: None,
        origin: None,
    };
    Command::Place { order: id(key), placed: Box::new(placed) }
}

/// An order that no record can hold: the gateway lets none of this size in, so the engine takes it for a broken invariant.
fn poison(key: &str) -> Command {
    place(key, Some("x".repeat(limits::MAX_RECORD_BYTES).into()))
}

fn get(key: &str) -> Command {
    Command::GetOrder { order: id(key), kind: None }
}

/// The same command until the shard is there to take it.
async fn taken(engine: &Engine, command: Command) -> Result<Reply, Unanswered> {
    loop {
        match engine.handle.execute(command.clone()).await {
            Err(Unanswered::Unavailable) => tokio::task::yield_now().await,
            other => return other,
        }
    }
}

fn epoch(engine: &Engine) -> u64 {
    engine.handle.router().table().inboxes[0].epoch
}

#[actix::test]
async fn an_order_that_panicked_its_shard_twice_is_refused_and_all_others_are_taken() {
    let engine = start_in_memory();
    engine.handle.execute(stock()).await.unwrap();
    for life in 1..=2 {
        let outcome = taken(&engine, poison("poison")).await;
        assert_eq!(outcome, Err(Unanswered::Lost), "nobody knows yet whether it would again");
        taken(&engine, place(&format!("after-{life}"), None)).await.unwrap();
        assert_eq!(epoch(&engine), life);
    }
    for _ in 0..20 {
        assert_eq!(engine.handle.execute(poison("poison")).await, Err(Unanswered::Poisoned));
    }
    let same_key = engine.handle.execute(place("poison", None)).await.unwrap();
    assert!(same_key.outcome.is_ok(), "another order under the key is another: {same_key:?}");
    assert_eq!(epoch(&engine), 2, "it was given to the shard again");
    assert_eq!(engine.handle.router().table().inboxes[0].credits.taken(), 0, "a refusal keeps its credit");
    engine.stop().await;
}

/// To a partition that there is not.
fn poisoned_message() -> Message {
    let hold = HoldKey { order: id("none"), generation: 1 };
    Message { to: PartitionId(u16::MAX), body: ToOrder::HoldProbe { sku: sku(), hold }.into() }
}

#[actix::test]
async fn a_message_that_comes_back_in_each_life_is_passed_over_once_it_has_panicked_two() {
    let engine = start_in_memory();
    for _ in 0..10 {
        engine.handle.router().table().inboxes[0].push(ShardMessage::Peer(vec![poisoned_message()]));
        // Answered behind the message, or by the life after it.
        while taken(&engine, stock()).await == Err(Unanswered::Lost) {}
    }
    assert_eq!(epoch(&engine), 2);
    engine.stop().await;
}

#[actix::test]
async fn a_shard_that_panics_on_and_on_ends_the_engine_with_the_reason() {
    let engine = start_in_memory();
    let mut failed = engine.failed();
    let panicking = async {
        while failed.borrow().is_none() {
            engine.handle.router().table().inboxes[0].push(ShardMessage::Panic);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, panicking).await.unwrap();
    let failure = failed.borrow_and_update().clone().unwrap();
    assert!(matches!(failure, Failure::Shard(_)), "the journal has nothing to do with it");
    let reason = failure.to_string();
    assert!(reason.contains("shard 0") && reason.contains("asked to panic"), "{reason}");
    assert_eq!(epoch(&engine), 20, "a bounded number of rebuilds");
    assert_eq!(engine.handle.execute(stock()).await, Err(Unanswered::Unavailable));
    engine.stop().await;
}

#[actix::test]
async fn whoever_waits_for_a_report_of_a_shard_that_panics_does_not_wait_for_ever() {
    let engine = start_in_memory();
    for _ in 0..5 {
        engine.handle.router().table().inboxes[0].push(ShardMessage::Panic);
        tokio::time::timeout(TIMEOUT, engine.handle.reports()).await.unwrap();
        while taken(&engine, stock()).await == Err(Unanswered::Lost) {}
    }
    engine.stop().await;
}

/// How the row of an order is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// The store says that it cannot.
    Refused,
    /// Bytes that nobody wrote.
    Garbage,
    /// A row that can be read, and is no history.
    NoHistory,
    /// The store itself breaks.
    Panic,
}

/// A journal whose rows of orders are damaged, once it is told so.
struct Damaged {
    inner: MemoryJournal,
    damage: Damage,
    remote: bool,
    on: Arc<AtomicBool>,
}

impl Log for Damaged {
    fn causality(&self) -> Causality {
        self.inner.causality()
    }

    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        self.inner.append(log, batch)
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.inner.end(log)
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.read(log, after, visit)
    }
}

impl Snapshots for Damaged {
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.inner.save_snapshot(snapshot)
    }

    fn snapshots(&self, partition: PartitionId) -> Result<Vec<Snapshot>, Error> {
        self.inner.snapshots(partition)
    }
}

impl Rows for Damaged {
    fn remote(&self) -> bool {
        self.remote
    }

    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        self.inner.project(rows)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if table != Table::Orders || !self.on.load(Ordering::SeqCst) {
            return self.inner.get(table, key);
        }
        match self.damage {
            Damage::Refused => Err(Error::Failed("a block does not match its checksum".to_owned())),
            Damage::Garbage => Ok(Some(vec![0xee; 40])),
            Damage::NoHistory => Ok(Some(codec::encode(&Vec::<holdfast_engine::event::OrderRecord>::new()))),
            Damage::Panic => panic!("a planted panic"),
        }
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        self.inner.scan(table, from, to, limit)
    }
}

/// Has an order leave memory for the store.
async fn archive(engine: &Engine, key: &str) {
    engine.handle.execute(place(key, None)).await.unwrap();
    let cancel = Command::Cancel { order: id(key), kind: Kind::Order, reason: None };
    engine.handle.execute(cancel).await.unwrap();
    let left = async {
        while engine.handle.reports().await.iter().map(|shard| shard.orders).sum::<usize>() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, left).await.unwrap();
}

#[actix::test]
async fn a_row_that_cannot_be_read_fails_the_request_that_needs_it_and_no_other() {
    for (damage, remote) in [
        (Damage::Refused, false),
        (Damage::Refused, true),
        (Damage::Garbage, false),
        (Damage::Garbage, true),
        (Damage::NoHistory, false),
        (Damage::NoHistory, true),
        (Damage::Panic, false),
        (Damage::Panic, true),
    ] {
        let on = Arc::new(AtomicBool::new(false));
        let engine = start(Damaged { inner: MemoryJournal::new(partitions()), damage, remote, on: on.clone() });
        engine.handle.execute(stock()).await.unwrap();
        archive(&engine, "closed").await;
        assert!(engine.handle.execute(get("closed")).await.is_ok_and(|reply| found(&reply)), "{damage:?}");
        on.store(true, Ordering::SeqCst);
        for number in 0..20 {
            let read = tokio::time::timeout(TIMEOUT, engine.handle.execute(get("closed"))).await.unwrap();
            assert_eq!(read, Err(Unanswered::Unreadable), "{damage:?} {remote}");
            let placed = engine.handle.execute(place(&format!("other-{number}"), None)).await.unwrap();
            assert!(found(&placed), "{damage:?} {remote}: {placed:?}");
        }
        assert_eq!(epoch(&engine), 0, "{damage:?} {remote}: the shard paid for it");
        assert_eq!(engine.handle.router().table().inboxes[0].credits.taken(), 0, "{damage:?} {remote}: a credit is gone");
        on.store(false, Ordering::SeqCst);
        assert!(engine.handle.execute(get("closed")).await.is_ok_and(|reply| found(&reply)), "{damage:?}: it can be read again");
        engine.stop().await;
    }
}

fn found(reply: &Reply) -> bool {
    matches!(reply.outcome, Ok(answer::Answer::Order { .. }))
}
