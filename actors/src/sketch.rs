//! Which SKUs orders are for most, by a few counters: the space-saving sketch.
//!
//! Invariants: memory does not grow with SKUs; a count is never too low, and too high by at most the part of all that one counter has.

use foldhash::fast::RandomState;
use holdfast_engine::ids::Sku;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Counters of a sketch: the error of a count is at most one in so many of all.
pub const COUNTERS: usize = 256;
/// Of so many orders one is looked at.
const EVERY: u32 = 8;
/// SKUs that are shown.
const SHOWN: usize = 20;

/// A SKU with how many of the orders looked at were for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hot {
    pub sku: Sku,
    pub count: u64,
}

/// The SKUs of a while, the hottest first, out of so many lines of orders that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HotSkus {
    pub all: u64,
    pub first: Vec<Hot>,
}

#[derive(Debug, Default)]
pub struct Sketch {
    /// The counter of each SKU that has one.
    index: HashMap<Sku, usize, RandomState>,
    counters: Vec<Hot>,
    all: u64,
    orders: u32,
}

impl Sketch {
    /// Counts the SKUs of an order, of one in [`EVERY`].
    pub fn placed<'a>(&mut self, skus: impl Iterator<Item = &'a Sku>) {
        self.orders = (self.orders + 1) % EVERY;
        if self.orders == 0 {
            skus.for_each(|sku| self.count(sku));
        }
    }

    /// A SKU without a counter takes over the lowest one.
    fn count(&mut self, sku: &Sku) {
        self.all += 1;
        if let Some(at) = self.index.get(sku) {
            self.counters[*at].count += 1;
            return;
        }
        if self.counters.len() < COUNTERS {
            self.index.insert(sku.clone(), self.counters.len());
            return self.counters.push(Hot { sku: sku.clone(), count: 1 });
        }
        let lowest = self.counters.iter().enumerate().min_by_key(|(_, hot)| hot.count).map(|(at, _)| at);
        let Some(at) = lowest else { return };
        let counter = &mut self.counters[at];
        let before = std::mem::replace(&mut counter.sku, sku.clone());
        counter.count += 1;
        self.index.remove(&before);
        if let Entry::Vacant(place) = self.index.entry(sku.clone()) {
            place.insert(at);
        }
    }

    /// What was counted since the last time.
    pub fn take(&mut self) -> HotSkus {
        let mut first = std::mem::take(&mut self.counters);
        self.index.clear();
        first.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.sku.cmp(&other.sku)));
        first.truncate(SHOWN);
        HotSkus { all: std::mem::take(&mut self.all), first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sku(number: u32) -> Sku {
        Sku::new(&format!("S{number}")).unwrap()
    }

    proptest! {
        #[test]
        fn a_count_is_never_too_low_and_too_high_by_at_most_one_part_of_all(
            counted in prop::collection::vec(prop_oneof![0_u32..8, 0_u32..2_000], 1..4_000),
        ) {
            let (mut sketch, mut exact) = (Sketch::default(), BTreeMap::<u32, u64>::new());
            for number in &counted {
                sketch.count(&sku(*number));
                *exact.entry(*number).or_default() += 1;
            }
            let all = counted.len() as u64;
            prop_assert_eq!(sketch.all, all);
            prop_assert!(sketch.counters.len() <= COUNTERS && sketch.index.len() == sketch.counters.len());
            let most = all / COUNTERS as u64;
            for (number, count) in exact {
                match sketch.index.get(&sku(number)) {
                    Some(at) => {
                        let shown = sketch.counters[*at].count;
                        prop_assert!(shown >= count && shown - count <= most, "{} is {}, counted {}", number, shown, count);
                    }
                    None => prop_assert!(count <= most, "{} of {} has no counter", number, count),
                }
            }
        }
    }

    #[test]
    fn one_order_in_eight_is_looked_at_and_what_was_taken_is_not_counted_again() {
        let (mut sketch, hot, cold) = (Sketch::default(), sku(1), sku(2));
        for order in 0..80 {
            sketch.placed([&hot].into_iter().chain((order >= 40).then_some(&cold)));
        }
        let taken = sketch.take();
        let shown: Vec<_> = taken.first.iter().map(|hot| (hot.sku.as_str(), hot.count)).collect();
        assert_eq!((taken.all, shown), (15, vec![("S1", 10), ("S2", 5)]));
        assert_eq!(sketch.take(), HotSkus::default());
    }
}
