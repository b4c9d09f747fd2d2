//! The largest facts there can be: they fit into a record, and what would not is refused.

use crate::draft::{label, order_id};
use holdfast_engine::answer::Answer;
use holdfast_engine::command::{Command, Loaded};
use holdfast_engine::effect::Effects;
use holdfast_engine::event::{Allocation, Event, History, Kind, Line, OrderFact, Placed, Record, SkuHold, StockFact};
use holdfast_engine::ids::{Fingerprint, HoldKey, Location, PartitionId, Partitions, RequestId, Sku, Ticket};
use holdfast_engine::quantity::{Currency, Money, Quantity};
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_engine::{Causality, Input, Partition, codec, limits};

const NOW: Timestamp = Timestamp::new(1_700_000_000_000);
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

/// As many SKUs as an order may have lines, so many units of each at so many places.
fn stocked(places: usize, units: u32) -> Partition {
    let mut partition = Partition::new(PartitionId(0), Partitions::new(1).unwrap(), Causality::OneLog, Policy::default());
    for number in 0..limits::MAX_LINES {
        for place in 0..places {
            let fact = StockFact::Set {
                location: Location::new(&longest(place, limits::LOCATION.characters)).unwrap(),
                on_hand: Quantity::new(units),
                safety_stock: Quantity::ZERO,
                priority: 0,
                delta: units.into(),
                version: place as u64 + 1,
            };
            apply(&mut partition, Event::Stock { sku: sku(number), fact });
        }
    }
    partition
}

fn apply(partition: &mut Partition, event: Event) {
    partition.apply(Record { seq: partition.seq() + 1, at: NOW, event });
}

fn deliver(partition: &mut Partition, fx: &mut Effects) {
    while !fx.messages.is_empty() {
        let mail = std::mem::take(&mut fx.messages);
        mail.into_iter().for_each(|message| partition.step(NOW, Input::Message(message.body), fx));
    }
}

/// What an order of so many units of each SKU came to, and the largest fact on the way.
fn place(partition: &mut Partition, key: &str, units: impl Fn(usize) -> u32) -> (History, usize) {
    let line = |number| Line {
        sku: sku(number),
        quantity: Quantity::new(units(number)),
        unit_price: Money::new(1),
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
        origin: None,
    };
    let order = order_id(key, Partitions::new(1).unwrap());
    let command = Command::Place { order, placed: Box::new(placed) };
    let mut fx = Effects::default();
    partition.step(NOW, Input::Command { ticket: Ticket(1), command, loaded: Loaded::default() }, &mut fx);
    deliver(partition, &mut fx);
    partition.step(NOW, Input::Durable(partition.seq()), &mut fx);
    let frame = fx.batch.frame();
    let records = codec::read_frame(&frame).unwrap().map(|entry| entry.unwrap().decode().unwrap());
    let largest = records.map(|record| codec::encode_record(&record).len()).max().unwrap_or_default();
    match fx.replies.pop().unwrap().outcome {
        Ok(Answer::Order { history, .. }) => (history, largest),
        other => panic!("not an order: {other:?}"),
    }
}

fn holds_nothing(partition: &Partition) -> bool {
    partition.live_holds() == 0
}

/// Defect met while names grew: such an order was a record that nobody may write, and ended its shard each time it was tried.
#[test]
fn the_largest_order_is_held_and_one_in_more_locations_is_rejected_for_that() {
    let mut partition = stocked(PLACES, 1);
    let most = (PLACES - 1) as u32;
    let (refused, _) = place(&mut partition, "more", |_| most + 1);
    let OrderFact::TooManyLocations { shortages } = refused.last().fact() else { panic!("{refused:?}") };
    assert_eq!(shortages.len(), limits::MAX_LINES);
    assert!(shortages.iter().all(|shortage| shortage.available == Some(most.into())), "what its share can give");
    assert!(holds_nothing(&partition));
    let (held, largest) = place(&mut partition, "most", |_| most);
    let OrderFact::Held { holds } = held.last().fact() else { panic!("{held:?}") };
    assert_eq!(holds.iter().map(|hold| hold.allocations.len()).sum::<usize>(), limits::MAX_LINES * (PLACES - 1));
    assert!(largest < limits::MAX_FACT_BYTES && largest > limits::MAX_BODY_BYTES, "a fact of {largest} bytes");
}

/// Defect: a body of 26 KB whose units are in 128,000 places made a fact of 8.45 MB. It took its shard down, and so did each retry.
#[test]
fn an_order_whose_units_are_in_all_locations_of_all_its_skus_is_rejected_and_a_retry_gets_the_same() {
    let mut partition = stocked(limits::MAX_LOCATIONS, 10);
    let (refused, largest) = place(&mut partition, "all", |_| 2_560);
    assert!(matches!(refused.last().fact(), OrderFact::TooManyLocations { shortages } if shortages.len() == 500));
    assert!(largest < limits::MAX_FACT_BYTES && holds_nothing(&partition), "{largest}");
    let (again, nothing) = place(&mut partition, "all", |_| 2_560);
    assert_eq!((again, nothing), (refused, 0));
    let (held, _) = place(&mut partition, "less", |_| 80);
    assert!(matches!(held.last().fact(), OrderFact::Held { .. }), "{:?}", held.last());
}

/// Where units are short as well, more locations would not help.
#[test]
fn an_order_that_is_short_of_units_too_is_rejected_for_that() {
    let mut partition = stocked(PLACES, 1);
    let (refused, _) = place(&mut partition, "k", |number| PLACES as u32 + u32::from(number == 7));
    let OrderFact::Rejected { shortages } = refused.last().fact() else { panic!("{refused:?}") };
    assert!(
        shortages.iter().all(|shortage| shortage.available < Some(shortage.requested.units().into())),
        "none has what it wants"
    );
    assert_eq!((shortages.len(), holds_nothing(&partition)), (limits::MAX_LINES, true));
}

/// An earlier version held units at more locations than an order may take from now.
#[test]
fn an_order_that_an_earlier_version_held_in_more_locations_is_replayed_and_goes_on_to_its_end() {
    let mut partition = stocked(PLACES, 1);
    let (placed, _) = place(&mut stocked(0, 0), "old", |_| PLACES as u32);
    let id = order_id("old", Partitions::new(1).unwrap());
    let all = |place| Allocation {
        location: Location::new(&longest(place, limits::LOCATION.characters)).unwrap(),
        quantity: Quantity::new(1),
    };
    let holds = (0..limits::MAX_LINES).map(|number| SkuHold { sku: sku(number), allocations: (0..PLACES).map(all).collect() });
    let holds: Vec<SkuHold> = holds.collect();
    apply(&mut partition, Event::Order { order: id, fact: placed.first().fact().into(), correlation: None });
    for SkuHold { sku, allocations } in holds.clone() {
        let (hold, version) = (HoldKey { order: id, generation: 1 }, 2 * PLACES as u64);
        let fact = StockFact::HoldPlaced { hold, order_version: 1, allocations, probe_at: NOW, version };
        apply(&mut partition, Event::Stock { sku, fact });
    }
    apply(&mut partition, Event::Order { order: id, fact: OrderFact::Held { holds }.into(), correlation: None });
    let command = Command::Cancel { order: id, kind: Kind::Order, reason: None };
    let mut fx = Effects::default();
    partition.step(NOW, Input::Command { ticket: Ticket(2), command, loaded: Loaded::default() }, &mut fx);
    deliver(&mut partition, &mut fx);
    assert!(holds_nothing(&partition) && partition.order(id).unwrap().stock_settled);
}
