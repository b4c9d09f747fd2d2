//! The book of one SKU: buckets summed from movements, and the stage of every hold there ever was.

use super::levels::{self, Follower, Shown};
use super::{Checked, require};
use holdfast_engine::event::{Allocation, Bucket, StockFact};
use holdfast_engine::ids::{HoldKey, Location, Seq, Sku};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Held,
    Pinned,
    Committed,
    Released,
}

impl Stage {
    pub(crate) fn live(self) -> bool {
        matches!(self, Stage::Held | Stage::Pinned)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct HoldBook {
    pub stage: Stage,
    pub allocations: Vec<Allocation>,
    /// Highest order_version of the order seen: an overtaken order_version moves nothing.
    pub order_version: u32,
    /// The record that placed or forbade it.
    pub placed: Seq,
    /// It was committed or released before, under the same name.
    pub resolved: bool,
}

/// Sums of one location. Signed, so that a negative one is seen and not wrapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub on_hand: i64,
    pub held: i64,
    pub pinned: i64,
    pub committed: i64,
    pub damaged: i64,
    pub quality_control: i64,
    pub safety: i64,
}

impl Sums {
    fn free(&self) -> i64 {
        self.on_hand - self.held - self.pinned - self.committed - self.damaged - self.quality_control
    }

