//! One SKU: what operators may count, set and adjust, and what of it may be sold.

use crate::draft::{command_key, label, location, order, sku};
use crate::world::World;
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Bucket, StockView, StoredResponse};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::rejection::Rejection;

fn set(world: &mut World, place: &str, on_hand: u32, expected: Option<u64>) -> Result<u64, Rejection> {
    let command = Command::SetStock {
        sku: sku("A"),
        location: location(place),
        on_hand: Quantity::new(on_hand),
        safety_stock: None,
        priority: None,
        expected: expected.map(|version| vec![version]),
    };
    world.ask(command).map(|answer| view(answer).version)
}

fn view(answer: Answer) -> StockView {
    match answer {
        Answer::Stock(view) => view,
        other => panic!("not the answer of a stock command: {other:?}"),
    }
}

fn adjust_as(world: &mut World, key: &str, bucket: Bucket, delta: i64) -> StoredResponse {
    let command = Command::AdjustStock {
        sku: sku("A"),
        location: location("main"),
        bucket,
        delta,
        reason: label("count"),
        reference: None,
        key: command_key(key, &format!("{bucket:?} {delta}")),
    };
    match world.ask(command).unwrap() {
        Answer::Stored(kept) => (*kept).clone(),
        other => panic!("not the answer of an adjustment: {other:?}"),
    }
}

/// `Ok` with what is available afterwards, or `Err` with how it was refused.
fn adjust(world: &mut World, bucket: Bucket, delta: i64) -> Result<u64, String> {
    let key = format!("{bucket:?}{delta}-{}", world.records().len());
    match adjust_as(world, &key, bucket, delta) {
        StoredResponse::Adjusted(_) => Ok(world.available("A")),
        StoredResponse::AdjustmentRefused { rejection: Rejection::BelowTaken { taken, count }, .. } => {
            Err(format!("{taken} taken, count {count}"))
        }
        StoredResponse::AdjustmentRefused { rejection, .. } => Err(format!("{rejection:?}")),
        other => panic!("not the answer of an adjustment: {other:?}"),
    }
}

#[test]
fn a_count_is_set_only_against_the_version_it_was_read_at() {
    struct Case {
        rule: &'static str,
        place: &'static str,
        expected: Option<u64>,
        then: Result<u64, Rejection>,
    }
    let stale = Err(Rejection::VersionMismatch { current: 2 });
    let cases = [
        Case { rule: "without a version it always goes", place: "main", expected: None, then: Ok(3) },
        Case { rule: "the version of the SKU goes", place: "main", expected: Some(2), then: Ok(3) },
        Case { rule: "an older version is refused", place: "main", expected: Some(1), then: stale.clone() },
        Case { rule: "a version yet to come is refused", place: "main", expected: Some(3), then: stale.clone() },
        Case { rule: "zero makes a new location", place: "new", expected: Some(0), then: Ok(3) },
        Case { rule: "zero does not overwrite a location", place: "main", expected: Some(0), then: stale.clone() },
        Case { rule: "the version of the SKU makes a new location", place: "new", expected: Some(2), then: Ok(3) },
        Case { rule: "an older version makes no new location", place: "new", expected: Some(1), then: stale },
    ];
    for Case { rule, place, expected, then } in cases {
        let mut world = World::stocked(&[("A", 5)]);
        assert_eq!(set(&mut world, "main", 7, None), Ok(2));
        assert_eq!(set(&mut world, place, 9, expected), then, "{rule}");
    }
}

#[test]
fn a_new_sku_is_set_with_version_zero_once() {
    let mut world = World::new();
    assert_eq!(set(&mut world, "main", 4, Some(0)), Ok(1));
    assert_eq!(set(&mut world, "main", 4, Some(0)), Err(Rejection::VersionMismatch { current: 1 }));
}

#[test]
fn a_count_below_what_is_promised_is_refused_and_changes_nothing() {
    let mut world = World::stocked(&[("A", 10)]);
    let sold = world.place(&order("sold").line("A", 3));
    world.confirm(sold).unwrap();
    world.place(&order("held").line("A", 2));
    assert_eq!(adjust(&mut world, Bucket::Damaged, 1), Ok(4));
    assert_eq!(set(&mut world, "main", 5, None), Err(Rejection::BelowTaken { taken: 6, count: 5 }));
    assert_eq!(world.available("A"), 4);
    assert!(set(&mut world, "main", 6, None).is_ok());
    assert_eq!(world.available("A"), 0);
}

#[test]
fn an_adjustment_takes_from_what_is_free_and_nothing_else() {
    struct Case {
        bucket: Bucket,
        delta: i64,
        then: Result<u64, &'static str>,
    }
    // Given 10 on hand: 3 held, 1 damaged, 2 in quality control, so 4 free.
    let cases = [
        Case { bucket: Bucket::OnHand, delta: 5, then: Ok(9) },
        Case { bucket: Bucket::OnHand, delta: -4, then: Ok(0) },
        Case { bucket: Bucket::OnHand, delta: -5, then: Err("6 taken, count 5") },
        Case { bucket: Bucket::Damaged, delta: 4, then: Ok(0) },
        Case { bucket: Bucket::OnHand, delta: -12, then: Err("6 taken, count -2") },
        Case { bucket: Bucket::Damaged, delta: 5, then: Err("11 taken, count 10") },
        Case { bucket: Bucket::Damaged, delta: -1, then: Ok(5) },
        Case { bucket: Bucket::Damaged, delta: -2, then: Err("0 taken, count -1") },
        Case { bucket: Bucket::QualityControl, delta: 4, then: Ok(0) },
        Case { bucket: Bucket::QualityControl, delta: 5, then: Err("11 taken, count 10") },
        Case { bucket: Bucket::QualityControl, delta: -2, then: Ok(6) },
        Case { bucket: Bucket::QualityControl, delta: -3, then: Err("0 taken, count -1") },
        Case { bucket: Bucket::OnHand, delta: 2_000_000_000, then: Err("TooMany") },
    ];
    for Case { bucket, delta, then } in cases {
        let mut world = World::stocked(&[("A", 10)]);
        world.place(&order("held").line("A", 3));
        assert_eq!(adjust(&mut world, Bucket::Damaged, 1), Ok(6));
        assert_eq!(adjust(&mut world, Bucket::QualityControl, 2), Ok(4));
        assert_eq!(adjust(&mut world, bucket, delta), then.map_err(str::to_owned), "{bucket:?} {delta}");
    }
}

