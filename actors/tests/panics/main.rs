//! What panics a partition, and rows that cannot be read: each costs whoever sent it, and nobody else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod rows;
mod snapshots;

use holdfast_actors::inbox::ShardMessage;
use holdfast_actors::provider::{Answer, Answering, PaymentProvider};
use holdfast_actors::{Engine, Failure, Options, ReplyQueues, Unanswered};
use holdfast_engine::Causality;
use holdfast_engine::answer::{self, Reply};
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::event::{Kind, Line, Placed};
use holdfast_engine::ids::{Fingerprint, HoldKey, KeyHash, Location, OrderId, PartitionId, Partitions, RequestId, Sku};
use holdfast_engine::order::Outcome;
use holdfast_engine::protocol::{Message, ToStock};
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::rejection::Rejection;
use holdfast_engine::stock::ReserveRequest;
use holdfast_engine::time::Timestamp;
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{Error, Journal, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Far more than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What passes it waits where it is shut.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.moved.notify_all();
    }

    fn is_shut(&self) -> bool {
        *self.shut.lock().unwrap()
    }

    fn pass(&self) {
        drop(self.moved.wait_while(self.shut.lock().unwrap(), |shut| *shut).unwrap());
    }
}

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
    start_with(journal, Options::default())
}

fn start_with(journal: impl Journal, options: Options) -> Engine {
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    Engine::start(Arc::new(journal), ReplyQueues::default(), provider, options, &mut |_, _| {}).unwrap()
}

fn start_in_memory() -> Engine {
    start(MemoryJournal::new(partitions()))
}

fn sku() -> Sku {
    Sku::new("A").unwrap()
}

fn stock() -> Command {
    stock_of(1_000)
}

fn stock_of(on_hand: u32) -> Command {
    let (location, on_hand) = (Location::new("main").unwrap(), Quantity::new(on_hand));
    Command::SetStock { sku: sku(), location, on_hand, safety_stock: None, priority: None, expected: None }
}

fn id(key: &str) -> OrderId {
    OrderId::derive(KeyHash::derive("", "orders", key), partitions())
}

fn place(key: &str) -> Command {
    place_at(key, Money::new(1))
}

fn place_at(key: &str, unit_price: Money) -> Command {
    let line = Line { sku: sku(), quantity: Quantity::new(2), unit_price, seller: None, metadata: None };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint((unit_price == Money::new(1)).into()),
        request_id: RequestId::new("req_1").unwrap(),
        customer: None,
        currency: None,
        lines: vec![line],
        allow_partial: false,
        expires_at: Timestamp::new(u64::MAX / 2),
        shipping_address: None,
        metadata: None,
        payment: None,
        origin: None,
    };
    Command::Place { order: id(key), placed: Box::new(placed) }
}

/// An order that costs more than can be counted. The gateway lets none in, so the engine takes it for a broken invariant.
fn poison(key: &str) -> Command {
    place_at(key, Money::new(i64::MAX))
}

/// Keys of orders that are at home there, or anywhere else.
fn keys(name: &'static str, of: impl Fn(PartitionId) -> bool) -> impl Iterator<Item = String> {
    (0..).map(move |number: u32| format!("{name}-{number}")).filter(move |key| of(id(key).partition()))
}

fn get(key: &str) -> Command {
    Command::GetOrder { order: id(key), kind: None }
}

/// The same command until its partition is there to take it.
async fn taken(engine: &Engine, command: Command) -> Result<Reply, Unanswered> {
    loop {
        match engine.handle.execute(command.clone()).await {
            Err(Unanswered::Unavailable) => tokio::time::sleep(Duration::from_millis(1)).await,
            other => return other,
        }
    }
}

/// What a client does: the same order again until there is an answer that stays.
async fn retried(engine: &Engine, command: Command) -> Reply {
    loop {
        match engine.handle.execute(command.clone()).await {
            Ok(Reply { outcome: Err(Rejection::KeyInProgress), .. }) | Err(Unanswered::Unavailable | Unanswered::Lost) => {
                tokio::task::yield_now().await;
            }
            other => return other.unwrap(),
        }
    }
}

fn life(engine: &Engine, partition: PartitionId) -> u64 {
    engine.handle.router().table().lives[usize::from(partition.0)]
}

/// Rebuilds of all partitions.
fn lives(engine: &Engine) -> u64 {
    engine.handle.router().table().lives.iter().sum()
}

