//! Deadlines of a partition in slots of 16 ms: arming is a push, firing takes a whole slot.
//!
//! Most deadlines are of orders and holds that end long before, and stay until their time has come. So what is far ahead lies in lists, one
//! for each window of 4 s, and is dealt to its slots when the window begins: a timing wheel of two levels (Varghese and Lauck, 1987).
//! Invariant: a timer fires after its time, at most one slot late, never before.

use super::holds::HoldRef;
use crate::Map;
use crate::ids::OrderId;
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};

const SLOT_MS: u64 = 16;
/// Slots of a window: as many as a byte counts.
const WINDOW: u64 = 256;

/// Number of a slot of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(u64);

impl Slot {
    pub(super) const NEVER: Slot = Slot(u64::MAX);

    /// The first slot that begins at or after `at`.
    pub(super) fn after(at: Timestamp) -> Self {
        Self(at.millis().div_ceil(SLOT_MS))
    }

    fn window(self) -> u64 {
        self.0 / WINDOW
    }

    /// Which of its window it is.
    fn offset(self) -> u8 {
        let [offset, ..] = self.0.to_le_bytes();
        offset
    }

    fn of_window(window: u64, offset: u8) -> Self {
        Self(window * WINDOW + u64::from(offset))
    }
}

/// What is due in one slot, in the order it was armed.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// An actor armed anew for another slot ignores the one it left.
    pub(super) orders: Vec<OrderId>,
    /// A hold that is gone by then is passed over.
    pub(super) probes: Vec<HoldRef>,
}

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    orders: Timers<OrderId>,
    probes: Timers<HoldRef>,
}

impl Deadlines {
    pub(super) fn arm_order(&mut self, slot: Slot, order: OrderId) {
        self.orders.arm(slot, order);
    }

    /// Takes back what was armed last for a slot, if it is this. An order that is answered in the turn in which it asked
    /// then has no timer for an answer that is there.
    pub(super) fn disarm(&mut self, slot: Slot, order: OrderId) -> bool {
        self.orders.disarm(slot, order)
    }

    pub(super) fn arm_probe(&mut self, slot: Slot, hold: HoldRef) {
        self.probes.arm(slot, hold);
    }

    /// The earliest slot that has come.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<(Slot, Due)> {
        let slot = self.first().filter(|slot| slot.0 <= now.millis() / SLOT_MS)?;
        Some((slot, Due { orders: self.orders.take(slot), probes: self.probes.take(slot) }))
    }

    /// Cost: a look at two places, whatever is armed.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let at = |slot: Slot| slot.0.checked_mul(SLOT_MS).expect("nothing is due at the end of time");
        self.first().map(|slot| Timestamp::new(at(slot)))
    }

    fn first(&self) -> Option<Slot> {
        match (self.orders.first(), self.probes.first()) {
            (Some(order), Some(probe)) => Some(order.min(probe)),
            (order, probe) => order.or(probe),
        }
    }
}

/// Timers of one kind. Invariants: nothing of `near` is due later than anything of `far`; `slots` has each slot of `near` once, and no
/// other.
#[derive(Debug)]
struct Timers<T> {
    /// Up to the end of this window, by slot.
    near: Map<Slot, Vec<T>>,
    slots: BinaryHeap<Reverse<Slot>>,
    window: u64,
    /// By window.
    far: BTreeMap<u64, Far<T>>,
}

/// The timers of a window that has not begun.
#[derive(Debug)]
struct Far<T> {
    /// Nothing is due before it.
    first: Slot,
    /// With the offsets of their slots.
    timers: Vec<(u8, T)>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { near: Map::default(), slots: BinaryHeap::new(), window: 0, far: BTreeMap::new() }
    }
}

impl<T: PartialEq> Timers<T> {
    /// Cost: a look-up; inside the window that has begun, for the first timer of a slot, its way up the heap.
    fn arm(&mut self, slot: Slot, timer: T) {
        if slot.window() <= self.window {
            return self.arm_near(slot, timer);
        }
        let far = self.far.entry(slot.window()).or_insert_with(|| Far { first: slot, timers: Vec::new() });
        far.first = far.first.min(slot);
        if far.timers.len() == far.timers.capacity() {
            // By a quarter, not by as much again: there are many windows, and each is filled once.
            far.timers.reserve_exact(4 + far.timers.len() / 4);
        }
        far.timers.push((slot.offset(), timer));
    }

    fn arm_near(&mut self, slot: Slot, timer: T) {
        match self.near.entry(slot) {
            Entry::Occupied(mut known) => known.get_mut().push(timer),
            Entry::Vacant(new) => {
                new.insert(vec![timer]);
                self.slots.push(Reverse(slot));
            }
        }
    }

