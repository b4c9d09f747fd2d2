//! The pure engine: rules of stock, a step of the saga, whole partition steps, the codec, a partition as bytes and back.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_benches::{NOW, Shop, order_id, partitions, place, placed, records, sku};
use holdfast_engine::codec::Batch;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Kind, Record};
use holdfast_engine::ids::{HoldKey, PartitionId, Sku};
use holdfast_engine::limits::MAX_ALLOCATIONS;
use holdfast_engine::quantity::Quantity;
use holdfast_engine::stock::{Hold, HoldDecision, HoldOp, ReserveDecision, ReserveRequest, SkuStock};
use holdfast_engine::time::Policy;
use holdfast_engine::{Causality, Input, Partition};
use std::hint::black_box;

/// Operations of a sample where one is too short to be timed.
const MANY: u64 = 1024;
/// Orders and SKUs of a partition that is written and read whole.
const WHOLE: u64 = 10_000;

/// The stock of one SKU as the command that sets it leaves it.
fn one_sku() -> SkuStock {
    Shop::new(1).partition.sku(&sku(0)).expect("it was put into stock").clone()
}

fn request(n: u64) -> ReserveRequest {
    let hold = HoldKey { order: order_id(n, partitions(1)), generation: 1 };
    let (quantity, probe_at) = (Quantity::new(1), NOW.plus(900_000));
    ReserveRequest { hold, order_version: 1, quantity, partial: false, locations: MAX_ALLOCATIONS, probe_at }
}

fn hold(stock: &mut SkuStock, request: &ReserveRequest) -> Option<Hold> {
    let mut hold = None;
    if let ReserveDecision::Held(Some(fact)) = stock.decide_reserve(None, request) {
        stock.evolve(&fact, &mut hold);
    }
    hold
}

fn sell(stock: &mut SkuStock, request: &ReserveRequest, hold: &mut Option<Hold>) {
    if let HoldDecision::Do(fact) = stock.decide_op(hold.as_ref(), request.hold, 2, HoldOp::Commit) {
        stock.evolve(&fact, hold);
    }
}

fn rules_of_stock(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stock");
    group.throughput(Throughput::Elements(MANY));
    let requests: Vec<ReserveRequest> = (0..MANY).map(request).collect();
    group.bench_function("hold decided and evolved", |bench| {
        bench.iter_batched_ref(
            one_sku,
            |stock| requests.iter().for_each(|one| drop(black_box(hold(stock, one)))),
            BatchSize::LargeInput,
        );
    });
    let held = || {
        let mut stock = one_sku();
        let holds: Vec<Option<Hold>> = requests.iter().map(|one| hold(&mut stock, one)).collect();
        (stock, holds)
    };
    group.bench_function("sale decided and evolved", |bench| {
        let all = |(stock, holds): &mut (SkuStock, Vec<Option<Hold>>)| {
            requests.iter().zip(holds).for_each(|(one, hold)| sell(stock, one, hold));
        };
        bench.iter_batched_ref(held, all, BatchSize::LargeInput);
    });
    group.finish();
}

/// Orders of three SKUs, all of which have answered: what is left is the step of each saga that decides.
fn answered_orders() -> (Shop, Vec<Input>) {
    let skus: Vec<Sku> = (0..3).map(sku).collect();
    let mut shop = Shop::new(3);
    (0..MANY).for_each(|n| shop.ask(place(Kind::Order, n, &skus, shop.partitions)));
    for message in std::mem::take(&mut shop.fx.messages) {
        shop.partition.step(NOW, Input::Message(message.body), &mut shop.fx);
    }
    let answers = std::mem::take(&mut shop.fx.messages).into_iter().map(|message| Input::Message(message.body));
    let answers = answers.collect();
    (shop, answers)
}

fn saga(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("saga");
    group.throughput(Throughput::Elements(3 * MANY));
    group.bench_function("answer of one SKU of three", |bench| {
        let deliver = |(mut shop, answers): (Shop, Vec<Input>)| {
            answers.into_iter().for_each(|answer| shop.partition.step(NOW, answer, &mut shop.fx));
            shop
        };
        bench.iter_batched(answered_orders, deliver, BatchSize::LargeInput);
    });
    group.finish();
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    let hot = [sku(0)];
    for orders in [1, 16, 1024, 8192] {
        group.throughput(Throughput::Elements(orders));
        group.bench_function(BenchmarkId::new("orders placed, held and durable", orders), |bench| {
            let place = |shop: &mut Shop| {
                (0..orders).for_each(|n| shop.order(n, &hot));
                shop.commit()
            };
            bench.iter_batched_ref(|| Shop::new(1), place, BatchSize::LargeInput);
        });
    }
    group.throughput(Throughput::Elements(MANY));
    group.bench_function("hold and sale of one SKU", |bench| {
        let pairs = |shop: &mut Shop| {
            for n in 0..MANY {
                shop.reserve(n, sku(0));
                shop.sell(n);
            }
            shop.commit()
        };
        bench.iter_batched_ref(|| Shop::new(1), pairs, BatchSize::LargeInput);
    });
    group.finish();
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    let (_, batch) = placed(MANY);
    let frame = batch.frame();
    let decoded: Vec<Record> = records(&frame).collect();
    group.throughput(Throughput::Elements(decoded.len() as u64));
    group.bench_function("records encoded into a frame", |bench| {
        let encode = |mut batch: Batch| {
            decoded.iter().for_each(|record| batch.push(PartitionId(0), record));
            batch.frame()
        };
        bench.iter_batched(Batch::default, encode, BatchSize::LargeInput);
    });
    group.bench_function("records decoded from a frame", |bench| {
        bench.iter(|| records(&frame).for_each(|record| drop(black_box(record))));
    });
    group.bench_function("records folded", |bench| {
        let fold = |(mut partition, records): (Partition, Vec<Record>)| {
            records.into_iter().for_each(|record| partition.apply(record));
            partition
        };
        let empty = || Partition::new(PartitionId(0), partitions(1), Causality::OneLog, Policy::default());
        bench.iter_batched(|| (empty(), decoded.clone()), fold, BatchSize::LargeInput);
    });
    group.finish();
}

fn snapshots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    let (shop, _) = placed(WHOLE);
    let bytes = shop.partition.snapshot();
    group.throughput(Throughput::Elements(WHOLE)).sample_size(20);
    group.bench_function("orders, each on its SKU, as bytes", |bench| bench.iter(|| shop.partition.snapshot()));
    group.bench_function("orders, each on its SKU, from bytes", |bench| {
        let restore = || Partition::restore(PartitionId(0), shop.partitions, Causality::OneLog, Policy::default(), &bytes);
        bench.iter_with_large_drop(restore);
    });
    group.finish();
}

/// Reads cost no record: what is left is the way through the machine.
fn reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(MANY));
    group.bench_function("stock of a SKU", |bench| {
        let mut shop = Shop::new(MANY);
        bench.iter(|| {
            (0..MANY).for_each(|n| shop.execute(Command::GetStock { sku: sku(n) }));
            shop.commit()
        });
    });
    group.finish();
}

criterion_group!(benches, rules_of_stock, saga, steps, codec, snapshots, reads);
criterion_main!(benches);
