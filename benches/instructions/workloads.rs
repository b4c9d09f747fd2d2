//! The eight hottest operations of the way of an order, each a closure that does it [`OPERATIONS`] times.
//!
//! Invariant: a workload can go on: doing it again costs the same, but for what grows with what there is.

use holdfast_actors::inbox::{Inbox, ShardMessage};
use holdfast_actors::router::Router;
use holdfast_benches::{NOW, ORDER, Shop, partitions, placed, records, request_id, sku};
use holdfast_engine::codec::Batch;
use holdfast_engine::command::Command;
use holdfast_engine::event::Record;
use holdfast_engine::ids::{PartitionId, Ticket};
use holdfast_engine::order::Order;
use holdfast_engine::time::Policy;
use holdfast_engine::{Causality, Partition};
use holdfast_gateway::events::CloudEvent;
use holdfast_gateway::http::body::json::parse;
use holdfast_gateway::http::request::{Moment, OrderIn};
use holdfast_gateway::http::view::order_json;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

/// How often each is done in one call.
pub(crate) const OPERATIONS: u64 = 256;
/// The partition of all.
const PARTITION: PartitionId = PartitionId(0);

pub(crate) type Work = Box<dyn FnMut()>;
/// Its name, and what sets it up.
type Workload = (&'static str, fn() -> Work);

/// In the order of the way of an order.
pub(crate) const WORKLOADS: [Workload; 8] = [
    ("order_read", order_read),
    ("shard_reached", shard_reached),
    ("order_placed", order_placed),
    ("hold_sold", hold_sold),
    ("order_encoded", order_encoded),
    ("order_folded", order_folded),
    ("order_written", order_written),
    ("events_written", events_written),
];

/// The body of an order parsed and checked.
fn order_read() -> Work {
    Box::new(|| {
        for _ in 0..OPERATIONS {
            let order: OrderIn = parse(ORDER.as_bytes()).unwrap_or_else(|problem| panic!("{}", problem.detail));
            black_box(
                order.check(Moment { now: NOW, ttl_ms: 900_000 }, request_id()).unwrap_or_else(|errors| panic!("{errors:?}")),
            );
        }
    })
}

/// A command with its credit through the router into an inbox, and out of it.
fn shard_reached() -> Work {
    let partitions = partitions(64);
    let router = Router::new(partitions, vec![Arc::new(Inbox::new(0, 1))]);
    let mut taken = VecDeque::new();
    Box::new(move || {
        for n in 0..OPERATIONS {
            let command = Command::GetStock { sku: sku(n) };
            let inbox = router.inbox(command.partition(partitions));
            assert!(inbox.credits.take(), "the one before was given back");
            inbox.push(ShardMessage::Request { ticket: Ticket(n), command: Box::new(command) });
            inbox.take(1, &mut taken);
            inbox.credits.give_back(taken.drain(..).count());
        }
    })
}

/// An order placed, held and durable.
fn order_placed() -> Work {
    let (mut shop, mut next) = (Shop::new(OPERATIONS), 0);
    Box::new(move || {
        for n in 0..OPERATIONS {
            shop.order(next + n, &[sku(n)]);
        }
        shop.commit();
        next += OPERATIONS;
    })
}

/// A reservation on the one hot SKU, held and sold.
fn hold_sold() -> Work {
    let (mut shop, mut next) = (Shop::new(1), 0);
    Box::new(move || {
        for n in next..next + OPERATIONS {
            shop.reserve(n, sku(0));
            shop.sell(n);
        }
        shop.commit();
        next += OPERATIONS;
    })
}

/// The records of as many orders: those of the stock they are on come first.
fn records_of_orders() -> Vec<Record> {
    let (_, batch) = placed(OPERATIONS);
    records(&batch.frame()).collect()
}

/// The records of an order encoded into a frame.
fn order_encoded() -> Work {
    let (records, mut batch) = (records_of_orders(), Batch::default());
    Box::new(move || {
        batch.clear();
        records.iter().for_each(|record| batch.push(PARTITION, record));
        black_box(batch.frame());
    })
}

/// The records of an order read from a frame and folded.
fn order_folded() -> Work {
    let (_, batch) = placed(OPERATIONS);
    let frame = batch.frame();
    Box::new(move || {
        let mut partition = Partition::new(PARTITION, partitions(1), Causality::OneLog, Policy::default());
        records(&frame).for_each(|record| partition.apply(record));
        black_box(&partition);
    })
}

/// An order that is held, as the answer has it.
fn order_written() -> Work {
    let (shop, _) = placed(OPERATIONS);
    let mut orders: Vec<Order> = shop.partition.orders().cloned().collect();
    orders.sort_unstable_by_key(|order| order.id);
    Box::new(move || orders.iter().for_each(|order| drop(black_box(order_json(order)))))
}

/// The events of an order and of the stock it is on, as consumers get them.
fn events_written() -> Work {
    let records = records_of_orders();
    Box::new(move || records.iter().for_each(|record| drop(black_box(CloudEvent::of(PARTITION, record).bytes()))))
}
