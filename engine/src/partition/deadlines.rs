//! Deadlines of a partition in slots of 16 ms: arming is a push, firing takes a whole slot.
//!
//! Invariant: a timer fires after its time, at most one slot late, never before.

use super::holds::HoldRef;
use crate::Map;
use crate::ids::OrderId;
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::hash_map::Entry;

const SLOT_MS: u64 = 16;

/// Number of a slot of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(u64);

impl Slot {
    pub(super) const NEVER: Slot = Slot(u64::MAX);

    /// The first slot that begins at or after `at`.
    pub(super) fn after(at: Timestamp) -> Self {
        Self(at.millis().div_ceil(SLOT_MS))
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
        let due = self.orders.due.get_mut(&slot);
        due.and_then(|due| due.pop_if(|last| *last == order)).is_some()
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

/// Timers of one kind. Invariant: `slots` has each slot of `due` once, and no other.
#[derive(Debug)]
struct Timers<T> {
    due: Map<Slot, Vec<T>>,
    slots: BinaryHeap<Reverse<Slot>>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { due: Map::default(), slots: BinaryHeap::new() }
    }
}

impl<T> Timers<T> {
    /// Cost: a look-up; for the first timer of a slot that is not behind all others, its way up the heap.
    fn arm(&mut self, slot: Slot, timer: T) {
        match self.due.entry(slot) {
            Entry::Occupied(mut known) => known.get_mut().push(timer),
            Entry::Vacant(new) => {
                new.insert(vec![timer]);
                self.slots.push(Reverse(slot));
            }
        }
    }

    fn first(&self) -> Option<Slot> {
        self.slots.peek().map(|Reverse(slot)| *slot)
    }

    /// What is due in `slot`, if it is the first.
    fn take(&mut self, slot: Slot) -> Vec<T> {
        if self.first() != Some(slot) {
            return Vec::new();
        }
        self.slots.pop();
        self.due.remove(&slot).unwrap_or_default()
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

    proptest! {
        #[test]
        fn slots_come_in_the_order_of_time_with_all_that_was_armed_for_them(
            steps in prop::collection::vec((0_u64..40, any::<bool>()), 0..200)
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
