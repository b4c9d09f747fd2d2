//! The stock of one SKU: buckets per location, and how the holds of orders move them.
//!
//! Invariants: `on_hand ≥ held + pinned + committed + damaged + quality_control` at every location, so available is
//! never negative; held and pinned are the sums of the live holds; each hold is resolved once. `decide_*` reads and
//! refuses, [`SkuStock::evolve`] changes and cannot fail. No hold ends by a timer here: the order decides (see `order`).
//! Holds are kept in a table of the partition: what is decided and changed here has the one hold that it is about beside it.

mod allocation;
mod few;
mod hold;
mod location;
mod planted;

pub use few::Few;
pub use hold::{Hold, HoldDecision, HoldOp, HoldState, ReserveDecision, ReserveRefusal, ReserveRequest};
pub use location::LocationStock;

use crate::event::{Allocation, Bucket, Level, LocationView, StockFact, StockView};
use crate::ids::{HoldKey, Location, Sku};
use crate::limits;
use crate::quantity::Quantity;
use crate::rejection::Rejection;
use serde::{Deserialize, Serialize};

/// Written to snapshots: the order of its fields is frozen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SkuStock {
    pub version: u64,
    pub threshold: Quantity,
    /// Sorted by priority, then name: the order of allocation.
    pub locations: Few<LocationStock>,
}

impl SkuStock {
    pub fn available(&self) -> u64 {
        self.locations.iter().map(|place| u64::from(place.available().units())).sum()
    }

    /// Whether anybody ever stocked this SKU.
    pub fn known(&self) -> bool {
        self.version > 0
    }

    fn location(&self, name: &Location) -> Option<&LocationStock> {
        self.locations.iter().find(|place| place.name == *name)
    }

    pub fn decide_set(
        &self,
        location: Location,
        on_hand: Quantity,
        safety: Option<Quantity>,
        priority: Option<u16>,
        expected: Option<&[u64]>,
    ) -> Result<StockFact, Rejection> {
        let place = self.location(&location);
        self.expect(expected, place.is_none())?;
        let before = place.map(|place| place.buckets).unwrap_or_default();
        let taken = before.taken();
        if u64::from(on_hand.units()) < taken {
            return Err(Rejection::BelowTaken { taken, count: i64::from(on_hand.units()) });
        }
        if on_hand.units() > limits::MAX_BUCKET || (place.is_none() && self.locations.len() >= limits::MAX_LOCATIONS) {
            return Err(Rejection::TooMany);
        }
        Ok(StockFact::Set {
            safety_stock: safety.unwrap_or(before.safety_target),
            priority: priority.or(place.map(|place| place.priority)).unwrap_or(0),
            delta: i64::from(on_hand.units()) - i64::from(before.on_hand.units()),
            version: self.version + 1,
            location,
            on_hand,
        })
    }

    /// Version 0 stands for a location that is not there yet.
    fn expect(&self, expected: Option<&[u64]>, new: bool) -> Result<(), Rejection> {
        let fits = |version: &u64| if *version == 0 { new } else { *version == self.version };
        let met = expected.is_none_or(|versions| versions.iter().any(fits));
        if met { Ok(()) } else { Err(Rejection::VersionMismatch { current: self.version }) }
    }

    pub fn decide_adjust(
        &self,
        location: Location,
        bucket: Bucket,
        delta: i64,
        reason: crate::ids::Label,
        reference: Option<crate::ids::Label>,
    ) -> Result<StockFact, Rejection> {
        let place = self.location(&location);
        if place.is_none() && !self.known() && delta < 0 {
            return Err(Rejection::NotFound);
        }
        let buckets = place.map(|place| place.buckets).unwrap_or_default();
        let (current, takes_free) = match bucket {
            Bucket::OnHand => (buckets.on_hand, delta.saturating_neg()),
            Bucket::Damaged => (buckets.damaged, delta),
            Bucket::QualityControl => (buckets.quality_control, delta),
        };
        let count = i64::from(current.units()).saturating_add(delta);
        if takes_free > i64::from(buckets.free().units()) {
            return Err(match bucket {
                Bucket::OnHand => Rejection::BelowTaken { taken: buckets.taken(), count },
                Bucket::Damaged | Bucket::QualityControl => Rejection::BelowTaken {
                    taken: buckets.taken().saturating_add(delta.unsigned_abs()),
                    count: i64::from(buckets.on_hand.units()),
                },
            });
        }
        if current.checked_add_signed(delta).is_none() {
            // Nothing is taken of what is damaged or checked: it is counted down to zero.
            return Err(if delta < 0 { Rejection::BelowTaken { taken: 0, count } } else { Rejection::TooMany });
        }
        if place.is_none() && self.locations.len() >= limits::MAX_LOCATIONS {
            return Err(Rejection::TooMany);
        }
        Ok(StockFact::Adjusted { location, bucket, delta, reason, reference, version: self.version + 1 })
    }

