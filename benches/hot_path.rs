//! The hot path without HTTP: an order through the partition machine, an event through the codec, a commit to the disk.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_engine::codec::Batch;
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::effect::Effects;
use holdfast_engine::event::{Kind, Line, Placed};
use holdfast_engine::ids::{Fingerprint, KeyHash, Location, OrderId, Partitions, RequestId, Sku, Ticket};
use holdfast_engine::limits::MAX_BUCKET;
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_engine::{Causality, Input, Partition};
use holdfast_storage::Log;
use holdfast_storage::LogId;
use holdfast_storage::embedded::EmbeddedJournal;

const NOW: Timestamp = Timestamp::new(1_000_000);
const ORDERS: u64 = 1024;

/// One partition with a hot SKU.
fn stocked(partitions: Partitions) -> (Partition, Effects) {
    let id = partitions.all().next().unwrap_or_else(|| unreachable!("there is at least one partition"));
    let mut partition = Partition::new(id, partitions, Causality::OneLog, Policy::default());
    let mut fx = Effects::default();
    let (Some(sku), Some(location)) = (Sku::new("HOT"), Location::new("main")) else { unreachable!("constants") };
    let on_hand = Quantity::new(MAX_BUCKET);
    let command = Command::SetStock { sku, location, on_hand, safety_stock: None, priority: None, expected: None };
    let loaded = Loaded::default();
    partition.step(NOW, Input::Command { ticket: Ticket(0), command, loaded }, &mut fx);
    (partition, fx)
}

fn order(number: u64, partitions: Partitions) -> Command {
    let order = OrderId::derive(KeyHash::derive("", "orders", &number.to_string()), partitions);
    let (Some(sku), Some(request_id)) = (Sku::new("HOT"), RequestId::new("req_0")) else { unreachable!("constants") };
    let line = Line { sku, quantity: Quantity::new(1), unit_price: Money::new(1999), seller: None, metadata: None };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(u128::from(number)),
        request_id,
        customer: None,
        currency: None,
        lines: vec![line],
        allow_partial: false,
        expires_at: NOW.plus(900_000),
        shipping_address: None,
        metadata: None,
        payment: None,
        origin: None,
    };
    Command::Place { order, placed: Box::new(placed) }
}

/// Places orders from `from` on, messages delivered as a shard does.
fn run(partition: &mut Partition, fx: &mut Effects, partitions: Partitions, from: u64) {
    for number in from..from + ORDERS {
        let input = Input::Command { ticket: Ticket(number), command: order(number, partitions), loaded: Loaded::default() };
        partition.step(NOW, input, fx);
        while let Some(message) = fx.messages.pop() {
            partition.step(NOW, Input::Message(message.body), fx);
        }
    }
}

fn orders(criterion: &mut Criterion) {
    let Some(partitions) = Partitions::new(1) else { return };
    let mut group = criterion.benchmark_group("order");
    group.throughput(Throughput::Elements(ORDERS));
    group.bench_function("placed and held on one hot SKU", |bench| {
        bench.iter_batched_ref(
            || stocked(partitions),
            |(partition, fx)| run(partition, fx, partitions, 1),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn commits(criterion: &mut Criterion) {
    let Some(partitions) = Partitions::new(1) else { return };
    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(ORDERS));
    group.bench_function("1,024 orders on the embedded journal", |bench| {
        let Ok(dir) = tempfile::tempdir() else { return };
        let Ok(journal) = EmbeddedJournal::open(dir.path(), partitions) else { return };
        let (mut partition, mut fx) = stocked(partitions);
        run(&mut partition, &mut fx, partitions, 1);
        let batch: Batch = fx.batch.take();
        bench.iter(|| journal.append(LogId(0), &batch));
    });
    group.finish();
}

criterion_group!(benches, orders, commits);
criterion_main!(benches);
