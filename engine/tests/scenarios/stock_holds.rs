//! The holds of orders on one SKU: placed, pinned, committed, released, each once, in whatever order it is asked.

use crate::draft::{hold, label, location, order_id, sku};
use holdfast_engine::audit::Audit;
use holdfast_engine::event::{Allocation, Bucket, Event, Record, ReleaseCause, StockFact};
use holdfast_engine::ids::{HoldKey, PartitionId, Partitions};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::rejection::Rejection;
use holdfast_engine::stock::{Hold, HoldDecision, HoldOp, HoldState, ReserveDecision, ReserveRefusal, ReserveRequest, SkuStock};
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_engine::{Causality, Partition, invariants};
use proptest::prelude::*;
use std::collections::BTreeMap;

const RELEASE: HoldOp = HoldOp::Release(ReleaseCause::Released);
const SHORT_OF_ALL: ReserveDecision = ReserveDecision::Refused(ReserveRefusal::Short { available: 0 });
const EXPIRE: HoldOp = HoldOp::Release(ReleaseCause::Expired);

fn key(name: &str) -> HoldKey {
    hold(order_id(name, Partitions::new(1).unwrap()), 1)
}

/// A SKU with the holds on it.
#[derive(Default)]
struct OneSku {
    stock: SkuStock,
    holds: BTreeMap<HoldKey, Hold>,
}

impl OneSku {
    /// Of a partition that has no other.
    fn of(partition: &Partition) -> Self {
        let stock = partition.sku(&sku("A")).cloned().unwrap_or_default();
        Self { stock, holds: partition.holds().map(|(_, key, hold)| (key, hold.clone())).collect() }
    }

    fn set(&mut self, name: &str, units: u32, priority: Option<u16>) {
        let fact = self.stock.decide_set(location(name), Quantity::new(units), None, priority, None).unwrap();
        self.evolve(&fact);
    }

    fn decide_reserve(&self, request: &ReserveRequest) -> ReserveDecision {
        self.stock.decide_reserve(self.holds.get(&request.hold), request)
    }

    fn decide_op(&self, key: HoldKey, order_version: u32, op: HoldOp) -> HoldDecision {
        self.stock.decide_op(self.holds.get(&key), key, order_version, op)
    }

    fn evolve(&mut self, fact: &StockFact) {
        let mut hold = fact.hold().and_then(|key| self.holds.remove(&key));
        self.stock.evolve(fact, &mut hold);
        self.holds.extend(fact.hold().zip(hold));
    }
}

fn stocked(places: &[(&str, u32, u16)]) -> OneSku {
    let mut one = OneSku::default();
    places.iter().for_each(|(name, units, priority)| one.set(name, *units, Some(*priority)));
    one
}

fn demand(name: &str, units: u32, partial: bool) -> ReserveRequest {
    ReserveRequest {
        hold: key(name),
        order_version: 1,
        quantity: Quantity::new(units),
        partial,
        locations: 256,
        probe_at: Timestamp::ZERO,
    }
}

fn taken(fact: &StockFact) -> Vec<(&str, u32)> {
    match fact {
        StockFact::HoldPlaced { allocations, .. } => {
            allocations.iter().map(|a| (a.location.as_str(), a.quantity.units())).collect()
        }
        other => panic!("not a hold: {other:?}"),
    }
}

fn place_hold(stock: &mut OneSku, name: &str, units: u32) {
    match stock.decide_reserve(&demand(name, units, false)) {
        ReserveDecision::Held(Some(fact)) => stock.evolve(&fact),
        other => panic!("no hold: {other:?}"),
    }
}

fn act(stock: &mut OneSku, step: u32, op: HoldOp) -> &'static str {
    match stock.decide_op(key("o"), step, op) {
        HoldDecision::Do(fact) => {
            stock.evolve(&fact);
            "do"
        }
        HoldDecision::Done => "done",
        HoldDecision::Impossible => "impossible",
    }
}