    pub fn decide_threshold(&self, threshold: Quantity) -> Result<StockFact, Rejection> {
        if !self.known() {
            return Err(Rejection::NotFound);
        }
        Ok(StockFact::ThresholdSet { threshold, version: self.version + 1 })
    }

    /// A location that was put in by mistake goes while it counts nothing. Opened again it is a new one.
    pub fn decide_close(&self, location: Location, expected: Option<&[u64]>) -> Result<StockFact, Rejection> {
        let Some(place) = self.location(&location) else { return Err(Rejection::NotFound) };
        self.expect(expected, false)?;
        if !place.buckets.empty() {
            return Err(Rejection::LocationInUse { buckets: place.buckets });
        }
        Ok(StockFact::LocationClosed { location, version: self.version + 1 })
    }

    /// Holds units or says how many there were. A request that was met before is met by the same hold again, which is `known`.
    pub fn decide_reserve(&self, known: Option<&Hold>, request: &ReserveRequest) -> ReserveDecision {
        planted::reserve(self, known, request).unwrap_or_else(|| self.reserve(known, request))
    }

    fn reserve(&self, known: Option<&Hold>, request: &ReserveRequest) -> ReserveDecision {
        if let Some(hold) = known {
            let refused = ReserveRefusal::Short { available: self.available() };
            return if hold.live() { ReserveDecision::Held(None) } else { ReserveDecision::Refused(refused) };
        }
        if !self.known() {
            return ReserveDecision::Refused(ReserveRefusal::Unknown);
        }
        let available = self.available();
        let wanted = u64::from(request.quantity.units());
        let short = available < wanted;
        if short && (!request.partial || available == 0) {
            return ReserveDecision::Refused(ReserveRefusal::Short { available });
        }
        let quantity = if short { Quantity::of(available) } else { request.quantity };
        let mut allocations = allocation::allocate(self.locations.as_slice(), quantity);
        if allocations.len() > request.locations {
            allocations = allocation::allocate_from_few(self.locations.as_slice(), quantity, request.locations);
            let available = allocations.iter().map(|allocation| u64::from(allocation.quantity.units())).sum();
            if available < u64::from(quantity.units()) && !request.partial {
                return ReserveDecision::Refused(ReserveRefusal::TooManyLocations { available });
            }
        }
        let version = self.version_after(&allocations);
        let ReserveRequest { hold, order_version, probe_at, .. } = *request;
        ReserveDecision::Held(Some(StockFact::HoldPlaced { hold, order_version, allocations, probe_at, version }))
    }

    /// What an order wants done with its hold, which is `found`.
    pub fn decide_op(&self, found: Option<&Hold>, hold: HoldKey, order_version: u32, op: HoldOp) -> HoldDecision {
        planted::op(self, found, hold, op).unwrap_or_else(|| self.op(found, hold, order_version, op))
    }

    fn op(&self, found: Option<&Hold>, hold: HoldKey, order_version: u32, op: HoldOp) -> HoldDecision {
        let Some(found) = found else {
            return match op {
                HoldOp::Release(_) => HoldDecision::Do(StockFact::HoldForbidden { hold }),
                HoldOp::Pin | HoldOp::Unpin => HoldDecision::Done,
                HoldOp::Commit => HoldDecision::Impossible,
            };
        };
        let version = self.version_after(found.allocations.as_slice());
        let allocations = found.allocations.as_slice().to_vec();
        let overtaken = order_version < found.order_version;
        match (op, found.state) {
            (HoldOp::Pin, HoldState::Held) if !overtaken => {
                HoldDecision::Do(StockFact::HoldPinned { hold, order_version, allocations, version })
            }
            (HoldOp::Unpin, HoldState::Pinned) if !overtaken => {
                HoldDecision::Do(StockFact::HoldUnpinned { hold, order_version, allocations, version })
            }
            (HoldOp::Commit, HoldState::Held | HoldState::Pinned) => {
                HoldDecision::Do(StockFact::HoldCommitted { hold, allocations, version })
            }
            (HoldOp::Commit, HoldState::Released) => HoldDecision::Impossible,
            (HoldOp::Release(cause), HoldState::Held | HoldState::Pinned) => {
                HoldDecision::Do(StockFact::HoldReleased { hold, cause, allocations, version })
            }
            (HoldOp::Pin | HoldOp::Unpin | HoldOp::Release(_), _) | (HoldOp::Commit, HoldState::Committed) => HoldDecision::Done,
        }
    }

    /// A hold moves each of its locations once.
    fn version_after(&self, allocations: &[Allocation]) -> u64 {
        self.version + allocations.len() as u64
    }

    /// `None` as long as nobody stocked it.
    pub fn level(&self) -> Option<Level> {
        self.known().then(|| Level::of(self.available(), self.threshold))
    }

