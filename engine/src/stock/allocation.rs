//! Which locations give the units of a hold.
//!
//! Rule: one location that has them all, the first by priority and name; if there is none, split in that order.

use crate::event::Allocation;
use crate::quantity::Quantity;
use crate::stock::LocationStock;
use std::cmp::Reverse;

/// `stocks` are in order of allocation and have `quantity` available between them.
pub(super) fn allocate(stocks: &[LocationStock], quantity: Quantity) -> Vec<Allocation> {
    let whole = stocks.iter().find(|place| place.available() >= quantity);
    if let Some(place) = whole {
        return vec![Allocation { location: place.name.clone(), quantity }];
    }
    take(stocks.iter(), quantity)
}

/// As [`allocate`], from at most so many locations: those with most, as many units as they have.
pub(super) fn allocate_from_few(stocks: &[LocationStock], quantity: Quantity, locations: usize) -> Vec<Allocation> {
    let mut largest: Vec<&LocationStock> = stocks.iter().collect();
    // Stable: of equal ones the first in order of allocation.
    largest.sort_by_key(|place| Reverse(place.available()));
    take(largest.into_iter().take(locations), quantity)
}

/// What these locations give, one after the other.
fn take<'a>(stocks: impl Iterator<Item = &'a LocationStock>, quantity: Quantity) -> Vec<Allocation> {
    let mut missing = quantity;
    let mut allocations = Vec::new();
    for place in stocks {
        let taken = place.available().min(missing);
        if !taken.is_zero() {
            allocations.push(Allocation { location: place.name.clone(), quantity: taken });
            missing = missing.saturating_sub(taken);
        }
    }
    allocations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Buckets;
    use crate::ids::Location;

    fn stocked(name: &str, on_hand: u32) -> LocationStock {
        let buckets = Buckets { on_hand: Quantity::new(on_hand), ..Buckets::default() };
        LocationStock { name: Location::new(name).unwrap(), priority: 0, buckets }
    }

    fn taken(stocks: &[LocationStock], quantity: u32) -> Vec<(String, u32)> {
        let all = allocate(stocks, Quantity::new(quantity));
        all.iter().map(|a| (a.location.to_string(), a.quantity.units())).collect()
    }

    #[test]
    fn one_location_that_has_it_all_goes_before_a_split() {
        let stocks = [stocked("a", 2), stocked("b", 5), stocked("c", 9)];
        assert_eq!(taken(&stocks, 2), [("a".to_owned(), 2)]);
        assert_eq!(taken(&stocks, 3), [("b".to_owned(), 3)]);
        assert_eq!(taken(&stocks, 6), [("c".to_owned(), 6)]);
    }

    #[test]
    fn a_split_over_few_locations_takes_those_that_have_most() {
        let stocks = [stocked("a", 1), stocked("b", 1), stocked("c", 100), stocked("d", 1)];
        let few = |quantity, locations| {
            let all = allocate_from_few(&stocks, Quantity::new(quantity), locations);
            all.iter().map(|a| (a.location.to_string(), a.quantity.units())).collect::<Vec<_>>()
        };
        assert_eq!(few(101, 2), [("c".to_owned(), 100), ("a".to_owned(), 1)]);
        assert_eq!(few(103, 2), [("c".to_owned(), 100), ("a".to_owned(), 1)], "as many as they have");
    }

    #[test]
    fn a_split_goes_in_order_of_places() {
        let stocks = [stocked("a", 2), stocked("b", 5), stocked("c", 3)];
        assert_eq!(taken(&stocks, 9), [("a".to_owned(), 2), ("b".to_owned(), 5), ("c".to_owned(), 2)]);
    }
}
