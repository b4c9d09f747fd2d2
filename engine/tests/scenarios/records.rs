//! The largest facts there can be: they fit into a record, and what would not is refused.

use crate::draft::{label, order_id};
use holdfast_engine::answer::Answer;
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::effect::Effects;
use holdfast_engine::event::{Event, Kind, Line, OrderFact, OrderRecord, Placed, Record, StockFact};
use holdfast_engine::ids::{Fingerprint, Location, PartitionId, Partitions, RequestId, Sku, Ticket};
use holdfast_engine::quantity::{Currency, Money, Quantity};
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_engine::{Causality, Input, Partition, limits};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// One more than an order of so many SKUs may take from each.
const PLACES: usize = limits::MAX_ALLOCATIONS / limits::MAX_LINES + 1;

/// A name as long as one can be.
fn longest(number: usize, characters: usize) -> String {
    let start = format!("{number:06}");
    format!("{start}{}", "🛒".repeat(characters - start.len()))
}

fn sku(number: usize) -> Sku {
    Sku::new(&longest(number, limits::SKU.characters)).unwrap()
}

/// As many SKUs as an order may have lines, one unit of each at every place.
fn stocked() -> Partition {
    let mut partition = Partition::new(PartitionId(0), Partitions::new(1).unwrap(), Causality::OneLog, Policy::default());
    for number in 0..limits::MAX_LINES {
        for place in 0..PLACES {
            let fact = StockFact::Set {
                location: Location::new(&longest(place, limits::LOCATION.characters)).unwrap(),
                on_hand: Quantity(1),
                safety_stock: Quantity(0),
                priority: 0,
                delta: 1,
                version: place as u64 + 1,
            };
            let event = Event::Stock { sku: sku(number), fact };
            partition.apply(Record { seq: partition.seq() + 1, at: NOW, event });
        }
    }
    partition
}

fn place(partition: &mut Partition, key: &str, units: u32) -> Vec<OrderRecord> {
    let line = |number| Line {
        sku: sku(number),
        quantity: Quantity(units),
        unit_price: Money(1),
        seller: Some(label(&"s".repeat(limits::LABEL.characters))),
        metadata: None,
    };
    let placed = Placed {
        kind: Kind::Order,
        number: 0,
        fingerprint: Fingerprint(1),
        request_id: RequestId::new("req").unwrap(),
        customer: None,
        currency: Currency::new("EUR"),
        lines: (0..limits::MAX_LINES).map(line).collect(),
        allow_partial: false,
        expires_at: NOW.plus(60_000),
        shipping_address: None,
        metadata: None,
        payment: None,
    };
    let order = order_id(key, Partitions::new(1).unwrap());
    let command = Command::Place { order, placed: Box::new(placed) };
    let mut fx = Effects::default();
    partition.step(NOW, Input::Command { ticket: Ticket(1), command, loaded: Loaded::default() }, &mut fx);
    while !fx.messages.is_empty() {
        let mail = std::mem::take(&mut fx.messages);
        mail.into_iter().for_each(|message| partition.step(NOW, Input::Message(message.body), &mut fx));
    }
    partition.step(NOW, Input::Durable(partition.seq()), &mut fx);
    match fx.replies.pop().unwrap().outcome {
        Ok(Answer::Order { history, .. }) => history,
        other => panic!("not an order: {other:?}"),
    }
}

/// Defect met while names grew: such an order was a record that nobody may write, and ended its shard each time it was tried.
#[test]
fn the_largest_order_is_held_and_a_larger_one_is_told_what_it_can_have() {
    let mut partition = stocked();
    let most = (PLACES - 1) as u32;
    let refused = place(&mut partition, "more", most + 1);
    let OrderFact::Rejected { shortages } = &*refused.last().unwrap().fact else { panic!("{refused:?}") };
    assert_eq!(shortages.len(), limits::MAX_LINES);
    assert!(shortages.iter().all(|shortage| shortage.available == Some(most.into())));
    let held = place(&mut partition, "most", most);
    let OrderFact::Held { holds } = &*held.last().unwrap().fact else { panic!("{held:?}") };
    assert_eq!(holds.iter().map(|hold| hold.allocations.len()).sum::<usize>(), limits::MAX_LINES * (PLACES - 1));
}
