//! Partitions that move between shards while requests come: nothing is lost, refused or done twice, whatever the journal is.

use holdfast_actors::placement::operations::{Operation, Refused, State};
use holdfast_actors::shop::{self, BOTH, meanwhile, partitions, place_at, poison, status};
use holdfast_actors::{Engine, Options, Unanswered};
use holdfast_engine::Causality;
use holdfast_engine::answer::{self, Reply};
use holdfast_engine::codec::Batch;
use holdfast_engine::command::Command;
use holdfast_engine::ids::{PartitionId, Partitions, Sku};
use holdfast_engine::order::Status;
use holdfast_storage::conformance::Gate;
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{Error, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Far more than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);
const SKUS: [&str; 7] = ["S0", "S1", "S2", "S3", "S4", "S5", "S6"];

fn start_on(journal: &Arc<MemoryJournal>, shards: usize) -> Engine {
    shop::start_on(journal, options(shards))
}

fn options(shards: usize) -> Options {
    Options { shards, snapshot_events: 50, ..Options::default() }
}

fn journal(causality: Causality) -> Arc<MemoryJournal> {
    Arc::new(MemoryJournal::with(causality, partitions()))
}

fn sku(number: usize) -> Sku {
    shop::sku(SKUS[number])
}

fn stock(number: usize) -> Command {
    shop::stock(SKUS[number], 1_000_000)
}

/// One unit of each of two SKUs, which are in other partitions most of the time.
fn place(number: usize) -> Command {
    place_at(&format!("order-{number}"), &[SKUS[number % 7], SKUS[number % 5]], (1, 1))
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
        meanwhile(engine).await;
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
                meanwhile(engine).await;
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
            Ok(Reply { outcome: Err(_), .. }) | Err(_) => meanwhile(engine).await,
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
            let panics = engine.handle.send(poison(partition, usize::from(round), &SKUS[..2])).unwrap();
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

/// A journal whose log is not read while its gate is shut, or has no end: a fold takes that long.
#[derive(Debug)]
struct Unreadable {
    inner: MemoryJournal,
    gate: Gate,
    /// Its log is read from the beginning again where it ends.
    endless: AtomicBool,
    /// A reader waits, or does not come to an end.
    reading: AtomicBool,
}

impl Unreadable {
    fn new() -> Self {
        let inner = MemoryJournal::with(Causality::OneLog, partitions());
        Self { inner, gate: Gate::default(), endless: AtomicBool::default(), reading: AtomicBool::default() }
    }

    fn is_endless(&self) -> bool {
        self.endless.load(Ordering::SeqCst)
    }
}

impl Log for Unreadable {
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
        if std::thread::current().name() == Some("projector") {
            return self.inner.read(log, after, visit);
        }
        self.reading.fetch_or(self.gate.is_shut() || self.is_endless(), Ordering::SeqCst);
        self.gate.pass();
        let mut goes_on = true;
        while goes_on {
            goes_on = self.is_endless();
            self.inner.read(log, after, &mut |commit, frame| {
                let flow = visit(commit, frame)?;
                goes_on &= flow.is_continue();
                Ok(flow)
            })?;
        }
        Ok(())
    }
}

impl Snapshots for Unreadable {
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.inner.save_snapshot(snapshot)
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        self.inner.snapshot_heads(partition)
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        self.inner.snapshot(head)
    }
}

impl Rows for Unreadable {
    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        self.inner.project(rows)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        self.inner.scan(table, from, to, limit)
    }
}

/// Until somebody reads, and does not come to an end.
async fn is_read(engine: &Engine, journal: &Unreadable) {
    let deadline = Instant::now() + TIMEOUT;
    while !journal.reading.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline);
        meanwhile(engine).await;
    }
}

#[actix::test]
async fn a_fold_that_takes_long_holds_up_no_move_but_that_of_its_partition() {
    let journal = Arc::new(Unreadable::new());
    let engine = shop::start_on(&journal, options(2));
    fill(&engine).await;
    journal.gate.set(true);
    let (folded, other) = (PartitionId(0), PartitionId(2));
    assert_eq!(engine.handle.execute(poison(folded, 0, &SKUS[..1])).await, Err(Unanswered::Lost));
    is_read(&engine, &journal).await;
    let operation = engine.handle.move_partition(other, 1);
    assert_eq!(ended(&engine, operation).await.state, State::Done, "another moves");
    let waits = engine.handle.move_partition(folded, 1).unwrap();
    let asked = engine.handle.execute(Command::Availability { partition: other, skus: Vec::new() }).await;
    assert_eq!(asked.map(drop), Ok(()), "requests go on");
    assert_eq!(engine.handle.operations().get(waits.id).unwrap().moved, 0, "it is not there to be moved");
    journal.gate.set(false);
    assert_eq!(ended(&engine, Ok(waits)).await.state, State::Done);
    retried(&engine, Command::Availability { partition: folded, skus: Vec::new() }).await;
    is_hosted_once(&engine).await;
    assert!(engine.stop().await);
}