    /// Takes back what was armed last, of its slot or of its window. False if it is not this.
    fn disarm(&mut self, slot: Slot, timer: T) -> bool {
        if let Some(due) = self.near.get_mut(&slot) {
            return due.pop_if(|last| *last == timer).is_some();
        }
        let armed = (slot.offset(), timer);
        self.far.get_mut(&slot.window()).and_then(|far| far.timers.pop_if(|last| *last == armed)).is_some()
    }

    /// No timer is due before.
    fn first(&self) -> Option<Slot> {
        let near = self.slots.peek().map(|Reverse(slot)| *slot);
        near.or_else(|| self.far.first_key_value().map(|(_, far)| far.first))
    }

    /// What is due in `slot`, if it is the first.
    fn take(&mut self, slot: Slot) -> Vec<T> {
        if self.first() != Some(slot) {
            return Vec::new();
        }
        if self.slots.is_empty() {
            self.begin_window();
        }
        if self.slots.peek() != Some(&Reverse(slot)) {
            // All of it was taken back.
            return Vec::new();
        }
        self.slots.pop();
        self.near.remove(&slot).unwrap_or_default()
    }

    /// Deals the next window to its slots.
    fn begin_window(&mut self) {
        let Some((window, far)) = self.far.pop_first() else { return };
        self.window = window;
        far.timers.into_iter().for_each(|(offset, timer)| self.arm_near(Slot::of_window(window, offset), timer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{KeyHash, Partitions};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(byte: u8) -> OrderId {
        OrderId::derive(KeyHash([byte; 16]), Partitions::new(1).unwrap())
    }

    #[test]
    fn a_timer_fires_after_its_time_and_at_most_a_slot_late() {
        for at in [0, 1, 15, 16, 17, 1000] {
            let mut deadlines = Deadlines::default();
            let slot = Slot::after(Timestamp::new(at));
            deadlines.arm_order(slot, id(1));
            let fires = (0..).find(|now| deadlines.due(Timestamp::new(*now)).is_some()).unwrap();
            assert!((at..at + SLOT_MS).contains(&fires), "{at} fired at {fires}");
        }
    }

    #[test]
    fn only_the_timer_armed_last_is_taken_back() {
        let (mut deadlines, slot) = (Deadlines::default(), Slot::after(Timestamp::new(100)));
        [1, 2].into_iter().for_each(|byte| deadlines.arm_order(slot, id(byte)));
        assert!(!deadlines.disarm(slot, id(1)));
        assert!(deadlines.disarm(slot, id(2)));
        assert!(!deadlines.disarm(slot, id(2)));
        assert_eq!(deadlines.due(Timestamp::new(1000)).unwrap().1.orders, [id(1)]);
    }

    #[test]
    fn a_slot_of_which_everything_was_taken_back_has_nothing_due_and_those_behind_it_come() {
        let (first, second) = (Slot(WINDOW * 3 + 1), Slot(WINDOW * 3 + 9));
        let mut timers = Timers::default();
        timers.arm(second, 2);
        timers.arm(first, 1);
        assert!(timers.disarm(first, 1) && !timers.disarm(first, 1));
        assert_eq!(timers.take(first), []);
        assert_eq!((timers.first(), timers.take(second), timers.first()), (Some(second), vec![2], None));
    }

    #[test]
    fn a_timer_that_is_far_ahead_costs_its_place_in_a_list() {
        let mut timers = Timers::default();
        (0..WINDOW).for_each(|at| timers.arm(Slot(WINDOW * 5 + at), id(1)));
        assert!(timers.near.is_empty() && timers.far[&5].timers.capacity() <= WINDOW as usize * 5 / 4 + 4);
        assert_eq!(size_of::<(u8, OrderId)>() + size_of::<(u8, HoldRef)>(), 17 + 12);
    }

    proptest! {
        #[test]
        fn slots_come_in_the_order_of_time_with_all_that_was_armed_for_them(
            steps in prop::collection::vec((0_u64..4 * WINDOW, any::<bool>()), 0..200)
        ) {
            let (mut timers, mut model) = (Timers::default(), BTreeMap::<Slot, Vec<u64>>::new());
            for (number, (slot, armed)) in (0..).zip(&steps) {
                if *armed {
                    timers.arm(Slot(*slot), number);
                    model.entry(Slot(*slot)).or_default().push(number);
                } else if let Some((slot, due)) = model.pop_first() {
                    prop_assert_eq!(timers.take(slot), due);
                }
                prop_assert_eq!(timers.first(), model.first_key_value().map(|(slot, _)| *slot));
            }
        }
    }
}