    /// The fact that the level is another one than `before`, whatever moved it: units or the threshold. Whoever follows the
    /// facts learns the level of a new SKU from its first fact.
    pub fn crossing(&self, before: Level) -> Option<StockFact> {
        let available = self.available();
        let level = Level::of(available, self.threshold);
        (before != level).then_some(StockFact::LevelCrossed { level, available })
    }

    /// `hold` is the one that the fact is of, `None` where there is none yet.
    ///
    /// # Panics
    /// At a fact that no decision made: units that are not there, a hold that is none.
    pub fn evolve(&mut self, fact: &StockFact, hold: &mut Option<Hold>) {
        match fact {
            StockFact::Set { location, on_hand, safety_stock, priority, version, .. } => {
                self.location_mut(location, Some(*priority)).set(*on_hand, *safety_stock);
                self.version = *version;
            }
            StockFact::Adjusted { location, bucket, delta, version, .. } => {
                self.location_mut(location, None).adjust(*bucket, *delta);
                self.version = *version;
            }
            StockFact::ThresholdSet { threshold, version } => {
                self.threshold = *threshold;
                self.version = *version;
            }
            StockFact::HoldPlaced { hold: key, order_version, allocations, probe_at, version } => {
                self.shift(allocations, None, HoldState::Held);
                let (state, order_version, probe_at) = (HoldState::Held, *order_version, *probe_at);
                let allocations = allocations.as_slice().into();
                place(*key, Hold { state, order_version, allocations, probe_at }, hold);
                self.version = *version;
            }
            StockFact::HoldPinned { hold: key, order_version, version, .. } => {
                self.transition((*key, hold), HoldState::Pinned, Some(*order_version), *version)
            }
            StockFact::HoldUnpinned { hold: key, order_version, version, .. } => {
                self.transition((*key, hold), HoldState::Held, Some(*order_version), *version)
            }
            StockFact::HoldCommitted { hold: key, version, .. } => {
                self.transition((*key, hold), HoldState::Committed, None, *version)
            }
            StockFact::HoldReleased { hold: key, version, .. } => {
                self.transition((*key, hold), HoldState::Released, None, *version)
            }
            StockFact::HoldForbidden { hold: key } => place(*key, Hold::forbidden(), hold),
            StockFact::LevelCrossed { .. } => {}
            StockFact::LocationClosed { location, version } => {
                let gone =
                    self.locations.iter().position(|place| place.name == *location).map(|index| self.locations.remove(index));
                assert!(gone.is_none_or(|gone| gone.buckets.empty()), "{location} was closed and counted units");
                self.version = *version;
            }
        }
    }

    fn transition(
        &mut self,
        (key, hold): (HoldKey, &mut Option<Hold>),
        next: HoldState,
        order_version: Option<u32>,
        version: u64,
    ) {
        let Some(hold) = hold else { unreachable!("a fact moves a hold that no fact placed: {key:?}") };
        self.shift(hold.allocations.as_slice(), Some(hold.state), next);
        self.version = version;
        hold.state = next;
        hold.order_version = order_version.unwrap_or(hold.order_version);
    }

    /// The units of a hold go from the bucket of one state to that of the next.
    fn shift(&mut self, allocations: &[Allocation], from: Option<HoldState>, to: HoldState) {
        for Allocation { location, quantity } in allocations {
            if let Some(place) = self.locations.as_mut_slice().iter_mut().find(|place| place.name == *location) {
                place.transition(from, to, *quantity);
            }
        }
    }

    fn location_mut(&mut self, name: &Location, priority: Option<u16>) -> &mut LocationStock {
        let found = self.locations.iter().position(|place| place.name == *name);
        if let Some(index) = found
            && priority.is_none_or(|priority| priority == self.locations[index].priority)
        {
            return &mut self.locations[index];
        }
        let mut place = found.map_or_else(|| LocationStock::open(name.clone()), |index| self.locations.remove(index));
        place.priority = priority.unwrap_or(place.priority);
        let rank = |place: &LocationStock| (place.priority, place.name.clone());
        let index = self.locations.as_slice().partition_point(|other| rank(other) < rank(&place));
        self.locations.insert(index, place);
        &mut self.locations[index]
    }

    pub fn view(&self, sku: &Sku) -> StockView {
        let locations = self.locations.iter().map(|place| LocationView {
            location: place.name.clone(),
            priority: place.priority,
            buckets: place.buckets,
        });
        StockView { sku: sku.clone(), version: self.version, low_stock_threshold: self.threshold, locations: locations.collect() }
    }
}

fn place(key: HoldKey, new: Hold, hold: &mut Option<Hold>) {
    assert!(hold.is_none(), "a fact makes a hold that is there: {key:?}");
    *hold = Some(new);
}