/// Defect met while this was written: the smallest delta of all was negated, which overflows.
#[test]
fn the_extremes_of_a_delta_are_refused() {
    for (bucket, delta) in
        [(Bucket::OnHand, i64::MIN), (Bucket::OnHand, i64::MAX), (Bucket::Damaged, i64::MIN), (Bucket::Damaged, i64::MAX)]
    {
        let mut world = World::stocked(&[("A", 10)]);
        let refused = adjust(&mut world, bucket, delta).unwrap_err();
        assert!(refused.contains("taken") || refused.contains("TooMany"), "{refused}");
    }
}

#[test]
fn a_sku_nobody_stocked_can_be_received_but_not_taken_from() {
    let mut world = World::new();
    assert_eq!(adjust(&mut world, Bucket::OnHand, -1), Err(format!("{:?}", Rejection::UnknownSku(sku("A")))));
    assert_eq!(world.ask(Command::GetStock { sku: sku("A") }), Err(Rejection::NotFound));
    let threshold = Command::SetThreshold { sku: sku("A"), threshold: Quantity::new(3) };
    assert_eq!(world.ask(threshold), Err(Rejection::NotFound));
    assert_eq!(adjust(&mut world, Bucket::OnHand, 2), Ok(2));
}

#[test]
fn an_adjustment_under_a_used_key_is_answered_and_not_done_again() {
    let mut world = World::stocked(&[("A", 10)]);
    let first = adjust_as(&mut world, "k", Bucket::OnHand, 5);
    assert_eq!(world.available("A"), 15);
    world.place(&order("later").line("A", 1));
    assert_eq!(adjust_as(&mut world, "k", Bucket::OnHand, 5), first);
    assert_eq!(world.buckets("A").on_hand, Quantity::new(15));
}

#[test]
fn a_refused_adjustment_stays_refused_under_its_key() {
    let mut world = World::stocked(&[("A", 1)]);
    let refused = adjust_as(&mut world, "k", Bucket::OnHand, -3);
    world.stock("A", "main", 50);
    assert_eq!(adjust_as(&mut world, "k", Bucket::OnHand, -3), refused);
    assert_eq!(world.available("A"), 50);
}

#[test]
fn the_key_of_an_adjustment_is_refused_to_another_body() {
    let mut world = World::stocked(&[("A", 10)]);
    adjust_as(&mut world, "k", Bucket::OnHand, 5);
    let other = Command::AdjustStock {
        sku: sku("A"),
        location: location("main"),
        bucket: Bucket::OnHand,
        delta: 6,
        reason: label("count"),
        reference: None,
        key: command_key("k", "OnHand 6"),
    };
    assert_eq!(world.ask(other), Err(Rejection::KeyReused));
    assert_eq!(world.available("A"), 15);
}

#[test]
fn safety_stock_is_kept_from_sale_and_is_never_more_than_what_is_free() {
    let mut world = World::new();
    let command = |safety| Command::SetStock {
        sku: sku("A"),
        location: location("main"),
        on_hand: Quantity::new(10),
        safety_stock: Some(Quantity::new(safety)),
        priority: None,
        expected: None,
    };
    for (safety, available, kept) in [(0, 10, 0), (4, 6, 4), (10, 0, 10), (25, 0, 10)] {
        let view = view(world.ask(command(safety)).unwrap());
        assert_eq!(world.available("A"), available);
        assert_eq!(view.locations[0].buckets.safety_stock(), Quantity::new(kept), "target {safety}");
    }
    world.ask(command(4)).unwrap();
    let id = world.place(&order("all").line("A", 6));
    assert_eq!(world.order(id).shortages(), []);
    let refused = world.place(&order("more").line("A", 1));
    assert_eq!(world.order(refused).shortages()[0].available, Some(0));
}

#[test]
fn a_count_without_a_safety_stock_keeps_the_one_there_was() {
    let mut world = World::new();
    let command = |on_hand, safety, priority| Command::SetStock {
        sku: sku("A"),
        location: location("main"),
        on_hand: Quantity::new(on_hand),
        safety_stock: safety,
        priority,
        expected: None,
    };
    world.ask(command(10, Some(Quantity::new(3)), Some(7))).unwrap();
    let view = view(world.ask(command(12, None, None)).unwrap());
    assert_eq!(world.available("A"), 9);
    assert_eq!(view.locations[0].priority, 7);
}

#[test]
fn availability_tells_a_sold_out_sku_from_one_nobody_stocked() {
    let mut world = World::stocked(&[("A", 0)]);
    let partition = world.partitions.of_sku(&sku("A"));
    let unknown = (0..).map(|n| sku(&format!("U{n}"))).find(|sku| world.partitions.of_sku(sku) == partition).unwrap();
    let query = Command::Availability { partition, skus: vec![sku("A"), unknown.clone()] };
    assert_eq!(world.ask(query), Ok(Answer::Availability(vec![(sku("A"), Some(0)), (unknown, None)])));
}
