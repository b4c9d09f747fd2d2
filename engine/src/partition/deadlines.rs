//! Deadlines of a partition in slots of 16 ms: arming is a push, firing takes a whole slot.
//!
//! Invariant: a timer fires after its time, at most one slot late, never before.

use crate::ids::{HoldKey, OrderId, Sku};
use crate::time::Timestamp;
use std::collections::BTreeMap;

const SLOT_MS: u64 = 16;

/// Number of a slot of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    pub(super) probes: Vec<(Sku, HoldKey)>,
}

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    slots: BTreeMap<Slot, Due>,
}

impl Deadlines {
    pub(super) fn arm_order(&mut self, slot: Slot, order: OrderId) {
        self.slots.entry(slot).or_default().orders.push(order);
    }

    /// Takes back what was armed last for a slot, if it is this. An order that is answered in the turn in which it asked
    /// then has no timer for an answer that is there.
    pub(super) fn disarm(&mut self, slot: Slot, order: OrderId) -> bool {
        let due = self.slots.get_mut(&slot);
        due.and_then(|due| due.orders.pop_if(|last| *last == order)).is_some()
    }

    pub(super) fn arm_probe(&mut self, slot: Slot, sku: Sku, hold: HoldKey) {
        self.slots.entry(slot).or_default().probes.push((sku, hold));
    }

    /// The earliest slot that has come.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<(Slot, Due)> {
        let entry = self.slots.first_entry()?;
        (entry.key().0 <= now.millis() / SLOT_MS).then(|| entry.remove_entry())
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        let at = |slot: &Slot| slot.0.checked_mul(SLOT_MS).expect("nothing is due at the end of time");
        self.slots.first_key_value().map(|(slot, _)| Timestamp::new(at(slot)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{KeyHash, Partitions};

    #[test]
    fn a_timer_fires_after_its_time_and_at_most_a_slot_late() {
        let id = OrderId::derive(KeyHash([1; 16]), Partitions::new(1).unwrap());
        for at in [0, 1, 15, 16, 17, 1000] {
            let mut deadlines = Deadlines::default();
            let slot = Slot::after(Timestamp::new(at));
            deadlines.arm_order(slot, id);
            let fires = (0..).find(|now| deadlines.due(Timestamp::new(*now)).is_some()).unwrap();
            assert!((at..at + SLOT_MS).contains(&fires), "{at} fired at {fires}");
        }
    }

    #[test]
    fn only_the_timer_armed_last_is_taken_back() {
        let ids = [1, 2].map(|byte| OrderId::derive(KeyHash([byte; 16]), Partitions::new(1).unwrap()));
        let (mut deadlines, slot) = (Deadlines::default(), Slot::after(Timestamp::new(100)));
        ids.iter().for_each(|id| deadlines.arm_order(slot, *id));
        assert!(!deadlines.disarm(slot, ids[0]));
        assert!(deadlines.disarm(slot, ids[1]));
        assert!(!deadlines.disarm(slot, ids[1]));
        assert_eq!(deadlines.due(Timestamp::new(1000)).unwrap().1.orders, [ids[0]]);
    }
}