/// What is folded is for nobody any more: a log that takes long to read is not read to its end.
#[actix::test]
async fn an_engine_that_stops_waits_for_no_fold() {
    let journal = Arc::new(Unreadable::new());
    let engine = shop::start_on(&journal, options(2));
    fill(&engine).await;
    journal.endless.store(true, Ordering::SeqCst);
    assert_eq!(engine.handle.execute(poison(PartitionId(0), 0, &SKUS[..1])).await, Err(Unanswered::Lost));
    is_read(&engine, &journal).await;
    let failed = engine.failed();
    let stopped = tokio::time::timeout(TIMEOUT, engine.stop()).await;
    // A fold that was not given up ends all the same, so that the test does.
    journal.endless.store(false, Ordering::SeqCst);
    assert_eq!(stopped, Ok(true), "it waits for the fold");
    assert!(failed.borrow().is_none(), "a fold that was given up is no failure");
    assert_eq!(Arc::strong_count(&journal), 1, "a thread has the journal");
}

#[actix::test]
async fn an_engine_that_stops_amid_moves_loses_nothing_and_leaves_no_thread_behind() {
    for causality in BOTH {
        let (mut broken, deadline) = (0, Instant::now() + TIMEOUT);
        while broken < 3 {
            assert!(Instant::now() < deadline, "every operation ends before the engine");
            let journal = journal(causality);
            let engine = start_on(&journal, 1);
            fill(&engine).await;
            for number in 0..40 {
                assert_eq!(status(&engine.handle.execute(place(number)).await.unwrap()), Status::AwaitingPayment);
            }
            let handle = engine.handle.clone();
            let operation = handle.reshard(8).await.unwrap();
            assert!(engine.stop().await);
            let ended = handle.operations().get(operation.id).unwrap();
            assert_ne!(ended.state, State::Running, "{ended:?}");
            broken += usize::from(ended.state != State::Done);
            assert!(handle.depths().iter().all(|depth| *depth == 0), "{:?}", handle.depths());
            assert_eq!(Arc::strong_count(&journal), 1, "a thread has the journal");
            let again = start_on(&journal, 1);
            assert_eq!(held(&again).await, 2 * 40);
            again.stop().await;
        }
    }
}

#[actix::test]
async fn what_was_counted_stays_counted_when_its_shard_ends() {
    let journal = journal(Causality::OneLog);
    let engine = shop::start_on(&journal, Options { credits: 0, ..options(4) });
    for partition in partitions().all() {
        let asked = engine.handle.execute(Command::Availability { partition, skus: Vec::new() }).await;
        assert_eq!(asked, Err(Unanswered::Overloaded));
    }
    let operation = engine.handle.reshard(1).await;
    assert_eq!(ended(&engine, operation).await.state, State::Done);
    assert_eq!((engine.handle.depths().len(), engine.handle.counts().overloaded()), (1, 8));
    engine.stop().await;
}

/// Orders are placed wherever their keys are at home; the SKU is where they all meet.
#[actix::test]
async fn a_partition_with_the_sku_that_all_orders_are_for_is_hot() {
    let journal = journal(Causality::OneLog);
    let engine = start_on(&journal, 1);
    fill(&engine).await;
    for number in 0..400 {
        engine.handle.execute(place_at(&format!("hot-{number}"), &SKUS[..1], (1, 1))).await.unwrap();
    }
    let hot = partitions().of_sku(&sku(0));
    let operation = engine.handle.reshard(2).await;
    assert_eq!(ended(&engine, operation).await.state, State::Done);
    let hosted = engine.handle.hosted()[engine.handle.router().shard_of(hot)];
    assert!(hosted < 4, "it has less company than an even share: {:?}", engine.handle.hosted());
    engine.stop().await;
}
