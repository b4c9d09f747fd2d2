//! How much of what a CQL cluster can do reaches the orders.
//!
//! Under ever more closed-loop clients, the engine takes turns with the same conditional updates by themselves: as many at
//! once as the journal has logs, with bodies of the size the engine's had. At saturation the engine must make as many
//! appends a second as the cluster takes. Everything runs in this process and is the real part but HTTP. Where cluster and
//! engine share a machine, give them cores of their own (`taskset`), or the ratio tells who got the processor.

use actix_rt::System;
use clap::Parser;
use hdrhistogram::Histogram;
use holdfast_actors::provider::{Answer, PaymentProvider};
use holdfast_actors::{Engine, Options, ReplyQueues};
use holdfast_benches::{place, sku, stock};
use holdfast_engine::Causality;
use holdfast_engine::codec::Batch;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::event::Kind;
use holdfast_engine::ids::{PartitionId, Partitions};
use holdfast_engine::order::Outcome;
use holdfast_storage::cql::{self, CqlJournal};
use holdfast_storage::{Error, Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// Of the next order: no two of a run have one.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Orders a second on a CQL cluster, and the share of its conditional updates that the engine makes use of.
#[derive(Parser)]
#[command(after_help = "Example:\n  export $(tests/servers start cassandra 1)\n  \
    cargo run --release -p holdfast-benches --bin cql_saturation -- --clients 16,256,2048 --rounds 3")]
struct Args {
    /// Nodes of the cluster, with commas.
    #[arg(long, env = "HOLDFAST__SCYLLA__NODES")]
    nodes: String,
    #[arg(long, default_value_t = 1)]
    replication: u32,
    /// Logs of the journal, and so appends at once.
    #[arg(long, default_value_t = 32)]
    partitions: u16,
    /// Closed-loop clients, one load after the other.
    #[arg(long, value_delimiter = ',', default_value = "16,64,256,1024,4096")]
    clients: Vec<usize>,
    /// Of a turn.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Turns of the engine and of the updates alone at each load, of which the medians are shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[arg(long, default_value_t = 1000)]
    skus: u64,
}

/// A journal that counts what goes through it.
struct Counted {
    inner: CqlJournal,
    appends: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Counted {
    fn counts(&self) -> [u64; 3] {
        [&self.appends, &self.events, &self.bytes].map(|count| count.load(Ordering::SeqCst))
    }
}

impl Log for Counted {
    fn causality(&self) -> Causality {
        self.inner.causality()
    }

    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    fn commit_bytes(&self) -> usize {
        self.inner.commit_bytes()
    }

    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        let appended = self.inner.append(log, batch)?;
        self.appends.fetch_add(1, Ordering::SeqCst);
        self.events.fetch_add(u64::from(batch.events), Ordering::SeqCst);
        self.bytes.fetch_add(batch.entries.len() as u64, Ordering::SeqCst);
        Ok(appended)
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.inner.end(log)
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.read(log, after, visit)
    }
}

impl Snapshots for Counted {
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

impl Rows for Counted {
    fn remote(&self) -> bool {
        self.inner.remote()
    }

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

/// Nobody pays here.
struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Pin<Box<dyn Future<Output = Answer>>> {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

/// One load on the engine, as measured.
struct Load {
    orders_per_s: f64,
    appends_per_s: f64,
    events_per_append: f64,
    bytes_per_append: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    System::new().block_on(run(&args))
}

fn options(args: &Args, name: &str) -> cql::Options {
    let nodes = args.nodes.split(',').map(|node| node.trim().to_owned()).collect();
    let keyspace = format!("hf_saturation_{name}_{}", std::process::id());
    cql::Options { nodes, keyspace, replication: args.replication, ..cql::Options::default() }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let partitions = Partitions::new(args.partitions).ok_or("1 to 4096 partitions")?;
    let inner = CqlJournal::open(&options(args, "engine"), partitions)?;
    let raw = Arc::new(CqlJournal::open(&options(args, "raw"), partitions)?);
    let zero = || AtomicU64::new(0);
    let journal = Arc::new(Counted { inner, appends: zero(), events: zero(), bytes: zero() });
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    let engine = Engine::start(journal.clone(), ReplyQueues::default(), provider, Options::default(), &mut |_, _| {})?;
    for n in 0..args.skus {
        engine.handle.execute(stock(sku(n))).await?;
    }
    println!("clients  orders/s  events/append  bytes/append   p50 ms   p99 ms  appends/s   alone  ratio");
    for clients in &args.clients {
        let mut turns = Vec::new();
        for _ in 0..args.rounds {
            let load = load(&engine, &journal, args, *clients).await?;
            let alone = alone(&raw, args, &load)?;
            turns.push((load, alone));
        }
        print_turns(*clients, &turns);
    }
    engine.stop().await;
    Ok(())
}

fn print_turns(clients: usize, turns: &[(Load, f64)]) {
    let median = |of: &dyn Fn(&Load, f64) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(|(load, alone)| of(load, *alone)).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    println!(
        "{clients:7}  {:8.0}  {:13.1}  {:12.0}  {:7.1}  {:7.1}  {:9.0} {:7.0}  {:5.2}",
        median(&|load, _| load.orders_per_s),
        median(&|load, _| load.events_per_append),
        median(&|load, _| load.bytes_per_append),
        median(&|load, _| load.p50_ms),
        median(&|load, _| load.p99_ms),
        median(&|load, _| load.appends_per_s),
        median(&|_, alone| alone),
        median(&|load, alone| load.appends_per_s / alone),
    );
}

async fn load(engine: &Engine, journal: &Counted, args: &Args, clients: usize) -> Result<Load, Failure> {
    let latencies = Rc::new(RefCell::new(Histogram::<u64>::new_with_bounds(1, 120_000_000, 3)?));
    let (begun, before) = (Instant::now(), journal.counts());
    let deadline = begun + Duration::from_secs(args.seconds);
    let skus = args.skus;
    let one = |client: usize| {
        let (handle, latencies) = (engine.handle.clone(), latencies.clone());
        let partitions = handle.router().partitions;
        async move {
            let mut orders = 0_u64;
            while Instant::now() < deadline {
                let sent = Instant::now();
                let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
                let command = place(Kind::Order, number, &[sku((client as u64 * 31 + orders) % skus)], partitions);
                if handle.execute(command).await.is_ok() {
                    orders += 1;
                    latencies.borrow_mut().saturating_record(sent.elapsed().as_micros() as u64);
                }
            }
            orders
        }
    };
    let tasks: Vec<_> = (0..clients).map(|client| actix_rt::spawn(one(client))).collect();
    let mut orders = 0;
    for task in tasks {
        orders += task.await?;
    }
    let took = begun.elapsed().as_secs_f64();
    let after = journal.counts();
    let [appends, events, bytes] = [0, 1, 2].map(|n| (after[n] - before[n]) as f64);
    let latencies = latencies.borrow();
    let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Load {
        orders_per_s: orders as f64 / took,
        appends_per_s: appends / took,
        events_per_append: events / appends,
        bytes_per_append: bytes / appends,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
    })
}

/// The same statements with bodies of the same size, one in flight in each log.
fn alone(raw: &Arc<CqlJournal>, args: &Args, like: &Load) -> Result<f64, Failure> {
    let batch = Batch { entries: vec![7; like.bytes_per_append as usize], events: like.events_per_append as u32 };
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(args.seconds);
    let appended = std::thread::scope(|scope| {
        let threads: Vec<_> = raw
            .logs()
            .into_iter()
            .map(|log| {
                let batch = &batch;
                scope.spawn(move || -> Result<u64, Error> {
                    let mut appended = 0;
                    while Instant::now() < deadline {
                        raw.append(log, batch)?;
                        appended += 1;
                    }
                    Ok(appended)
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::Stopped)));
        joined.sum::<Result<u64, Error>>()
    })?;
    Ok(appended as f64 / begun.elapsed().as_secs_f64())
}
