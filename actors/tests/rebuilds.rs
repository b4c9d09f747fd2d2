//! Twenty rebuilds of a shard in a row leave threads, descriptors and memory as they were. Alone in its process, which is what is counted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_actors::inbox::ShardMessage;
use holdfast_actors::provider::{Answer, Answering, PaymentProvider};
use holdfast_actors::{Engine, Options, ReplyQueues};
use holdfast_engine::answer;
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::ids::{Location, Partitions, Sku};
use holdfast_engine::order::Outcome;
use holdfast_engine::quantity::Quantity;
use holdfast_storage::embedded::EmbeddedJournal;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Enough that one state of the shard more would show: about 25 MiB.
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

/// Panics the shard and waits for its next life, which must have everything.
async fn rebuild(engine: &Engine, life: u64) {
    engine.handle.router().table().inboxes[0].push(ShardMessage::Panic);
    let rebuilt = async {
        while engine.handle.router().table().inboxes[0].epoch < life {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, rebuilt).await.unwrap();
    let reply = engine.handle.execute(Command::GetStock { sku: sku(SKUS - 1) }).await.unwrap();
    let Ok(answer::Answer::Stock(view)) = reply.outcome else { panic!("life {life} has no stock") };
    assert_eq!(view.locations[0].buckets.on_hand, Quantity::new(7));
}

#[actix::test]
async fn twenty_rebuilds_in_a_row_leave_no_thread_no_descriptor_and_no_memory_behind() {
    let dir = tempfile::tempdir().unwrap();
    let journal = EmbeddedJournal::open(dir.path(), Partitions::new(8).unwrap()).unwrap();
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
