//! What the tests of an engine begin with: a provider that says nothing, stock, orders for it, and orders that panic.

use holdfast_actors::provider::{Answer, Answering, PaymentProvider};
use holdfast_actors::{Engine, Options, ReplyQueues};
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
pub(crate) const BOTH: [Causality; 2] = [Causality::OneLog, Causality::PerPartition];

struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Answering {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

pub(crate) fn partitions() -> Partitions {
    Partitions::new(8).unwrap()
}

pub(crate) fn start_on<J: Journal + 'static>(journal: &Arc<J>, options: Options) -> Engine {
    let journal = journal.clone();
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    Engine::start(journal, ReplyQueues::default(), provider, options, &mut |_, _| {}).unwrap()
}

pub(crate) fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

pub(crate) fn stock(name: &str, on_hand: u32) -> Command {
    let (location, on_hand) = (Location::new("main").unwrap(), Quantity::new(on_hand));
    Command::SetStock { sku: sku(name), location, on_hand, safety_stock: None, priority: None, expected: None }
}

pub(crate) fn id(key: &str) -> OrderId {
    OrderId::derive(KeyHash::derive("", "orders", key), partitions())
}

/// An order that costs more than can be counted. The gateway lets none in, so the engine takes it for a broken invariant.
pub(crate) fn poison(partition: PartitionId, number: usize, names: &[&str]) -> Command {
    let mut keys = (0..).map(|nth: u32| format!("poison-{number}-{nth}"));
    let key = keys.find(|key| id(key).partition() == partition).unwrap();
    place_at(&key, names, (2, i64::MAX))
}

/// As many units of each SKU, at that price.
pub(crate) fn place_at(key: &str, names: &[&str], (quantity, price): (u32, i64)) -> Command {
    let (quantity, unit_price) = (Quantity::new(quantity), Money::new(price));
    let line = |name: &&str| Line { sku: sku(name), quantity, unit_price, seller: None, metadata: None };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(1),
        request_id: RequestId::new("req_1").unwrap(),
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
    Command::Place { order: id(key), placed: Box::new(placed) }
}

pub(crate) fn status(reply: &Reply) -> Status {
    match &reply.outcome {
        Ok(answer::Answer::Order { id, history }) => Order::of(*id, history.clone()).status,
        other => panic!("not an order: {other:?}"),
    }
}