#[test]
fn a_demand_takes_what_is_there_whole_before_split_and_by_priority() {
    struct Case {
        rule: &'static str,
        units: u32,
        partial: bool,
        then: Result<&'static [(&'static str, u32)], u64>,
    }
    let cases = [
        Case { rule: "the first by priority that has it all", units: 2, partial: false, then: Ok(&[("east", 2)]) },
        Case { rule: "a later one that has it all before a split", units: 4, partial: false, then: Ok(&[("west", 4)]) },
        Case { rule: "a split in order of priority", units: 7, partial: false, then: Ok(&[("east", 3), ("west", 4)]) },
        Case { rule: "everything there is", units: 10, partial: false, then: Ok(&[("east", 3), ("west", 5), ("attic", 2)]) },
        Case { rule: "more than there is, all or none", units: 11, partial: false, then: Err(10) },
        Case {
            rule: "more than there is, partial",
            units: 11,
            partial: true,
            then: Ok(&[("east", 3), ("west", 5), ("attic", 2)]),
        },
    ];
    for Case { rule, units, partial, then } in cases {
        let stock = stocked(&[("attic", 2, 9), ("west", 5, 1), ("east", 3, 0)]);
        let met = match stock.decide_reserve(&demand("o", units, partial)) {
            ReserveDecision::Held(Some(fact)) => {
                Ok(taken(&fact).into_iter().map(|(name, units)| (name.to_owned(), units)).collect())
            }
            ReserveDecision::Held(None) => panic!("{rule}: there was no hold before"),
            ReserveDecision::Refused(refusal) => Err(refusal.available().unwrap()),
        };
        let then = then.map(|list| list.iter().map(|(name, units)| ((*name).to_owned(), *units)).collect::<Vec<_>>());
        assert_eq!(met, then, "{rule}");
    }
}

#[test]
fn locations_of_equal_priority_go_by_name() {
    let stock = stocked(&[("b", 5, 0), ("a", 5, 0)]);
    let ReserveDecision::Held(Some(fact)) = stock.decide_reserve(&demand("o", 5, false)) else { panic!("there is enough") };
    assert_eq!(taken(&fact), [("a", 5)]);
}

#[test]
fn a_sku_nobody_stocked_and_a_sold_out_one_are_refused_differently() {
    assert_eq!(OneSku::default().decide_reserve(&demand("o", 1, true)), ReserveDecision::Refused(ReserveRefusal::Unknown));
    assert_eq!(stocked(&[("a", 0, 0)]).decide_reserve(&demand("o", 1, true)), SHORT_OF_ALL);
}

#[test]
fn a_demand_told_twice_is_met_once() {
    let mut stock = stocked(&[("a", 1, 0)]);
    place_hold(&mut stock, "o", 1);
    assert_eq!(stock.decide_reserve(&demand("o", 1, false)), ReserveDecision::Held(None));
    assert_eq!(stock.stock.available(), 0);
}

#[test]
fn a_demand_that_comes_after_its_release_is_refused() {
    let mut stock = stocked(&[("a", 5, 0)]);
    assert_eq!(act(&mut stock, 2, RELEASE), "do");
    assert_eq!(stock.decide_reserve(&demand("o", 1, false)), ReserveDecision::Refused(ReserveRefusal::Short { available: 5 }));
    place_hold(&mut stock, "other", 5);
    assert_eq!(stock.stock.available(), 0);
}

