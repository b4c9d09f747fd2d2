//! What panics a partition, and rows that cannot be read: each costs whoever sent it, and nobody else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod rows;
mod snapshots;

use holdfast_actors::inbox::ShardMessage;
use holdfast_actors::shop::{self, POISON, id, keys, meanwhile, partitions, place_at, start_on, taken};
use holdfast_actors::{Engine, Failure, Options, Unanswered};
use holdfast_engine::Causality;
use holdfast_engine::answer::{self, Reply};
use holdfast_engine::codec::{self, Batch};
use holdfast_engine::command::Command;
use holdfast_engine::ids::{HoldKey, PartitionId, Partitions, Sku};
use holdfast_engine::protocol::{Message, ToStock};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::rejection::Rejection;
use holdfast_engine::stock::ReserveRequest;
use holdfast_engine::time::Timestamp;
use holdfast_storage::conformance::Gate;
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{Error, Journal, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// Far more than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What all orders are for.
const SKU: &str = "A";

fn start(journal: impl Journal) -> Engine {
    start_with(journal, Options::default())
}

fn start_with(journal: impl Journal, options: Options) -> Engine {
    start_on(&Arc::new(journal), options)
}

fn start_in_memory() -> Engine {
    start(MemoryJournal::new(partitions()))
}

fn sku() -> Sku {
    shop::sku(SKU)
}

fn stock() -> Command {
    stock_of(1_000)
}

fn stock_of(on_hand: u32) -> Command {
    shop::stock(SKU, on_hand)
}

fn place(key: &str) -> Command {
    place_at(key, &[SKU], (2, 1))
}

/// An order that panics the partition of its key.
fn poison(key: &str) -> Command {
    place_at(key, &[SKU], POISON)
}

fn get(key: &str) -> Command {
    Command::GetOrder { order: id(key), kind: None }
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
async fn place_others(engine: &Engine, home: PartitionId, rounds: &Cell<usize>, stop: &Cell<bool>) {
    let mut keys = keys("other", |partition| partition != home);
    while !stop.get() {
        let sent: Vec<_> = keys.by_ref().take(32).map(|key| engine.handle.send(place(&key)).unwrap()).collect();
        for pending in sent {
            assert!(found(&pending.await.unwrap()), "an order of another partition is not answered");
        }
        rounds.set(rounds.get() + 1);
    }
}

#[actix::test]
async fn twenty_panics_of_one_partition_cost_no_order_of_another() {
    let engine = start_in_memory();
    engine.handle.execute(stock()).await.unwrap();
    let stocked = partitions().of_sku(&sku());
    let home = partitions().all().find(|partition| *partition != stocked).unwrap();
    let (rounds, stop) = (Cell::new(0), Cell::new(false));
    let panicking = async {
        for key in keys("poison", |partition| partition == home).take(20) {
            let before = rounds.get();
            assert_eq!(taken(&engine, poison(&key)).await, Err(Unanswered::Lost));
            // Others have their answers between two panics, and beside each.
            while rounds.get() < before + 2 {
                meanwhile(&engine).await;
            }
        }
        stop.set(true);
    };
    futures_util::join!(place_others(&engine, home, &rounds, &stop), panicking);
    assert_eq!((life(&engine, home), lives(&engine)), (20, 20));
    engine.stop().await;
}

fn found(reply: &Reply) -> bool {
    matches!(reply.outcome, Ok(answer::Answer::Order { .. }))
}
