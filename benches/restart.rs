//! How long a data directory takes until it is served, and until it is stopped.
//!
//! One run opens a directory as the server does, puts stock and orders into it through the engine if it is asked to, and stops in order
//! or as if it were killed. Everything is the real part but HTTP. Give each run a cold or a warm cache on purpose: it reads what is there.

use actix_rt::System;
use clap::Parser;
use holdfast_actors::provider::{Answer, PaymentProvider};
use holdfast_actors::{Engine, Options, ReplyQueues, Unanswered};
use holdfast_benches::{place, sku, stock};
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::event::Kind;
use holdfast_engine::ids::Partitions;
use holdfast_engine::order::Outcome;
use holdfast_storage::embedded::EmbeddedJournal;
use std::cell::Cell;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// Seconds until a data directory is served, by stage, and until it is stopped.
#[derive(Parser)]
#[command(after_help = "Example:\n  cargo run --release -p holdfast-benches --bin restart -- --dir /tmp/shop --skus 1000000 \
                        --orders 100000\n  cargo run --release -p holdfast-benches --bin restart -- --dir /tmp/shop")]
struct Args {
    #[arg(long)]
    dir: PathBuf,
    /// SKUs to be put in stock.
    #[arg(long, default_value_t = 0)]
    skus: u64,
    /// Orders of one line that are placed and stay open, each on the next SKU. They are numbered from `--from`.
    #[arg(long, default_value_t = 0)]
    orders: u64,
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Of a directory that is made.
    #[arg(long, default_value_t = 64)]
    partitions: u16,
    /// End without a stop.
    #[arg(long)]
    kill: bool,
}

/// Requests in hand.
const TOGETHER: usize = 8192;

/// Nobody pays here.
struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Pin<Box<dyn Future<Output = Answer>>> {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

/// Says how long each stage took.
struct Watch(Cell<Instant>);

impl Watch {
    fn stage(&self, name: &str) {
        let now = Instant::now();
        println!("{name:<28} {:8.3} s", (now - self.0.replace(now)).as_secs_f64());
    }
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    System::new().block_on(run(&args))
}

async fn run(args: &Args) -> Result<(), Failure> {
    let (watch, begun) = (Watch(Cell::new(Instant::now())), Instant::now());
    let engine = started(args, &watch).await?;
    println!("{:<28} {:8.3} s", "ready", begun.elapsed().as_secs_f64());
    watch.0.set(Instant::now());
    let partitions = engine.handle.router().partitions;
    all(&engine, (0..args.skus).map(|n| stock(sku(n)))).await?;
    watch.stage("stock put in");
    let on = |n: u64| [sku(n % args.skus.max(1))];
    let orders = (args.from..args.from + args.orders).map(|n| place(Kind::Order, n, &on(n), partitions));
    all(&engine, orders).await?;
    watch.stage("orders placed");
    if args.kill {
        std::process::exit(0);
    }
    let journal = Arc::downgrade(engine.journal());
    assert!(engine.stop().await, "not everything is synced");
    watch.stage("stop");
    assert!(journal.upgrade().is_none(), "somebody still has the journal");
    Ok(())
}

async fn started(args: &Args, watch: &Watch) -> Result<Engine, Failure> {
    let partitions = Partitions::new(args.partitions).ok_or("1 to 4096 partitions")?;
    let journal = Arc::new(EmbeddedJournal::open(&args.dir, partitions)?);
    watch.stage("open");
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    let mut snapshots = Some("snapshots, first of the log");
    let mut progress = |_, all| {
        if let Some(stage) = snapshots.take() {
            println!("{all} commits behind the snapshots");
            watch.stage(stage);
        }
    };
    let engine = Engine::start(journal, ReplyQueues::default(), provider, Options::default(), &mut progress)?;
    watch.stage("rest of the log");
    let reports = engine.handle.reports().await;
    watch.stage("resume");
    println!("{} orders in memory", reports.iter().map(|report| report.orders).sum::<usize>());
    Ok(engine)
}

/// Has all carried out, and waits for the answers.
async fn all(engine: &Engine, commands: impl Iterator<Item = Command>) -> Result<(), Unanswered> {
    let mut commands = commands.peekable();
    while commands.peek().is_some() {
        let sent: Vec<_> = commands.by_ref().take(TOGETHER).map(|command| engine.handle.execute(command)).collect();
        for answer in sent {
            answer.await?;
        }
    }
    Ok(())
}
