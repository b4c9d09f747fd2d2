//! JSON in and out: an order read, an order and its events written.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holdfast_benches::{NOW, ORDER, placed, records, request_id};
use holdfast_engine::event::Record;
use holdfast_engine::ids::PartitionId;
use holdfast_gateway::events::CloudEvent;
use holdfast_gateway::http::body::json::parse;
use holdfast_gateway::http::request::{Moment, OrderIn};
use holdfast_gateway::http::view::order_json;
use std::hint::black_box;

fn order_in(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("JSON in");
    group.throughput(Throughput::Bytes(ORDER.len() as u64));
    group.bench_function("order read and checked", |bench| {
        bench.iter(|| {
            let order: OrderIn = parse(ORDER.as_bytes()).unwrap_or_else(|problem| panic!("{}", problem.detail));
            order.check(Moment { now: NOW, ttl_ms: 900_000 }, request_id()).unwrap_or_else(|errors| panic!("{errors:?}"))
        });
    });
    group.finish();
}

fn order_out(criterion: &mut Criterion) {
    let (shop, batch) = placed(1);
    let order = shop.partition.orders().next().expect("it was placed").clone();
    let mut group = criterion.benchmark_group("JSON out");
    group.throughput(Throughput::Bytes(order_json(&order).len() as u64));
    group.bench_function("order", |bench| bench.iter(|| order_json(&order)));
    let records: Vec<Record> = records(&batch.frame()).collect();
    group.throughput(Throughput::Elements(records.len() as u64));
    group.bench_function("events of an order and its stock", |bench| {
        let written = |record| drop(black_box(CloudEvent::of(PartitionId(0), record).bytes()));
        bench.iter(|| records.iter().for_each(written));
    });
    group.finish();
}

criterion_group!(benches, order_in, order_out);
criterion_main!(benches);
