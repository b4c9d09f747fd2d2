//! Which locations give the units of a hold.
//!
//! Rule: one location that has them all, the first by priority and name; if there is none, split in that order.

use crate::event::Allocation;
use crate::quantity::Quantity;
use crate::stock::Place;
use std::cmp::Reverse;

/// `places` are in order of allocation and have `quantity` available between them.
pub(super) fn allocate(places: &[Place], quantity: Quantity) -> Vec<Allocation> {
    let whole = places.iter().find(|place| place.buckets.available() >= quantity);
    if let Some(place) = whole {
        return vec![Allocation { location: place.name.clone(), quantity }];
    }
    split(places, quantity)
}

/// As [`allocate`], from at most so many locations: those with most, as many units as they have.
pub(super) fn allocate_from_few(places: &[Place], quantity: Quantity, locations: usize) -> Vec<Allocation> {
    let mut largest: Vec<&Place> = places.iter().collect();
    // Stable: of equal ones the first in order of allocation.
    largest.sort_by_key(|place| Reverse(place.buckets.available()));
    take(largest.into_iter().take(locations), quantity).0
}

fn split(places: &[Place], quantity: Quantity) -> Vec<Allocation> {
    let (mut allocations, missing) = take(places.iter(), quantity);
    if let (Some(first), false) = (allocations.first_mut().or(None), missing.is_zero()) {
        // Only a planted bug asks for more than there is.
        first.quantity = Quantity(first.quantity.0 + missing.0);
    }
    allocations
}

/// What these locations give, one after the other, and what is missing then.
fn take<'a>(places: impl Iterator<Item = &'a Place>, quantity: Quantity) -> (Vec<Allocation>, Quantity) {
    let mut missing = quantity;
    let mut allocations = Vec::new();
    for place in places {
        let taken = place.buckets.available().min(missing);
        if !taken.is_zero() {
            allocations.push(Allocation { location: place.name.clone(), quantity: taken });
            missing = missing.beyond(taken);
        }
    }
    (allocations, missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Buckets;
    use crate::ids::Location;

    fn place(name: &str, on_hand: u32) -> Place {
        let buckets = Buckets { on_hand: Quantity(on_hand), ..Buckets::default() };
        Place { name: Location::new(name).unwrap(), priority: 0, buckets }
    }

    fn taken(places: &[Place], quantity: u32) -> Vec<(String, u32)> {
        let all = allocate(places, Quantity(quantity));
        all.iter().map(|a| (a.location.to_string(), a.quantity.0)).collect()
    }

    #[test]
    fn one_location_that_has_it_all_goes_before_a_split() {
        let places = [place("a", 2), place("b", 5), place("c", 9)];
        assert_eq!(taken(&places, 2), [("a".to_owned(), 2)]);
        assert_eq!(taken(&places, 3), [("b".to_owned(), 3)]);
        assert_eq!(taken(&places, 6), [("c".to_owned(), 6)]);
    }

    #[test]
    fn a_split_over_few_locations_takes_those_that_have_most() {
        let places = [place("a", 1), place("b", 1), place("c", 100), place("d", 1)];
        let few = |quantity, locations| {
            let all = allocate_from_few(&places, Quantity(quantity), locations);
            all.iter().map(|a| (a.location.to_string(), a.quantity.0)).collect::<Vec<_>>()
        };
        assert_eq!(few(101, 2), [("c".to_owned(), 100), ("a".to_owned(), 1)]);
        assert_eq!(few(103, 2), [("c".to_owned(), 100), ("a".to_owned(), 1)], "as many as they have");
    }

    #[test]
    fn a_split_goes_in_order_of_places() {
        let places = [place("a", 2), place("b", 5), place("c", 3)];
        assert_eq!(taken(&places, 9), [("a".to_owned(), 2), ("b".to_owned(), 5), ("c".to_owned(), 2)]);
    }
}
