//! Partitions that move between shards while requests come: nothing is lost, refused or done twice, whatever the journal is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_actors::placement::operations::{Operation, Refused, State};
use holdfast_actors::provider::{Answer, Answering, PaymentProvider};
use holdfast_actors::{Engine, Options, ReplyQueues, Unanswered};
use holdfast_engine::Causality;
use holdfast_engine::answer::{self, Reply};
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::event::{Kind, Line, Placed};
use holdfast_engine::ids::{Fingerprint, KeyHash, Location, OrderId, PartitionId, Partitions, RequestId, Sku};
use holdfast_engine::order::{Order, Outcome, Status};
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::time::Timestamp;
use holdfast_storage::memory::MemoryJournal;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Far more than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The rules hold whatever the journal is: one log, or a log for each partition.
const BOTH: [Causality; 2] = [Causality::OneLog, Causality::PerPartition];

struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Answering {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

fn partitions() -> Partitions {
    Partitions::new(8).unwrap()
}

fn start_on(journal: &Arc<MemoryJournal>, shards: usize) -> Engine {
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    let options = Options { shards, snapshot_events: 50, ..Options::default() };
    Engine::start(journal.clone(), ReplyQueues::default(), provider, options, &mut |_, _| {}).unwrap()
}

fn journal(causality: Causality) -> Arc<MemoryJournal> {
    Arc::new(MemoryJournal::with(causality, partitions()))
}

fn sku(number: usize) -> Sku {
    Sku::new(&format!("S{number}")).unwrap()
}

fn stock(number: usize) -> Command {
    let (location, on_hand) = (Location::new("main").unwrap(), Quantity::new(1_000_000));
    Command::SetStock { sku: sku(number), location, on_hand, safety_stock: None, priority: None, expected: None }
}

fn id(key: &str) -> OrderId {
    OrderId::derive(KeyHash::derive("", "orders", key), partitions())
}

/// One unit of each of two SKUs, which are in other partitions most of the time.
fn place(number: usize) -> Command {
    place_at(&format!("order-{number}"), [number % 7, number % 5], (1, 1))
}

/// An order that costs more than can be counted. The gateway lets none in, so the engine takes it for a broken invariant.
fn poison(partition: PartitionId, number: usize) -> Command {
    let mut keys = (0..).map(|nth: u32| format!("poison-{number}-{nth}"));
    let key = keys.find(|key| id(key).partition() == partition).unwrap();
    place_at(&key, [0, 0], (2, i64::MAX))
}

fn place_at(key: &str, skus: [usize; 2], (quantity, price): (u32, i64)) -> Command {
    let (quantity, unit_price) = (Quantity::new(quantity), Money::new(price));
    let line = |number| Line { sku: sku(number), quantity, unit_price, seller: None, metadata: None };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(1),
        request_id: RequestId::new("req_1").unwrap(),
        customer: None,
        currency: None,
        lines: skus.map(line).to_vec(),
        allow_partial: false,
        expires_at: Timestamp::new(u64::MAX / 2),
        shipping_address: None,
        metadata: None,
        payment: None,
        origin: None,
    };
    Command::Place { order: id(key), placed: Box::new(placed) }
}

fn status(reply: &Reply) -> Status {
    match &reply.outcome {
        Ok(answer::Answer::Order { id, history }) => Order::of(*id, history.clone()).status,
        other => panic!("not an order: {other:?}"),
    }
}

async fn held(engine: &Engine) -> u32 {
    let mut held = 0;
    for number in 0..7 {
        let reply = engine.handle.execute(Command::GetStock { sku: sku(number) }).await.unwrap();
        let Ok(answer::Answer::Stock(view)) = reply.outcome else { panic!("no stock") };
        held += view.locations[0].buckets.held.units();
    }
    held
}

async fn fill(engine: &Engine) {
    for number in 0..7 {
        engine.handle.execute(stock(number)).await.unwrap();
    }
}

