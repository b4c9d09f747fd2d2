//! What the benches work on: a partition with stock, and what a shop asks of it.
//!
//! Invariant: the same calls make the same records, so that counts of instructions repeat.

use holdfast_engine::codec::{Batch, read_frame};
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::effect::Effects;
use holdfast_engine::event::{Kind, Line, Placed, Record};
use holdfast_engine::ids::{
    CustomerId, Fingerprint, KeyHash, Location, OrderId, PartitionId, Partitions, RequestId, Sku, Ticket,
};
use holdfast_engine::limits::MAX_BUCKET;
use holdfast_engine::quantity::{Currency, Money, Quantity};
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_engine::{Causality, Input, Partition};

pub const NOW: Timestamp = Timestamp::new(1_700_000_000_000);
/// In the year 2093: later than any run, and a time that can be shown.
const NEVER: Timestamp = Timestamp::new(3_900_000_000_000);

/// The body of an order of one line, as a storefront sends it.
pub const ORDER: &str =
    r#"{"customer_id":"ada","currency":"EUR","lines":[{"sku":"SKU-0000001","quantity":1,"unit_price":1999}],"total":1999}"#;

pub fn partitions(count: u16) -> Partitions {
    Partitions::new(count).expect("a bench has as many partitions as may be")
}

/// One of the names of the shop, all of one length.
pub fn sku(n: u64) -> Sku {
    Sku::new(&format!("SKU-{n:07}")).expect("a name of the shop is a SKU")
}

fn location() -> Location {
    Location::new("main").expect("a constant")
}

pub fn request_id() -> RequestId {
    RequestId::new("req_00000000000000ff").expect("a constant")
}

pub fn order_id(n: u64, partitions: Partitions) -> OrderId {
    OrderId::derive(KeyHash::derive("", "orders", &n.to_string()), partitions)
}

/// As many units of a SKU as there can be.
pub fn stock(sku: Sku) -> Command {
    let on_hand = Quantity::new(MAX_BUCKET);
    Command::SetStock { sku, location: location(), on_hand, safety_stock: None, priority: None, expected: None }
}

/// Order or reservation `n` of one unit of each SKU.
pub fn place(kind: Kind, n: u64, skus: &[Sku], partitions: Partitions) -> Command {
    let line = |sku: &Sku| Line {
        sku: sku.clone(),
        quantity: Quantity::new(1),
        unit_price: Money::new(1999),
        seller: None,
        metadata: None,
    };
    let placed = Placed {
        kind,
        number: 0,
        fingerprint: Fingerprint(u128::from(n)),
        request_id: request_id(),
        customer: CustomerId::new("ada"),
        currency: Currency::new("EUR"),
        lines: skus.iter().map(line).collect(),
        allow_partial: false,
        expires_at: NEVER,
        shipping_address: None,
        metadata: None,
        payment: None,
        origin: None,
    };
    Command::Place { order: order_id(n, partitions), placed: Box::new(placed) }
}

/// The only partition of a shop, with what its shard would do for it.
pub struct Shop {
    pub partitions: Partitions,
    pub partition: Partition,
    pub fx: Effects,
    asked: u64,
}

impl Shop {
    /// With so many SKUs in stock, nothing of it in the batch any more.
    pub fn new(skus: u64) -> Self {
        let partitions = partitions(1);
        let partition = Partition::new(PartitionId(0), partitions, Causality::OneLog, Policy::default());
        let mut shop = Self { partitions, partition, fx: Effects::default(), asked: 0 };
        (0..skus).for_each(|n| shop.execute(stock(sku(n))));
        shop.commit();
        shop
    }

    /// Has it carried out, messages delivered as they are made.
    pub fn execute(&mut self, command: Command) {
        self.ask(command);
        while let Some(message) = self.fx.messages.pop() {
            self.partition.step(NOW, Input::Message(message.body), &mut self.fx);
        }
    }

    /// Has it decided, and leaves the messages that follow where they are.
    pub fn ask(&mut self, command: Command) {
        self.asked += 1;
        let input = Input::Command { ticket: Ticket(self.asked), command, loaded: Loaded::default() };
        self.partition.step(NOW, input, &mut self.fx);
    }

    pub fn order(&mut self, n: u64, skus: &[Sku]) {
        self.execute(place(Kind::Order, n, skus, self.partitions));
    }

    pub fn reserve(&mut self, n: u64, sku: Sku) {
        self.execute(place(Kind::Reservation, n, &[sku], self.partitions));
    }

    pub fn sell(&mut self, n: u64) {
        let order = order_id(n, self.partitions);
        self.execute(Command::Confirm { order, kind: Kind::Reservation, reason: None });
    }

    /// Everything asked so far is durable and answered. Returns the records since the last call.
    pub fn commit(&mut self) -> Batch {
        self.partition.step(NOW, Input::Durable(self.partition.seq()), &mut self.fx);
        self.fx.replies.clear();
        self.fx.archive.clear();
        self.fx.batch.take()
    }
}

/// Orders on as many SKUs, and the batch of all that has happened.
pub fn placed(orders: u64) -> (Shop, Batch) {
    let mut shop = Shop::new(0);
    (0..orders).for_each(|n| shop.execute(stock(sku(n))));
    (0..orders).for_each(|n| shop.order(n, &[sku(n)]));
    let batch = shop.commit();
    (shop, batch)
}

/// The records of a frame.
pub fn records(frame: &[u8]) -> impl Iterator<Item = Record> {
    let entries = read_frame(frame).expect("a frame that was just written");
    entries.map(|entry| entry.and_then(|entry| entry.decode()).expect("a record that was just written"))
}
