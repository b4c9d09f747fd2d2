//! Levels of a SKU: whoever follows its events alone knows whether it is in stock and whether it is low.

use crate::draft::{Draft, command_key, label, location, order, order_id, reservation, sku};
use crate::world::World;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Bucket, Event, Level, StockFact};
use holdfast_engine::quantity::Quantity;
use proptest::prelude::*;

fn facts(world: &World) -> Vec<StockFact> {
    let fact = |event: Event| match event {
        Event::Stock { sku: of, fact } if of == sku("A") => Some(fact),
        _ => None,
    };
    world.records().into_iter().filter_map(|(_, record)| fact(record.event)).collect()
}

fn levels(world: &World) -> Vec<(Level, u64)> {
    let level = |fact: &StockFact| match fact {
        StockFact::LevelCrossed { level, available } => Some((*level, *available)),
        _ => None,
    };
    facts(world).iter().filter_map(level).collect()
}

fn adjust(bucket: Bucket, delta: i64, key: &str) -> Command {
    let (sku, location, reason, reference) = (sku("A"), location("main"), label("count"), None);
    Command::AdjustStock { sku, location, bucket, delta, reason, reference, key: command_key(key, "adjust") }
}

fn set(place: &str, on_hand: u32, safety_stock: u32) -> Command {
    let (sku, location) = (sku("A"), location(place));
    let (on_hand, safety_stock) = (Quantity::new(on_hand), Some(Quantity::new(safety_stock)));
    Command::SetStock { sku, location, on_hand, safety_stock, priority: None, expected: None }
}

fn threshold(units: u32) -> Command {
    Command::SetThreshold { sku: sku("A"), threshold: Quantity::new(units) }
}

/// A reservation of three units that runs out after a minute.
fn hold_of_three() -> Draft {
    reservation("hold").line("A", 3).ttl(60_000)
}

fn hold(world: &mut World, draft: &Draft) {
    world.place(draft);
}