#[test]
fn a_hold_goes_each_way_once_and_only_forward() {
    use HoldOp::{Commit, Pin, Unpin};
    use HoldState::{Committed, Held, Pinned, Released};
    struct Case {
        given: &'static [HoldOp],
        when: HoldOp,
        then: (&'static str, HoldState),
    }
    let cases = [
        Case { given: &[], when: Pin, then: ("do", Pinned) },
        Case { given: &[], when: Unpin, then: ("done", Held) },
        Case { given: &[], when: Commit, then: ("do", Committed) },
        Case { given: &[], when: RELEASE, then: ("do", Released) },
        Case { given: &[], when: EXPIRE, then: ("do", Released) },
        Case { given: &[Pin], when: Pin, then: ("done", Pinned) },
        Case { given: &[Pin], when: Unpin, then: ("do", Held) },
        Case { given: &[Pin], when: Commit, then: ("do", Committed) },
        Case { given: &[Pin], when: RELEASE, then: ("do", Released) },
        Case { given: &[Pin, Unpin], when: Pin, then: ("do", Pinned) },
        Case { given: &[Commit], when: Commit, then: ("done", Committed) },
        Case { given: &[Commit], when: Pin, then: ("done", Committed) },
        Case { given: &[Commit], when: Unpin, then: ("done", Committed) },
        Case { given: &[Commit], when: RELEASE, then: ("done", Committed) },
        Case { given: &[Commit], when: EXPIRE, then: ("done", Committed) },
        Case { given: &[RELEASE], when: RELEASE, then: ("done", Released) },
        Case { given: &[RELEASE], when: EXPIRE, then: ("done", Released) },
        Case { given: &[RELEASE], when: Pin, then: ("done", Released) },
        Case { given: &[RELEASE], when: Unpin, then: ("done", Released) },
        Case { given: &[RELEASE], when: Commit, then: ("impossible", Released) },
    ];
    for Case { given, when, then } in cases {
        let mut stock = stocked(&[("a", 3, 0), ("b", 3, 0)]);
        place_hold(&mut stock, "o", 5);
        let mut step = 1;
        for op in given {
            step += 1;
            assert_eq!(act(&mut stock, step, *op), "do");
        }
        let verdict = act(&mut stock, step + 1, when);
        assert_eq!((verdict, stock.holds[&key("o")].state), then, "{given:?} then {when:?}");
        let free = if then.1 == Released { 6 } else { 1 };
        assert_eq!(stock.stock.available(), free, "{given:?} then {when:?}");
    }
}

#[test]
fn a_step_overtaken_by_a_later_one_changes_nothing() {
    let mut stock = stocked(&[("a", 3, 0)]);
    place_hold(&mut stock, "o", 3);
    assert_eq!(act(&mut stock, 4, HoldOp::Pin), "do");
    assert_eq!(act(&mut stock, 6, HoldOp::Unpin), "do");
    assert_eq!(act(&mut stock, 4, HoldOp::Pin), "done");
    assert_eq!(stock.holds[&key("o")].state, HoldState::Held);
    assert_eq!(act(&mut stock, 8, HoldOp::Pin), "do");
    assert_eq!(act(&mut stock, 6, HoldOp::Unpin), "done");
    assert_eq!(stock.holds[&key("o")].state, HoldState::Pinned);
}

#[test]
fn what_there_is_no_hold_for_is_forbidden_absorbed_or_impossible() {
    for (op, verdict) in
        [(RELEASE, "do"), (EXPIRE, "do"), (HoldOp::Pin, "done"), (HoldOp::Unpin, "done"), (HoldOp::Commit, "impossible")]
    {
        let mut stock = stocked(&[("a", 3, 0)]);
        assert_eq!(act(&mut stock, 1, op), verdict, "{op:?}");
        assert_eq!(stock.stock.available(), 3);
        assert_eq!(stock.stock.version, 1, "nothing moved");
    }
}

#[test]
fn limits_of_buckets_and_locations_are_refused_not_wrapped() {
    let mut stock = OneSku::default();
    assert_eq!(stock.stock.decide_set(location("a"), Quantity::new(u32::MAX), None, None, None), Err(Rejection::TooMany));
    for n in 0..256 {
        stock.set(&format!("l{n}"), 1, None);
    }
    let adjusted = stock.stock.decide_adjust(location("one-more"), Bucket::OnHand, 1, label("r"), None);
    assert_eq!(stock.stock.decide_set(location("more"), Quantity::new(1), None, None, None), Err(Rejection::TooMany));
    assert_eq!(adjusted, Err(Rejection::TooMany));
}

#[test]
fn a_demand_takes_from_no_more_locations_than_it_may() {
    let stock = stocked(&[("a", 1, 0), ("b", 2, 0), ("c", 3, 0)]);
    let asked = |units, partial, locations| stock.decide_reserve(&ReserveRequest { locations, ..demand("o", units, partial) });
    let held = |verdict: &ReserveDecision| match verdict {
        ReserveDecision::Held(Some(fact)) => taken(fact).into_iter().map(|(name, units)| (name.to_owned(), units)).collect(),
        other => panic!("not held: {other:?}"),
    };
    let all: Vec<(String, u32)> = held(&asked(6, false, 3));
    assert_eq!(all, [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 3)]);
    let scattered = ReserveDecision::Refused(ReserveRefusal::TooManyLocations { available: 5 });
    assert_eq!(asked(6, false, 2), scattered, "what can be had of two of them");
    assert_eq!(
        asked(7, false, 2),
        ReserveDecision::Refused(ReserveRefusal::Short { available: 6 }),
        "more than there is anywhere"
    );
    assert_eq!(held(&asked(6, true, 2)), [("c".to_owned(), 3), ("b".to_owned(), 2)], "those that have most");
    assert_eq!(held(&asked(5, false, 2)), [("c".to_owned(), 3), ("b".to_owned(), 2)]);
    assert_eq!(held(&asked(3, false, 1)), [("c".to_owned(), 3)], "one that has it all is one");
}