    fn stage(&mut self, stage: Stage) -> Option<&mut i64> {
        match stage {
            Stage::Held => Some(&mut self.held),
            Stage::Pinned => Some(&mut self.pinned),
            Stage::Committed => Some(&mut self.committed),
            Stage::Released => None,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct SkuBook {
    pub version: u64,
    pub places: BTreeMap<Location, Sums>,
    pub holds: BTreeMap<HoldKey, HoldBook>,
    /// What a reader of each version must be shown, as a hash.
    pub views: BTreeMap<u64, u64>,
    /// What whoever follows the events knows at each version.
    pub followed: BTreeMap<u64, Shown>,
    follower: Follower,
    threshold: u64,
}

impl SkuBook {
    pub(crate) fn available(&self) -> u64 {
        let of = |sums: &Sums| (sums.free() - sums.safety).max(0).unsigned_abs();
        self.places.values().map(of).sum()
    }

    /// Sums over all locations: held, pinned.
    pub(crate) fn held(&self) -> i64 {
        self.places.values().map(|sums| sums.held + sums.pinned).sum()
    }

    pub(super) fn add(&mut self, sku: &Sku, seq: Seq, fact: &StockFact) -> Checked {
        if !matches!(fact, StockFact::LevelCrossed { .. }) {
            self.level_is_known(sku)?;
        }
        self.names_its_units(sku, fact)?;
        let movements = self.move_units(sku, seq, fact)?;
        if let Some((version, count)) = movements {
            require(version == self.version + count, "I3 movements are numbered", || {
                format!("{sku} went from movement {} to {version} by {count}", self.version)
            })?;
            self.version = version;
            self.views.insert(version, self.view());
        }
        self.follower.hear(sku, fact)?;
        self.followed.extend(self.follower.known().map(|known| (self.version, known)));
        for (place, sums) in &self.places {
            let all = [sums.on_hand, sums.held, sums.pinned, sums.committed, sums.damaged, sums.quality_control, sums.free()];
            require(all.iter().all(|units| *units >= 0), "I1 no unit is sold twice", || {
                format!("{sku} at {place} has {sums:?} after {fact:?}")
            })?;
        }
        Ok(())
    }

    /// The events up to here tell whether the SKU is in stock and whether it is low.
    pub(crate) fn level_is_known(&self, sku: &Sku) -> Checked {
        let (known, is) = (self.follower.known(), Shown::new(self.available(), self.threshold));
        require(self.version == 0 || known == Some(is), levels::RULE, || {
            format!("{sku} is {is:?} at version {}, its events tell {known:?}", self.version)
        })
    }

    /// Version after the movements of the fact, and how many they are.
    fn move_units(&mut self, sku: &Sku, seq: Seq, fact: &StockFact) -> Result<Option<(u64, u64)>, super::Breach> {
        Ok(match fact {
            StockFact::Set { location, on_hand, safety_stock, delta, version, .. } => {
                let sums = self.places.entry(location.clone()).or_default();
                sums.on_hand += delta;
                sums.safety = i64::from(safety_stock.units());
                let agrees = sums.on_hand == i64::from(on_hand.units());
                require(agrees, "I3 sums of movements", || format!("{sku}: {fact:?} makes {sums:?}"))?;
                Some((*version, 1))
            }
            StockFact::Adjusted { location, bucket, delta, version, .. } => {
                let sums = self.places.entry(location.clone()).or_default();
                match bucket {
                    Bucket::OnHand => sums.on_hand += delta,
                    Bucket::Damaged => sums.damaged += delta,
                    Bucket::QualityControl => sums.quality_control += delta,
                }
                Some((*version, 1))
            }
            StockFact::ThresholdSet { threshold, version } => {
                self.threshold = u64::from(threshold.units());
                Some((*version, 1))
            }
            StockFact::HoldPlaced { hold, order_version, allocations, version, .. } => {
                self.place(sku, (*hold, seq, *order_version), allocations)?;
                Some((*version, allocations.len() as u64))
            }
            StockFact::HoldPinned { hold, order_version, version, .. } => {
                self.in_order(sku, *hold, *order_version)?;
                Some((*version, self.turn(sku, *hold, Stage::Pinned)?))
            }
            StockFact::HoldUnpinned { hold, order_version, version, .. } => {
                self.in_order(sku, *hold, *order_version)?;
                Some((*version, self.turn(sku, *hold, Stage::Held)?))
            }
            StockFact::HoldCommitted { hold, version, .. } => Some((*version, self.turn(sku, *hold, Stage::Committed)?)),
            StockFact::HoldReleased { hold, version, .. } => Some((*version, self.turn(sku, *hold, Stage::Released)?)),
            StockFact::HoldForbidden { hold, .. } => {
                let resolved = self.holds.contains_key(hold);
                self.holds.insert(
                    *hold,
                    HoldBook { stage: Stage::Released, allocations: Vec::new(), order_version: 0, placed: seq, resolved },
                );
                None
            }
            StockFact::LevelCrossed { available, .. } => {
                let agrees = *available == self.available();
                require(agrees, "I2 available is derived", || format!("{sku} says {fact:?}, the books {}", self.available()))?;
                None
            }
            StockFact::LocationClosed { location, version } => {
                let sums = self.places.remove(location);
                let empty = sums.is_some_and(|sums| Sums { safety: 0, ..sums } == Sums::default());
                require(empty, "I3 only an empty location closes", || format!("{sku}: {fact:?} of {sums:?}"))?;
                Some((*version, 1))
            }
        })
    }

    fn place(&mut self, sku: &Sku, (hold, placed, order_version): (HoldKey, Seq, u32), allocations: &[Allocation]) -> Checked {
        for allocation in allocations {
            self.places.entry(allocation.location.clone()).or_default().held += i64::from(allocation.quantity.units());
        }
        let book = HoldBook { stage: Stage::Held, allocations: allocations.to_vec(), order_version, placed, resolved: false };
        let before = self.holds.insert(hold, book);
        let live = before.as_ref().is_some_and(|hold| hold.stage.live());
        if let (Some(_), Some(book)) = (&before, self.holds.get_mut(&hold)) {
            book.resolved = true;
        }
        require(!live, "I4 held once", || format!("order {} holds {sku} twice", hold.order))
    }

    /// A fact that moves a hold names the units the hold was placed with.
    fn names_its_units(&self, sku: &Sku, fact: &StockFact) -> Checked {
        let (StockFact::HoldPinned { hold, allocations, .. }
        | StockFact::HoldUnpinned { hold, allocations, .. }
        | StockFact::HoldCommitted { hold, allocations, .. }
        | StockFact::HoldReleased { hold, allocations, .. }) = fact
        else {
            return Ok(());
        };
        let placed = self.holds.get(hold).map(|book| book.allocations.as_slice());
        require(placed == Some(allocations), "I3 movements name their units", || {
            format!("{sku}: {fact:?} of a hold with {placed:?}")
        })
    }

    /// A pin that was overtaken by an unpin, or the other way round, is none.
    fn in_order(&mut self, sku: &Sku, hold: HoldKey, order_version: u32) -> Checked {
        let Some(book) = self.holds.get_mut(&hold) else { return Ok(()) };
        let last = std::mem::replace(&mut book.order_version, order_version);
        require(last <= order_version, "I4 an overtaken order_version moves nothing", || {
            format!("the hold of order {} on {sku} followed order_version {order_version} after {last}", hold.order)
        })
    }

    fn turn(&mut self, sku: &Sku, hold: HoldKey, next: Stage) -> Result<u64, super::Breach> {
        let Some(book) = self.holds.get_mut(&hold) else {
            return Err(super::Breach::new(
                "I4 a hold ends once",
                format!("{sku} moved a hold of {} it never placed", hold.order),
            ));
        };
        let stage = std::mem::replace(&mut book.stage, next);
        let committed_again = next == Stage::Committed && book.resolved;
        require(stage.live() && !committed_again, "I4 a hold ends once", || {
            format!(
                "the hold of order {} on {sku} was {stage:?} (resolved before: {}) and became {next:?}",
                hold.order, book.resolved
            )
        })?;
        for Allocation { location, quantity } in &book.allocations {
            let sums = self.places.entry(location.clone()).or_default();
            sums.stage(stage).into_iter().for_each(|bucket| *bucket -= i64::from(quantity.units()));
            sums.stage(next).into_iter().for_each(|bucket| *bucket += i64::from(quantity.units()));
        }
        Ok(book.allocations.len() as u64)
    }

    fn view(&self) -> u64 {
        let rows = self
            .places
            .iter()
            .map(|(place, s)| row(place, [s.on_hand, s.held, s.pinned, s.committed, s.damaged, s.quality_control, s.safety]));
        rows.fold(0, u64::wrapping_add)
    }
}

/// Hash of one location as a reader sees it; rows are added up, so their order does not matter.
pub(crate) fn row(place: &Location, buckets: [i64; 7]) -> u64 {
    let mut bytes = place.as_str().as_bytes().to_vec();
    buckets.iter().for_each(|units| bytes.extend_from_slice(&units.to_le_bytes()));
    xxh3_64(&bytes)
}
