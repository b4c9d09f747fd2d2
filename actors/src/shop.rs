//! What tests of a running engine begin with: a provider that says nothing, stock, orders for it, and orders that panic.
//!
//! Invariant: the same words give the same command, so that one that is sent again is a retry. It is compiled for tests alone.

use crate::provider::{Answer, Answering, PaymentProvider};
use crate::{Engine, Options, ReplyQueues, Unanswered};
use holdfast_engine::Causality;
use holdfast_engine::answer::{self, Reply};
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::event::{Kind, Line, Placed};
use holdfast_engine::ids::{Fingerprint, KeyHash, Location, OrderId, PartitionId, Partitions, RequestId, Sku};
use holdfast_engine::order::{Order, Outcome, Status};
use holdfast_engine::quantity::{Money, Quantity};
use holdfast_engine::time::Timestamp;
use holdfast_storage::Journal;
use std::rc::Rc;
use std::sync::Arc;

/// The rules hold whatever the journal is: one log, or a log for each partition.
pub const BOTH: [Causality; 2] = [Causality::OneLog, Causality::PerPartition];

struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Answering {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

/// As many as most tests have.
pub fn partitions() -> Partitions {
    Partitions::new(8).expect("a constant")
}

pub fn start_on<J: Journal + 'static>(journal: &Arc<J>, options: Options) -> Engine {
    let journal = journal.clone();
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    let engine = Engine::start(journal, ReplyQueues::default(), provider, options, &mut |_, _| {});
    engine.expect("a journal of a test can be recovered")
}

pub fn sku(name: &str) -> Sku {
    Sku::new(name).expect("a test gives names that are SKUs")
}

/// So many units, all in one place.
pub fn stock(name: &str, on_hand: u32) -> Command {
    let (location, on_hand) = (Location::new("main").expect("a constant"), Quantity::new(on_hand));
    Command::SetStock { sku: sku(name), location, on_hand, safety_stock: None, priority: None, expected: None }
}

/// The order under a key.
pub fn id(key: &str) -> OrderId {
    id_among(key, partitions())
}

/// The same among other [`partitions`].
pub fn id_among(key: &str, partitions: Partitions) -> OrderId {
    OrderId::derive(KeyHash::derive("", "orders", key), partitions)
}

/// Keys of orders that are at home there, or anywhere else.
pub fn keys(name: impl Into<String>, of: impl Fn(PartitionId) -> bool) -> impl Iterator<Item = String> {
    let name = name.into();
    (0..).map(move |number: u32| format!("{name}-{number}")).filter(move |key| of(id(key).partition()))
}

/// As many units of each SKU, at that price.
pub fn place_at(key: &str, names: &[&str], terms: (u32, i64)) -> Command {
    place_as(id(key), names, terms)
}

/// The same of an order whose id is known.
pub fn place_as(order: OrderId, names: &[&str], (quantity, price): (u32, i64)) -> Command {
    let (quantity, unit_price) = (Quantity::new(quantity), Money::new(price));
    let line = |name: &&str| Line { sku: sku(name), quantity, unit_price, seller: None, metadata: None };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        // Another price is another order under the key.
        fingerprint: Fingerprint(price.unsigned_abs().into()),
        request_id: RequestId::new("req_1").expect("a constant"),
        customer: None,
        currency: None,
        lines: names.iter().map(line).collect(),
        allow_partial: false,
        expires_at: Timestamp::new(u64::MAX / 2),
        shipping_address: None,
        metadata: None,
        payment: None,
        origin: None,
    };
    Command::Place { order, placed: Box::new(placed) }
}

/// What panics its partition: two units cost more than can be counted. The gateway lets no such order in, so the engine takes it for a
/// broken invariant.
pub const POISON: (u32, i64) = (2, i64::MAX);

/// An order that panics this partition, another one for each number.
pub fn poison(partition: PartitionId, number: usize, names: &[&str]) -> Command {
    let mut keys = keys(format!("poison-{number}"), |home| home == partition);
    let key = keys.next().expect("there is always another key");
    place_at(&key, names, POISON)
}

/// Lets all threads go on for as long as it takes to hear of each shard: for whoever looks again whether something has happened.
pub async fn meanwhile(engine: &Engine) {
    engine.handle.reports().await;
}

/// The same command until its partition is there to take it.
pub async fn taken(engine: &Engine, command: Command) -> Result<Reply, Unanswered> {
    loop {
        match engine.handle.execute(command.clone()).await {
            Err(Unanswered::Unavailable) => meanwhile(engine).await,
            other => return other,
        }
    }
}

/// Places an order, has it end, and waits until it has left memory for the store. It must be the only one there.
pub async fn archive(engine: &Engine, key: &str, names: &[&str]) {
    let cancel = Command::Cancel { order: id(key), kind: Kind::Order, reason: None };
    for command in [place_at(key, names, (1, 1)), cancel] {
        engine.handle.execute(command).await.expect("an engine of a test answers");
    }
    while engine.handle.reports().await.iter().any(|shard| shard.orders > 0) {}
}

/// # Panics
/// If it is no order.
pub fn status(reply: &Reply) -> Status {
    match &reply.outcome {
        Ok(answer::Answer::Order { id, history }) => Order::of(*id, history.clone()).status,
        other => panic!("not an order: {other:?}"),
    }
}