#[derive(Clone, Debug)]
enum Step {
    Set { place: u8, units: u32, safety: Option<u32> },
    Adjust { place: u8, bucket: Bucket, delta: i64 },
    Close { place: u8 },
    Reserve { order: u8, units: u32, partial: bool },
    Op { order: u8, op: HoldOp, step: u32 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let bucket = prop_oneof![Just(Bucket::OnHand), Just(Bucket::Damaged), Just(Bucket::QualityControl)];
    let op = prop_oneof![Just(HoldOp::Pin), Just(HoldOp::Unpin), Just(HoldOp::Commit), Just(RELEASE), Just(EXPIRE)];
    prop_oneof![
        1 => (0u8..3, 0u32..60, proptest::option::of(0u32..9)).prop_map(|(place, units, safety)| Step::Set { place, units, safety }),
        2 => (0u8..3, bucket, -20i64..20).prop_map(|(place, bucket, delta)| Step::Adjust { place, bucket, delta }),
        1 => (0u8..3).prop_map(|place| Step::Close { place }),
        4 => (0u8..12, 1u32..30, any::<bool>()).prop_map(|(order, units, partial)| Step::Reserve { order, units, partial }),
        6 => (0u8..12, op, 1u32..9).prop_map(|(order, op, step)| Step::Op { order, op, step }),
    ]
}

fn decide(stock: &OneSku, step: &Step) -> Option<StockFact> {
    let place = |n: &u8| location(["a", "b", "c"][usize::from(*n)]);
    match step {
        Step::Set { place: n, units, safety } => {
            stock.stock.decide_set(place(n), Quantity::new(*units), safety.map(Quantity::new), Some(u16::from(*n) % 2), None).ok()
        }
        Step::Adjust { place: n, bucket, delta } => stock.stock.decide_adjust(place(n), *bucket, *delta, label("r"), None).ok(),
        Step::Close { place: n } => stock.stock.decide_close(place(n), None).ok(),
        Step::Reserve { order, units, partial } => match stock.decide_reserve(&demand(&order.to_string(), *units, *partial)) {
            ReserveDecision::Held(fact) => fact,
            ReserveDecision::Refused(_) => None,
        },
        Step::Op { order, op, step } => match stock.decide_op(key(&order.to_string()), *step, *op) {
            HoldDecision::Do(fact) => Some(fact),
            HoldDecision::Done | HoldDecision::Impossible => None,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_sequence_keeps_every_location_balanced_and_movements_sum_to_the_buckets(steps in proptest::collection::vec(any_step(), 1..120)) {
        let one = Partitions::new(1).unwrap();
        let mut partition = Partition::new(PartitionId(0), one, Causality::OneLog, Policy::default());
        let mut audit = Audit::default();
        let mut movements = 0;
        for step in steps {
            let stock = OneSku::of(&partition);
            let Some(fact) = decide(&stock, &step) else { continue };
            movements += moves(&stock, &fact);
            let record = Record { seq: partition.seq() + 1, at: Timestamp::ZERO, event: Event::Stock { sku: sku("A"), fact } };
            audit.add(PartitionId(0), &record);
            partition.apply(record);
            let OneSku { stock, holds } = OneSku::of(&partition);
            prop_assert!(stock.locations.iter().all(|place| place.buckets.balanced()));
            prop_assert_eq!(stock.version, movements);
            let held: u64 = holds.values().filter(|hold| hold.live()).flat_map(|hold| &hold.allocations).map(units).sum();
            let counted = stock.locations.iter().map(|place| u64::from(place.buckets.held.units()) + u64::from(place.buckets.pinned.units()));
            prop_assert_eq!(held, counted.sum::<u64>());
        }
        prop_assert_eq!(invariants::check(std::slice::from_ref(&partition)), Vec::<String>::new());
        prop_assert_eq!(audit.finish(std::slice::from_ref(&partition)).1, Vec::<String>::new());
    }
}

fn units(allocation: &Allocation) -> u64 {
    u64::from(allocation.quantity.units())
}

/// Locations a fact moves, counted without the engine's version.
fn moves(stock: &OneSku, fact: &StockFact) -> u64 {
    match fact {
        StockFact::Set { .. } | StockFact::Adjusted { .. } | StockFact::ThresholdSet { .. } => 1,
        StockFact::LocationClosed { .. } => 1,
        StockFact::HoldPlaced { allocations, .. } => allocations.len() as u64,
        StockFact::HoldPinned { hold, .. } | StockFact::HoldUnpinned { hold, .. } => stock.holds[hold].allocations.len() as u64,
        StockFact::HoldCommitted { hold, .. } | StockFact::HoldReleased { hold, .. } => {
            stock.holds[hold].allocations.len() as u64
        }
        StockFact::HoldForbidden { .. } | StockFact::LevelCrossed { .. } => 0,
    }
}
