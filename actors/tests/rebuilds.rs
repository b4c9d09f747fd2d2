//! Twenty rebuilds of a partition in a row leave threads, descriptors and memory as they were. Alone in its process, which is what is counted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_actors::shop::{self, POISON, id_among, place_as, sku, start_on, taken};
use holdfast_actors::{Engine, Options, Unanswered};
use holdfast_engine::answer;
use holdfast_engine::command::Command;
use holdfast_engine::ids::Partitions;
use holdfast_engine::quantity::Quantity;
use holdfast_storage::embedded::EmbeddedJournal;
use std::sync::Arc;
use std::time::Duration;

/// All of one partition. Enough that one state of it more would show: about 25 MiB.
const SKUS: usize = 40_000;
const REBUILDS: u64 = 20;
/// What an allocator may keep of it for later, of all rebuilds together.
const SLACK: u64 = 32 << 20;
const TIMEOUT: Duration = Duration::from_secs(120);

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

fn name(number: usize) -> String {
    format!("{number:0>64}")
}

fn stock(number: usize) -> Command {
    shop::stock(&name(number), 7)
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

fn poison(number: u64) -> Command {
    place_as(id_among(&number.to_string(), partitions()), &[&name(0)], POISON)
}

/// Panics the partition and waits for its next life, which must have everything.
async fn rebuild(engine: &Engine, life: u64) {
    assert_eq!(engine.handle.execute(poison(life)).await, Err(Unanswered::Lost));
    let rebuilt = taken(engine, Command::GetStock { sku: sku(&name(SKUS - 1)) });
    let reply = tokio::time::timeout(TIMEOUT, rebuilt).await.unwrap().unwrap();
    assert_eq!(engine.handle.reports().await[0].epoch, life);
    let Ok(answer::Answer::Stock(view)) = reply.outcome else { panic!("life {life} has no stock") };
    assert_eq!(view.locations[0].buckets.on_hand, Quantity::new(7));
}

#[actix::test]
async fn twenty_rebuilds_in_a_row_leave_no_thread_no_descriptor_and_no_memory_behind() {
    let dir = tempfile::tempdir().unwrap();
    let journal = EmbeddedJournal::open(dir.path(), partitions()).unwrap();
    let engine = start_on(&Arc::new(journal), Options::default());
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
