//! The requests that a worker has under way, each in a slot of its own.
//!
//! Invariant: a slot is used again only when nobody can ask for it any more, and then under another generation: what is late for the
//! request that had it before finds none, unless all slots that are free were used 2^24 times since. Finding a slot looks at one place and
//! hashes nothing.

use super::Slot;
use std::collections::VecDeque;

/// Bits of the index of a slot; as many bits of its generation stand above them.
const BITS: u32 = 24;
const INDICES: u64 = 1 << BITS;

#[derive(Default)]
pub(super) struct Slots {
    entries: Vec<Entry>,
    /// Of entries without a slot. The one that was free the longest is next, so that no generation comes round early.
    free: VecDeque<usize>,
}

struct Entry {
    generation: u64,
    slot: Option<Slot>,
}

impl Slots {
    /// The number that the slot is found by.
    pub(super) fn insert(&mut self, slot: Slot) -> u64 {
        let index = self.free.pop_front().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, slot: None });
            self.entries.len() - 1
        });
        assert!((index as u64) < INDICES, "{index} requests of one worker are under way");
        let entry = &mut self.entries[index];
        entry.slot = Some(slot);
        entry.generation << BITS | index as u64
    }

    fn entry(&mut self, number: u64) -> Option<(usize, &mut Entry)> {
        let index = (number % INDICES) as usize;
        let entry = self.entries.get_mut(index).filter(|entry| entry.generation == number >> BITS)?;
        Some((index, entry))
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Slot> {
        self.entry(number)?.1.slot.as_mut()
    }

    pub(super) fn remove(&mut self, number: u64) {
        let Some((index, entry)) = self.entry(number).filter(|(_, entry)| entry.slot.is_some()) else { return };
        entry.slot = None;
        entry.generation = (entry.generation + 1) % INDICES;
        self.free.push_back(index);
    }

    /// Shows each slot, and removes those of which `ends` says so.
    pub(super) fn remove_those(&mut self, mut ends: impl FnMut(&mut Slot) -> bool) {
        for index in 0..self.entries.len() {
            let entry = &mut self.entries[index];
            if entry.slot.as_mut().is_some_and(&mut ends) {
                let number = entry.generation << BITS | index as u64;
                self.remove(number);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}
