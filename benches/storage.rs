//! The journal on a real disk: group commit, recovery, snapshots. Its files are beside what cargo builds.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::channel::unbounded;
use holdfast_benches::{Shop, partitions, placed, records, sku, stock};
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::time::Policy;
use holdfast_storage::embedded::EmbeddedJournal;
use holdfast_storage::group_commit::{Committer, Notice, Notify};
use holdfast_storage::recovery::recover;
use holdfast_storage::{Journal, LogId, Snapshot};
use std::sync::Arc;
use tempfile::TempDir;

const LOG: LogId = LogId(0);
const PARTITION: PartitionId = PartitionId(0);
/// Orders that are recovered, and those of one commit.
const ORDERS: u64 = 100_000;
const TOGETHER: u64 = 1_000;

fn journal() -> (TempDir, Arc<dyn Journal>) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room for a directory");
    let journal = EmbeddedJournal::open(dir.path(), partitions(1)).expect("a new directory opens");
    (dir, Arc::new(journal))
}

/// So many records of orders.
fn batch(events: usize) -> Batch {
    let mut batch = Batch::default();
    let (_, orders) = placed(events as u64);
    records(&orders.frame()).take(events).for_each(|record| batch.push(PARTITION, &record));
    batch
}

fn commits(criterion: &mut Criterion) {
    let (_dir, journal) = journal();
    let (committer, _) = Committer::start(&journal, &(Arc::new(|_| {}) as Notify)).expect("a thread starts");
    let (committed, notices) = unbounded();
    let notify: Notify = Arc::new(move |notice| drop(committed.send(notice)));
    let mut group = criterion.benchmark_group("group commit");
    for events in [1, 64, 1024, 8192] {
        group.throughput(Throughput::Elements(events as u64)).sample_size(30);
        let batch = batch(events);
        group.bench_function(BenchmarkId::new("events of one batch", events), |bench| {
            bench.iter(|| {
                let mut copy = committer.spare();
                copy.extend(&batch);
                committer.submit(LOG, copy, notify.clone());
                let notice = notices.recv().expect("a commit is heard of");
                assert!(matches!(notice, Notice::Durable { .. }), "{notice:?}");
            });
        });
    }
    group.finish();
}

/// A journal of that many orders, each on one of a thousand SKUs, and how many records it has.
fn of_orders() -> (TempDir, Arc<dyn Journal>, u64) {
    let ((dir, journal), mut shop) = (journal(), Shop::new(0));
    (0..TOGETHER).for_each(|n| shop.execute(stock(sku(n))));
    for from in (0..ORDERS).step_by(TOGETHER as usize) {
        (from..from + TOGETHER).for_each(|n| shop.order(n, &[sku(n % TOGETHER)]));
        journal.append(LOG, &shop.commit()).expect("the disk takes it");
    }
    (dir, journal, shop.partition.seq())
}

fn recovery(criterion: &mut Criterion) {
    let (_dir, journal, records) = of_orders();
    let fold = || recover(&*journal, &[PARTITION], &Policy::default(), &mut |_, _| {}).expect("it was written whole");
    let mut group = criterion.benchmark_group("recovery");
    group.throughput(Throughput::Elements(records)).sample_size(10);
    group.bench_function("records of a log read and folded", |bench| bench.iter_with_large_drop(fold));
    group.finish();
}

fn snapshots(criterion: &mut Criterion) {
    let (_dir, journal) = journal();
    let (shop, batch) = placed(10_000);
    let after = journal.append(LOG, &batch).expect("the disk takes it");
    let snapshot = Snapshot { partition: PARTITION, seq: shop.partition.seq(), after, state: shop.partition.snapshot() };
    let mut group = criterion.benchmark_group("snapshot on disk");
    group.throughput(Throughput::Bytes(snapshot.state.len() as u64)).sample_size(20);
    group.bench_function("written", |bench| bench.iter(|| journal.save_snapshot(&snapshot).expect("the disk takes it")));
    group.bench_function("loaded", |bench| {
        bench.iter_with_large_drop(|| journal.snapshots(PARTITION).expect("it was written whole"));
    });
    group.finish();
}

criterion_group!(benches, commits, recovery, snapshots);
criterion_main!(benches);