/// Until an operation has ended.
async fn ended(engine: &Engine, operation: Result<Operation, Refused>) -> Operation {
    let (id, deadline) = (operation.unwrap().id, Instant::now() + TIMEOUT);
    loop {
        let found = engine.handle.operations().get(id).unwrap();
        if found.state != State::Running {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Each partition is at one shard, the one that the table names.
async fn is_hosted_once(engine: &Engine) {
    let table = engine.handle.router().table();
    let reports = engine.handle.reports().await;
    let mut hosted: Vec<(u16, usize)> = reports.iter().flat_map(|one| one.partitions.iter().map(|id| (*id, one.shard))).collect();
    hosted.sort_unstable();
    let expected: Vec<(u16, usize)> = table.shard_of.iter().enumerate().map(|(id, shard)| (id as u16, *shard)).collect();
    assert_eq!(hosted, expected);
    assert_eq!(reports.len(), table.inboxes.len());
}

/// Every credit is back, and the journal has what was answered.
async fn stop(engine: Engine, journal: &Arc<MemoryJournal>, orders: usize) {
    let handle = engine.handle.clone();
    assert!(engine.stop().await);
    assert!(handle.depths().iter().all(|depth| *depth == 0), "{:?}", handle.depths());
    let again = start_on(journal, 1);
    assert_eq!(held(&again).await as usize, 2 * orders);
    again.stop().await;
}

/// Orders that are sent without waiting for one another, while `steer` moves partitions; all are answered.
async fn under_load(engine: &Engine, from: usize, steer: impl AsyncFnOnce(&Engine)) -> usize {
    let done = std::cell::Cell::new(false);
    let load = async {
        let mut sent = Vec::new();
        while !done.get() || sent.len() < 500 {
            sent.push(engine.handle.send(place(from + sent.len())).unwrap());
            if sent.len().is_multiple_of(8) {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        let orders = sent.len();
        for pending in sent {
            assert_eq!(status(&pending.await.unwrap()), Status::AwaitingPayment);
        }
        orders
    };
    let steered = async {
        steer(engine).await;
        done.set(true);
    };
    futures_util::future::join(load, steered).await.0
}

#[actix::test]
async fn partitions_move_under_load_and_every_request_is_answered_and_kept() {
    for causality in BOTH {
        let journal = journal(causality);
        let engine = start_on(&journal, 3);
        fill(&engine).await;
        let orders = under_load(&engine, 0, async |engine| {
            for step in 0..40_u16 {
                let operation = engine.handle.move_partition(PartitionId(step * 5 % 8), usize::from(step * 7 % 3));
                assert_eq!(ended(engine, operation).await.state, State::Done);
            }
        })
        .await;
        is_hosted_once(&engine).await;
        assert_eq!(held(&engine).await as usize, 2 * orders);
        stop(engine, &journal, orders).await;
    }
}

#[actix::test]
async fn shards_are_added_and_taken_away_under_load() {
    for causality in BOTH {
        let journal = journal(causality);
        let engine = start_on(&journal, 1);
        fill(&engine).await;
        let mut orders = 0;
        for shards in [4, 8, 3, 1, 2] {
            orders += under_load(&engine, orders, async |engine| {
                let operation = ended(engine, engine.handle.reshard(shards).await).await;
                assert_eq!((operation.state, operation.moved), (State::Done, operation.moves));
            })
            .await;
            assert_eq!(engine.handle.depths().len(), shards);
            is_hosted_once(&engine).await;
        }
        assert_eq!(held(&engine).await as usize, 2 * orders);
        stop(engine, &journal, orders).await;
    }
}

/// The same request again until its partition takes it.
async fn retried(engine: &Engine, command: Command) -> Reply {
    loop {
        match engine.handle.execute(command.clone()).await {
            Ok(Reply { outcome: Err(_), .. }) | Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            Ok(reply) => return reply,
        }
    }
}

#[actix::test]
async fn a_partition_that_panics_while_it_moves_comes_back_at_the_shard_it_goes_to() {
    for causality in BOTH {
        let journal = journal(causality);
        let engine = start_on(&journal, 3);
        fill(&engine).await;
        for round in 0..12 {
            let partition = PartitionId(round % 8);
            let to = (engine.handle.router().shard_of(partition) + 1) % 3;
            let sent: Vec<_> = (0..20).map(|n| engine.handle.send(place(usize::from(round) * 20 + n)).unwrap()).collect();
            let panics = engine.handle.send(poison(partition, usize::from(round))).unwrap();
            let operation = ended(&engine, engine.handle.move_partition(partition, to)).await;
            assert_eq!((operation.state, operation.moved), (State::Done, 1));
            assert_eq!(panics.await, Err(Unanswered::Lost));
            for pending in sent {
                // Answered before the panic, or honestly lost, or not executed.
                pending.await.into_iter().for_each(|reply| assert_eq!(status(&reply), Status::AwaitingPayment));
            }
            for n in 0..20 {
                assert_eq!(status(&retried(&engine, place(usize::from(round) * 20 + n)).await), Status::AwaitingPayment);
            }
            retried(&engine, Command::Availability { partition, skus: Vec::new() }).await;
            is_hosted_once(&engine).await;
        }
        assert_eq!(held(&engine).await, 2 * 12 * 20);
        stop(engine, &journal, 12 * 20).await;
    }
}

#[actix::test]
async fn an_operation_that_makes_no_sense_or_comes_beside_another_is_refused() {
    let journal = journal(Causality::OneLog);
    let engine = start_on(&journal, 2);
    let handle = engine.handle.clone();
    assert_eq!(handle.reshard(0).await, Err(Refused::Shards(8)));
    assert_eq!(handle.reshard(9).await, Err(Refused::Shards(8)));
    assert_eq!(handle.move_partition(PartitionId(8), 0), Err(Refused::Partition));
    assert_eq!(handle.move_partition(PartitionId(0), 2), Err(Refused::Shard(1)));
    let first = handle.reshard(8).await.unwrap();
    assert_eq!(handle.move_partition(PartitionId(0), 0), Err(Refused::Running(first.id)));
    assert_eq!(ended(&engine, Ok(first)).await.state, State::Done);
    let reserved = handle.reserve_reshard(2).unwrap();
    assert_eq!((handle.shards(), handle.depths().len()), (2, 8), "there are to be 2");
    assert!(matches!(handle.move_partition(PartitionId(0), 0), Err(Refused::Running(_))), "its turn is taken");
    drop(reserved);
    assert!(matches!(handle.operations().last().unwrap().state, State::Failed(_)), "it never began");
    assert_eq!((handle.shards(), handle.depths().len()), (8, 8));
    engine.stop().await;
    assert_eq!(handle.reshard(2).await.err(), Some(Refused::Stopping));
}

#[actix::test]
async fn a_partition_that_was_put_somewhere_stays_there_when_others_are_levelled() {
    let journal = journal(Causality::OneLog);
    let engine = start_on(&journal, 2);
    ended(&engine, engine.handle.move_partition(PartitionId(0), 1)).await;
    ended(&engine, engine.handle.move_partition(PartitionId(2), 1)).await;
    ended(&engine, engine.handle.reshard(2).await).await;
    let table = engine.handle.router().table();
    assert_eq!((table.shard_of[0], table.shard_of[2]), (1, 1));
    assert_eq!(table.shard_of.iter().filter(|shard| **shard == 1).count(), 4);
    engine.stop().await;
}