#[actix::test]
async fn an_order_that_panicked_its_partition_twice_is_refused_and_all_others_are_taken() {
    let engine = start_in_memory();
    engine.handle.execute(stock()).await.unwrap();
    for life in 1..=2 {
        let outcome = taken(&engine, poison("poison")).await;
        assert_eq!(outcome, Err(Unanswered::Lost), "nobody knows yet whether it would again");
        taken(&engine, place(&format!("after-{life}"))).await.unwrap();
        assert_eq!(lives(&engine), life);
    }
    for _ in 0..20 {
        assert_eq!(taken(&engine, poison("poison")).await, Err(Unanswered::Poisoned));
    }
    let same_key = taken(&engine, place("poison")).await.unwrap();
    assert!(same_key.outcome.is_ok(), "another order under the key is another: {same_key:?}");
    assert_eq!(lives(&engine), 2, "it was given to the partition again");
    assert_eq!(engine.handle.depths(), [0], "a refusal keeps its credit");
    engine.stop().await;
}

/// Units until the end of time: a deadline that cannot be counted in milliseconds.
fn poisoned_message() -> Message {
    let hold = HoldKey { order: id("none"), generation: 1 };
    let (quantity, probe_at) = (Quantity::new(1), Timestamp::new(u64::MAX));
    let request = ReserveRequest { hold, order_version: 1, quantity, partial: false, locations: 1, probe_at };
    Message { to: partitions().of_sku(&sku()), body: ToStock::Reserve { sku: sku(), request }.into() }
}

#[actix::test]
async fn a_message_that_comes_back_in_each_life_is_passed_over_once_it_has_panicked_two() {
    let engine = start_in_memory();
    engine.handle.execute(stock()).await.unwrap();
    for _ in 0..10 {
        engine.handle.router().table().inboxes[0].push(ShardMessage::Peer(vec![poisoned_message()]));
        // Answered behind the message, or by the life after it.
        while taken(&engine, stock()).await == Err(Unanswered::Lost) {}
    }
    assert_eq!(lives(&engine), 2);
    let Ok(answer::Answer::Stock(view)) = engine.handle.execute(stock()).await.unwrap().outcome else { panic!("no stock") };
    assert_eq!(view.locations[0].buckets.held, Quantity::new(0), "what it made before it panicked is cut off");
    engine.stop().await;
}

#[actix::test]
async fn a_message_to_a_partition_that_there_is_not_costs_an_alarm_and_no_partition() {
    let engine = start_in_memory();
    let message = Message { to: PartitionId(u16::MAX), ..poisoned_message() };
    engine.handle.router().table().inboxes[0].push(ShardMessage::Peer(vec![message]));
    engine.handle.execute(stock()).await.unwrap();
    assert_eq!(lives(&engine), 0);
    engine.stop().await;
}

#[actix::test]
async fn a_partition_that_panics_on_and_on_ends_the_engine_with_the_reason() {
    let engine = start_in_memory();
    let mut failed = engine.failed();
    let home = id("poison").partition();
    let panicking = async {
        for key in keys("poison", |partition| partition == home) {
            if failed.borrow().is_some() {
                return;
            }
            // Behind the last panic its partition is not available any more.
            tokio::time::timeout(Duration::from_millis(50), taken(&engine, poison(&key))).await.ok();
        }
    };
    tokio::time::timeout(TIMEOUT, panicking).await.unwrap();
    let failure = failed.borrow_and_update().clone().unwrap();
    assert!(matches!(failure, Failure::Shard(_)), "the journal has nothing to do with it");
    let (reason, named) = (failure.to_string(), format!("partition {} cannot go on", home.0));
    assert!(reason.contains(&named) && reason.contains("costs more than can be counted"), "{reason}");
    assert_eq!(engine.handle.reports().await[0].epoch, 20, "a bounded number of rebuilds");
    assert_eq!(engine.handle.execute(poison("poison")).await, Err(Unanswered::Unavailable));
    engine.stop().await;
}

#[actix::test]
async fn whoever_waits_for_a_report_of_a_shard_with_a_partition_that_panics_has_it() {
    let engine = start_in_memory();
    for number in 0..5 {
        let panics = engine.handle.send(poison(&format!("poison-{number}"))).unwrap();
        let reports = tokio::time::timeout(TIMEOUT, engine.handle.reports()).await.unwrap();
        assert_eq!(reports.len(), 1);
        // Or its partition is not back yet from the one before.
        assert!(matches!(panics.await, Err(Unanswered::Lost | Unanswered::Unavailable)));
    }
    engine.stop().await;
}

