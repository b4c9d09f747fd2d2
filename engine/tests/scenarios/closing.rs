//! Closing a location: one that counts nothing goes, and nothing of it stays behind.

use crate::draft::{location, order, sku};
use crate::world::World;
use holdfast_engine::answer::Answer;
use holdfast_engine::audit::Audit;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Bucket, Buckets, Event, Record, StockFact, StockView};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::quantity::Quantity;
use holdfast_engine::rejection::Rejection;
use holdfast_engine::stock::SkuStock;
use holdfast_engine::time::Timestamp;

fn close(world: &mut World, place: &str, expected: Option<u64>) -> Result<u64, Rejection> {
    match world.ask(Command::CloseLocation {
        sku: sku("A"),
        location: location(place),
        expected: expected.map(|version| vec![version]),
    })? {
        Answer::LocationClosed { version } => Ok(version),
        other => panic!("not the answer to a close: {other:?}"),
    }
}

fn set(world: &mut World, place: &str, on_hand: u32, expected: Option<u64>) -> Result<Answer, Rejection> {
    world.ask(Command::SetStock {
        sku: sku("A"),
        location: location(place),
        on_hand: Quantity::new(on_hand),
        safety_stock: Some(Quantity::new(7)),
        priority: Some(3),
        expected: expected.map(|version| vec![version]),
    })
}

fn view(world: &mut World) -> StockView {
    match world.ask(Command::GetStock { sku: sku("A") }).unwrap() {
        Answer::Stock(view) => view,
        other => panic!("not stock: {other:?}"),
    }
}

fn names(view: &StockView) -> Vec<&str> {
    view.locations.iter().map(|place| place.location.as_str()).collect()
}

#[test]
fn a_location_that_counts_nothing_goes_and_what_was_set_for_it_goes_with_it() {
    let mut world = World::stocked(&[("A", 5)]);
    set(&mut world, "mian", 0, None).unwrap();
    assert_eq!(close(&mut world, "mian", Some(2)), Ok(3));
    let seen = view(&mut world);
    assert_eq!((names(&seen), seen.version), (vec!["main"], 3));
    assert_eq!(world.available("A"), 5);
    world.crash();
    assert_eq!(view(&mut world), seen);
}

#[test]
fn what_is_not_there_is_not_found_and_what_was_read_before_is_stale() {
    let mut world = World::stocked(&[("A", 5)]);
    assert_eq!(close(&mut world, "nowhere", None), Err(Rejection::NotFound));
    set(&mut world, "mian", 0, None).unwrap();
    let stale = Err(Rejection::VersionMismatch { current: 2 });
    assert_eq!([close(&mut world, "mian", Some(1)), close(&mut world, "mian", Some(0))], [stale.clone(), stale]);
    assert_eq!(close(&mut world, "mian", None), Ok(3));
    assert_eq!(close(&mut world, "mian", None), Err(Rejection::NotFound), "closed twice is closed once");
    let unknown = Command::CloseLocation { sku: sku("B"), location: location("main"), expected: None };
    assert_eq!(world.ask(unknown), Err(Rejection::NotFound));
}

#[test]
fn a_location_that_counts_anything_stays() {
    let mut world = World::stocked(&[("A", 5)]);
    let refused = |world: &mut World| match close(world, "main", None) {
        Err(Rejection::LocationInUse { buckets }) => buckets,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut world).on_hand, Quantity::new(5));
    let sold = world.place(&order("sold").line("A", 2));
    assert_eq!(refused(&mut world).held, Quantity::new(2));
    world.confirm(sold).unwrap();
    set(&mut world, "main", 2, None).unwrap();
    assert_eq!(refused(&mut world).committed, Quantity::new(2), "what is sold is not taken away");
}

/// No fact brings these about while the location has nothing on hand, but each alone must keep it.
#[test]
fn each_counter_keeps_a_location_and_a_safety_stock_does_not() {
    let one = Quantity::new(1);
    let counters: [fn(&mut Buckets) -> &mut Quantity; 6] = [
        |buckets| &mut buckets.on_hand,
        |buckets| &mut buckets.held,
        |buckets| &mut buckets.pinned,
        |buckets| &mut buckets.committed,
        |buckets| &mut buckets.damaged,
        |buckets| &mut buckets.quality_control,
    ];
    let mut stock = SkuStock::default();
    let set = stock.decide_set(location("a"), Quantity::ZERO, Some(Quantity::new(9)), None, None).unwrap();
    stock.evolve(&set, &mut None);
    for counter in counters {
        let mut counting = stock.clone();
        *counter(&mut counting.locations[0].buckets) = one;
        let buckets = counting.locations[0].buckets;
        assert_eq!(counting.decide_close(location("a"), None), Err(Rejection::LocationInUse { buckets }));
    }
    assert_eq!(stock.decide_close(location("a"), None), Ok(StockFact::LocationClosed { location: location("a"), version: 2 }));
}

#[test]
fn opened_again_a_location_is_a_new_one_and_an_old_write_finds_another_version() {
    let mut world = World::stocked(&[("A", 5)]);
    set(&mut world, "mian", 0, Some(0)).unwrap();
    close(&mut world, "mian", Some(2)).unwrap();
    assert_eq!(set(&mut world, "mian", 4, Some(2)), Err(Rejection::VersionMismatch { current: 3 }), "a write from before");
    let set_again = Command::SetStock {
        sku: sku("A"),
        location: location("mian"),
        on_hand: Quantity::new(4),
        safety_stock: None,
        priority: None,
        expected: Some(vec![0]),
    };
    world.ask(set_again).unwrap();
    let seen = view(&mut world);
    let again = seen.locations.iter().find(|place| place.location == location("mian")).unwrap();
    assert_eq!((seen.version, again.priority, again.buckets.safety_target), (4, 0, Quantity::ZERO));
}

#[test]
fn the_last_location_may_go_and_the_sku_stays_known() {
    let mut world = World::stocked(&[("A", 0)]);
    close(&mut world, "main", None).unwrap();
    let seen = view(&mut world);
    assert_eq!((names(&seen), seen.version), (vec![], 2));
    let refused = world.place(&order("k").line("A", 1));
    assert_eq!(world.order(refused).shortages()[0].available, Some(0), "sold out, not unknown");
}

#[test]
fn a_hold_that_was_given_back_does_not_keep_its_location_nor_miss_it() {
    let mut world = World::stocked(&[("A", 2)]);
    let id = world.place(&order("k").line("A", 2));
    world.cancel(id).unwrap();
    set(&mut world, "main", 0, None).unwrap();
    close(&mut world, "main", None).unwrap();
    world.pass(120_000);
    world.stock("A", "other", 3);
    assert_eq!(world.available("A"), 3);
}

#[test]
fn the_audit_finds_a_location_that_was_closed_with_units_in_it() {
    let mut audit = Audit::default();
    let facts = [
        StockFact::Adjusted {
            location: location("main"),
            bucket: Bucket::OnHand,
            delta: 5,
            reason: crate::draft::label("count"),
            reference: None,
            version: 1,
        },
        StockFact::LocationClosed { location: location("main"), version: 2 },
    ];
    for (fact, seq) in facts.into_iter().zip(1..) {
        audit.add(PartitionId(0), &Record { seq, at: Timestamp::new(1), event: Event::Stock { sku: sku("A"), fact } });
    }
    let (_, violations) = audit.finish::<holdfast_engine::Partition>(&[]);
    assert!(violations.iter().any(|violation| violation.starts_with("I3 A at main was closed with")), "{violations:?}");
}