#[test]
fn every_way_into_a_level_has_one_event() {
    /// A rule, what happens, and the event that must follow.
    type Step = (&'static str, fn(&mut World), Option<(Level, u64)>);
    let steps: [Step; 20] = [
        ("the first count tells the level by itself", |w| drop(w.ask(set("main", 10, 0))), None),
        ("the threshold rises over what there is", |w| drop(w.ask(threshold(50))), Some((Level::Low, 10))),
        ("the threshold rises further", |w| drop(w.ask(threshold(60))), None),
        ("the threshold falls below what there is", |w| drop(w.ask(threshold(3))), Some((Level::Restored, 10))),
        ("a count", |w| drop(w.ask(set("main", 2, 0))), Some((Level::Low, 2))),
        ("the safety stock takes it all", |w| drop(w.ask(set("main", 2, 2))), Some((Level::Depleted, 0))),
        ("the threshold falls with nothing there", |w| drop(w.ask(threshold(2))), None),
        ("the safety stock gives some back", |w| drop(w.ask(set("main", 2, 1))), Some((Level::Low, 1))),
        ("another location", |w| drop(w.ask(set("attic", 5, 0))), Some((Level::Restored, 6))),
        ("a place is emptied", |w| drop(w.ask(set("attic", 0, 0))), Some((Level::Low, 1))),
        ("units come", |w| drop(w.ask(adjust(Bucket::OnHand, 4, "come"))), Some((Level::Restored, 5))),
        ("units break", |w| drop(w.ask(adjust(Bucket::Damaged, 3, "break"))), Some((Level::Low, 2))),
        ("units are mended", |w| drop(w.ask(adjust(Bucket::Damaged, -3, "mend"))), Some((Level::Restored, 5))),
        ("units are checked", |w| drop(w.ask(adjust(Bucket::QualityControl, 5, "check"))), Some((Level::Depleted, 0))),
        ("a check ends", |w| drop(w.ask(adjust(Bucket::QualityControl, -5, "good"))), Some((Level::Restored, 5))),
        ("units are held", |w| hold(w, &hold_of_three()), Some((Level::Low, 2))),
        ("the hold runs out", |w| w.pass(120_000), Some((Level::Restored, 5))),
        ("all units are held", |w| hold(w, &order("all").line("A", 5)), Some((Level::Depleted, 0))),
        ("the order is cancelled", |w| drop(w.cancel(order_id("all", w.partitions)).unwrap()), Some((Level::Restored, 5))),
        ("the same threshold again", |w| drop(w.ask(threshold(2))), None),
    ];
    let mut world = World::new();
    let mut expected: Vec<(Level, u64)> = Vec::new();
    for (rule, step, fact) in steps {
        step(&mut world);
        expected.extend(fact);
        assert_eq!(levels(&world), expected, "{rule}");
    }
}

#[test]
fn a_hold_that_is_pinned_and_sold_changes_no_level() {
    let mut world = World::stocked(&[("A", 5)]);
    let id = world.place(&order("all").line("A", 5));
    assert_eq!(levels(&world), [(Level::Depleted, 0)]);
    world.confirm(id).unwrap();
    assert_eq!(levels(&world), [(Level::Depleted, 0)]);
}

/// What is known of a SKU to somebody who follows its events by the rules of docs/events/README.md: (in_stock, low_stock).
#[derive(Default)]
struct Follower(Option<(bool, bool)>);

impl Follower {
    fn hear(&mut self, fact: &StockFact) {
        let first = |units: i64| (units > 0, units <= 0);
        let now = match (fact, self.0) {
            (StockFact::LevelCrossed { level: Level::Depleted, .. }, _) => (false, true),
            (StockFact::LevelCrossed { level: Level::Low, .. }, _) => (true, true),
            (StockFact::LevelCrossed { level: Level::Restored, .. }, _) => (true, false),
            (StockFact::Set { on_hand, safety_stock, .. }, None) => {
                first(i64::from(on_hand.units()) - i64::from(safety_stock.units()))
            }
            (StockFact::Adjusted { bucket: Bucket::OnHand, delta, .. }, None) => first(*delta),
            (StockFact::Adjusted { .. }, None) => first(0),
            (_, known) => return self.0 = known,
        };
        let crossed = matches!(fact, StockFact::LevelCrossed { .. });
        assert!(!crossed || self.0.is_some_and(|known| known != now), "{fact:?} tells what was known");
        self.0 = Some(now);
    }
}

/// What a reader of the SKU is shown.
fn shown(world: &World) -> Option<(bool, bool)> {
    let stock = world.part(world.partitions.of_sku(&sku("A"))).sku(&sku("A"))?;
    let available = world.available("A");
    Some((available > 0, available <= u64::from(stock.threshold.units())))
}

#[derive(Clone, Debug)]
enum Move {
    Set { place: u8, units: u32, safety: u32 },
    Adjust { bucket: Bucket, delta: i64 },
    Threshold(u32),
    Hold { units: u32, partial: bool },
    Cancel(u8),
    Confirm(u8),
    Pass(u64),
    Crash,
}

fn any_move() -> impl Strategy<Value = Move> {
    let bucket = prop_oneof![2 => Just(Bucket::OnHand), 1 => Just(Bucket::Damaged), 1 => Just(Bucket::QualityControl)];
    prop_oneof![
        2 => (0u8..2, 0u32..9, 0u32..4).prop_map(|(place, units, safety)| Move::Set { place, units, safety }),
        4 => (bucket, -5i64..6).prop_map(|(bucket, delta)| Move::Adjust { bucket, delta }),
        2 => (0u32..8).prop_map(Move::Threshold),
        4 => (1u32..5, any::<bool>()).prop_map(|(units, partial)| Move::Hold { units, partial }),
        2 => any::<u8>().prop_map(Move::Cancel),
        2 => any::<u8>().prop_map(Move::Confirm),
        2 => (1u64..90_000).prop_map(Move::Pass),
        1 => Just(Move::Crash),
    ]
}

/// Refusals are as good as any other answer here.
fn make(world: &mut World, held: &mut Vec<Draft>, step: Move) {
    let one_of = |held: &[Draft], n: u8| held.get(usize::from(n) % held.len().max(1)).map(|draft| draft.id(world.partitions));
    let number = world.records().len();
    match step {
        Move::Set { place, units, safety } => drop(world.ask(set(["main", "attic"][usize::from(place)], units, safety))),
        Move::Adjust { bucket, delta } => drop(world.ask(adjust(bucket, delta, &number.to_string()))),
        Move::Threshold(units) => drop(world.ask(threshold(units))),
        Move::Hold { units, partial } => {
            let draft = reservation(&format!("r{number}")).line("A", units).ttl(30_000);
            let draft = if partial { draft.partial() } else { draft };
            world.place(&draft);
            held.push(draft);
        }
        Move::Cancel(n) => drop(one_of(held, n).map(|id| world.cancel(id))),
        Move::Confirm(n) => drop(one_of(held, n).map(|id| world.confirm(id))),
        Move::Pass(millis) => world.pass(millis),
        Move::Crash => world.crash(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn whoever_follows_the_events_alone_knows_what_a_reader_is_shown(moves in proptest::collection::vec(any_move(), 1..60)) {
        let (mut world, mut held, mut follower, mut heard) = (World::new(), Vec::new(), Follower::default(), 0);
        for step in moves {
            make(&mut world, &mut held, step.clone());
            let facts = facts(&world);
            facts[heard..].iter().for_each(|fact| follower.hear(fact));
            heard = facts.len();
            prop_assert_eq!(follower.0, shown(&world), "after {:?}", step);
        }
    }
}