/// Lines of the table of docs/adr/0014 that are seen from outside: what is in hand, submitted, on its way.
#[actix::test]
async fn requests_of_a_lost_partition_have_an_unknown_outcome_and_one_effect_those_of_others_are_answered() {
    for causality in [Causality::OneLog, Causality::PerPartition] {
        let engine = start(MemoryJournal::with(causality, partitions()));
        engine.handle.execute(stock()).await.unwrap();
        let stocked = partitions().of_sku(&sku());
        let home = partitions().all().find(|partition| *partition != stocked).unwrap();
        let own: Vec<String> = keys("own", |partition| partition == home).take(60).collect();
        let others: Vec<String> = keys("other", |partition| partition != home).take(60).collect();
        for (round, (own, others)) in own.chunks(20).zip(others.chunks(20)).enumerate() {
            let send = |key: &String| engine.handle.send(place(key)).unwrap();
            let mut lost: Vec<_> = own[..10].iter().map(send).collect();
            let mut kept: Vec<_> = others[..10].iter().map(send).collect();
            let poisonous = keys("poison", |partition| partition == home).nth(round).unwrap();
            let panics = engine.handle.send(poison(&poisonous)).unwrap();
            lost.extend(own[10..].iter().map(send));
            kept.extend(others[10..].iter().map(send));
            assert_eq!(panics.await, Err(Unanswered::Lost));
            for pending in kept {
                assert!(found(&pending.await.unwrap()), "{causality:?}");
            }
            for pending in lost {
                let outcome = pending.await;
                let honest = match &outcome {
                    Ok(reply) => found(reply),
                    Err(why) => matches!(why, Unanswered::Lost | Unanswered::Unavailable),
                };
                assert!(honest, "{causality:?}: {outcome:?}");
            }
            assert_eq!(life(&engine, home), round as u64 + 1);
            assert!(found(&retried(&engine, place(&own[0])).await), "{causality:?}: it is not back");
        }
        assert_eq!(lives(&engine), 3, "{causality:?}: another partition paid for it");
        for key in own.iter().chain(&others) {
            assert!(found(&retried(&engine, place(key)).await), "{causality:?}");
        }
        let Ok(answer::Answer::Stock(view)) = engine.handle.execute(stock()).await.unwrap().outcome else { panic!("no stock") };
        assert_eq!(view.locations[0].buckets.held, Quantity::new(240), "{causality:?}: each order holds its units once");
        assert_eq!(engine.handle.depths(), [0], "{causality:?}: a credit is gone");
        engine.stop().await;
    }
}

/// Places orders that the panicking partition has nothing to do with until told to stop, some at a time. None may go without an answer.
async fn place_others(engine: &Engine, name: &'static str, home: PartitionId, stop: &AtomicBool) -> (usize, Duration) {
    let begun = std::time::Instant::now();
    let mut keys = keys(name, |partition| partition != home);
    let mut orders = 0;
    while !stop.load(Ordering::SeqCst) {
        let sent: Vec<_> = keys.by_ref().take(32).map(|key| engine.handle.send(place(&key)).unwrap()).collect();
        for pending in sent {
            assert!(found(&pending.await.unwrap()), "an order of another partition is not answered");
            orders += 1;
        }
    }
    (orders, begun.elapsed())
}

#[actix::test]
async fn twenty_panics_of_one_partition_cost_no_order_of_another() {
    let engine = start_in_memory();
    engine.handle.execute(stock()).await.unwrap();
    let stocked = partitions().of_sku(&sku());
    let home = partitions().all().find(|partition| *partition != stocked).unwrap();
    let calm = AtomicBool::new(false);
    let without = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        calm.store(true, Ordering::SeqCst);
    };
    let ((orders, took), ()) = futures_util::join!(place_others(&engine, "calm", home, &calm), without);
    engine.stop().await;
    let engine = start_in_memory();
    engine.handle.execute(stock()).await.unwrap();
    let stop = AtomicBool::new(false);
    let panicking = async {
        for key in keys("poison", |partition| partition == home).take(20) {
            assert_eq!(taken(&engine, poison(&key)).await, Err(Unanswered::Lost));
            tokio::time::sleep(Duration::from_millis(45)).await;
        }
        stop.store(true, Ordering::SeqCst);
    };
    let ((others, while_panicking), ()) = futures_util::join!(place_others(&engine, "other", home, &stop), panicking);
    let rates = [(orders, took), (others, while_panicking)].map(|(orders, took)| orders as f64 / took.as_secs_f64());
    eprintln!("orders of others a second: {:.0} without, {:.0} with panics: {:.2}", rates[0], rates[1], rates[1] / rates[0]);
    assert_eq!((life(&engine, home), lives(&engine)), (20, 20));
    engine.stop().await;
}

fn found(reply: &Reply) -> bool {
    matches!(reply.outcome, Ok(answer::Answer::Order { .. }))
}
