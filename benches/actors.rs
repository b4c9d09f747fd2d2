//! From a worker to a shard and back: credits, router, inbox, and the whole hop.

use actix_rt::{System, SystemRunner};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_actors::admission::Credits;
use holdfast_actors::inbox::{Inbox, ShardMessage};
use holdfast_actors::provider::{Answer, Answering, PaymentProvider};
use holdfast_actors::router::Router;
use holdfast_actors::{Engine, Options, ReplyQueues};
use holdfast_benches::{partitions, sku, stock};
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::ids::{PartitionId, Ticket};
use holdfast_engine::order::Outcome;
use holdfast_storage::memory::MemoryJournal;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages that a shard takes at once.
const TAKEN: usize = 64;

fn credits(criterion: &mut Criterion) {
    let credits = Credits::new(1);
    criterion.bench_function("credit taken and given back", |bench| {
        bench.iter(|| {
            credits.take();
            credits.give_back(1);
        });
    });
}

fn router(criterion: &mut Criterion) {
    let inboxes = (0..2).map(|shard| Arc::new(Inbox::new(shard, 1))).collect();
    let router = Router::new(partitions(64), inboxes);
    let mut partition = 0;
    criterion.bench_function("inbox of a partition found", |bench| {
        bench.iter(|| {
            partition = (partition + 1) % 64;
            router.inbox(PartitionId(partition))
        });
    });
}

fn read() -> Command {
    Command::GetStock { sku: sku(0) }
}

fn inbox(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inbox");
    group.throughput(Throughput::Elements(TAKEN as u64));
    let (inbox, mut taken) = (Inbox::new(0, TAKEN), VecDeque::with_capacity(TAKEN));
    group.bench_function("messages pushed and taken", |bench| {
        bench.iter(|| {
            for ticket in 0..TAKEN as u64 {
                inbox.push(ShardMessage::Request { ticket: Ticket(ticket), command: Box::new(read()) });
            }
            inbox.take(TAKEN, &mut taken);
            taken.clear();
        });
    });
    group.finish();
}

/// Nobody pays here.
struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Answering {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

async fn start() -> Engine {
    let journal = Arc::new(MemoryJournal::new(partitions(64)));
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    let engine = Engine::start(journal, ReplyQueues::default(), provider, Options::default(), &mut |_, _| {});
    let engine = engine.expect("an engine over memory starts");
    engine.handle.execute(stock(sku(0))).await.expect("an idle engine answers");
    engine
}

/// So many reads, each answered before the next is sent but for those in flight together.
async fn ask(engine: &Engine, rounds: u64, in_flight: usize) -> Duration {
    let begun = Instant::now();
    for _ in 0..rounds {
        let sent: Vec<_> = (0..in_flight).map(|_| engine.handle.send(read()).expect("there are credits")).collect();
        for pending in sent {
            pending.await.expect("an idle engine answers");
        }
    }
    begun.elapsed()
}

fn hop(criterion: &mut Criterion) {
    let system: SystemRunner = System::new();
    let engine = system.block_on(start());
    let mut group = criterion.benchmark_group("hop");
    for in_flight in [1, 64] {
        group.throughput(Throughput::Elements(in_flight as u64));
        group.bench_function(BenchmarkId::new("reads to a shard and back", in_flight), |bench| {
            bench.iter_custom(|rounds| system.block_on(ask(&engine, rounds, in_flight)));
        });
    }
    group.finish();
    system.block_on(engine.stop());
}

criterion_group!(benches, credits, router, inbox, hop);
criterion_main!(benches);
