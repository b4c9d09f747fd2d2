//! Twenty rebuilds of a partition in a row leave threads, descriptors and memory as they were. Alone in its process, which is what is counted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_actors::provider::{Answer, Answering, PaymentProvider};
use holdfast_actors::{Engine, Options, ReplyQueues, Unanswered};
use holdfast_engine::answer;
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::event::{Kind, Line, Placed};
use holdfast_engine::ids::{Fingerprint, KeyHash, Location, OrderId, Partitions, RequestId, Sku};
use holdfast_engine::order::Outcome;
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::time::Timestamp;
use holdfast_storage::embedded::EmbeddedJournal;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// All of one partition. Enough that one state of it more would show: about 25 MiB.
const SKUS: usize = 40_000;
const REBUILDS: u64 = 20;
/// What an allocator may keep of it for later, of all rebuilds together.
const SLACK: u64 = 32 << 20;
const TIMEOUT: Duration = Duration::from_secs(120);

struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Answering {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

#[derive(Clone, Copy, Debug)]
struct Used {
    threads: usize,
    descriptors: usize,
    resident: u64,
}

impl Used {
    fn now() -> Self {
        let entries = |path: &str| std::fs::read_dir(path).unwrap().count();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
        let resident: u64 = resident.unwrap();
        Self { threads: entries("/proc/self/task"), descriptors: entries("/proc/self/fd"), resident: resident << 10 }
    }
}

fn sku(number: usize) -> Sku {
    Sku::new(&format!("{number:0>64}")).unwrap()
}

fn stock(number: usize) -> Command {
    let (location, on_hand) = (Location::new("main").unwrap(), Quantity::new(7));
    Command::SetStock { sku: sku(number), location, on_hand, safety_stock: None, priority: None, expected: None }
}

async fn fill(engine: &Engine) {
    for first in (0..SKUS).step_by(1_000) {
        let sent: Vec<_> = (first..first + 1_000).map(|number| engine.handle.send(stock(number)).unwrap()).collect();
        for pending in sent {
            pending.await.unwrap();
        }
    }
}

fn partitions() -> Partitions {
    Partitions::new(1).unwrap()
}

/// An order that costs more than can be counted, which panics its partition.
fn poison(number: u64) -> Command {
    let order = OrderId::derive(KeyHash::derive("", "orders", &number.to_string()), partitions());
    let unit_price = Money::new(i64::MAX);
    let line = Line { sku: sku(0), quantity: Quantity::new(2), unit_price, seller: None, metadata: None };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(1),
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
    Command::Place { order, placed: Box::new(placed) }
}

/// Panics the partition and waits for its next life, which must have everything.
async fn rebuild(engine: &Engine, life: u64) {
    assert_eq!(engine.handle.execute(poison(life)).await, Err(Unanswered::Lost));
    let rebuilt = async {
        loop {
            match engine.handle.execute(Command::GetStock { sku: sku(SKUS - 1) }).await {
                Err(Unanswered::Unavailable) => tokio::time::sleep(Duration::from_millis(1)).await,
                other => break other.unwrap(),
            }
        }
    };
    let reply = tokio::time::timeout(TIMEOUT, rebuilt).await.unwrap();
    assert_eq!(engine.handle.reports().await[0].epoch, life);
    let Ok(answer::Answer::Stock(view)) = reply.outcome else { panic!("life {life} has no stock") };
    assert_eq!(view.locations[0].buckets.on_hand, Quantity::new(7));
}

#[actix::test]
async fn twenty_rebuilds_in_a_row_leave_no_thread_no_descriptor_and_no_memory_behind() {
    let dir = tempfile::tempdir().unwrap();
    let journal = EmbeddedJournal::open(dir.path(), partitions()).unwrap();
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    let engine = Engine::start(Arc::new(journal), ReplyQueues::default(), provider, Options::default(), &mut |_, _| {}).unwrap();
    fill(&engine).await;
    // The first fold is of the journal alone, and what it takes for that stays with the process.
    rebuild(&engine, 1).await;
    let before = Used::now();
    for life in 2..=REBUILDS {
        rebuild(&engine, life).await;
    }
    let after = Used::now();
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(after.descriptors <= before.descriptors, "{before:?} {after:?}");
    assert!(after.resident <= before.resident + SLACK, "{before:?} {after:?}");
    eprintln!("{before:?}\n{after:?}");
    engine.stop().await;
}
