//! The holds of all SKUs of a partition in one table, which can be shared with a snapshot while it goes on changing.
//!
//! A SKU in a flash sale has hundreds of thousands of holds. A snapshot that read them all before the next order would stop
//! the shard for a tenth of a second. So a copy has the chunks of the table in common with it, and the first change of a chunk that is
//! shared copies that chunk.
//! Invariant: a hold keeps its place as long as it is there; the live ones are counted as they come and go, so that a report looks at none.

use super::index::Index;
use crate::ids::HoldKey;
use crate::plant::{self, Bug};
use crate::stock::Hold;
use std::sync::Arc;

/// Places of a chunk: what a change copies at most, 18 KiB, and the lists of its holds from more than one location.
const CHUNK: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Holds {
    table: SharedHolds,
    /// Places without a hold.
    free: Vec<u32>,
    index: Index,
    live: usize,
}

/// The table as it was when it was shared. A clone costs a pointer for each chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedHolds {
    chunks: Vec<Arc<Chunk>>,
}

/// Places, some of them without a hold.
type Chunk = Vec<Option<HoldOfSku>>;

/// A hold with the number of its SKU.
#[derive(Clone, Debug)]
pub(super) struct HoldOfSku {
    pub(super) sku: u32,
    pub(super) key: HoldKey,
    pub(super) hold: Hold,
}

/// Where a hold is in its table. It leads nowhere once the hold is gone, even if the place has another
/// one, but for one whose hash of 32 bits is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HoldRef {
    place: u32,
    hash: u32,
}

/// Half of an order's id is as good as a hash of all of it, and the other half of the product depends on all bits that are mixed.
fn hash(sku: u32, key: &HoldKey) -> u32 {
    let [.., a, b, c, d, e, f, g, h] = key.order.bytes();
    let mixed = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ u64::from(sku) << 8 ^ u64::from(key.generation);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

impl Holds {
    pub(super) fn find(&self, sku: u32, key: &HoldKey) -> Option<HoldRef> {
        self.find_hashed(hash(sku, key), sku, key)
    }

    fn find_hashed(&self, hash: u32, sku: u32, key: &HoldKey) -> Option<HoldRef> {
        let is = |place| self.table.at(place).is_some_and(|found| found.sku == sku && found.key == *key);
        self.index.find(hash, is).map(|place| HoldRef { place, hash })
    }

    pub(super) fn get(&self, sku: u32, key: &HoldKey) -> Option<&Hold> {
        self.find(sku, key).and_then(|found| self.at(found)).map(|found| &found.hold)
    }

    /// `None` once it is gone.
    pub(super) fn at(&self, hold: HoldRef) -> Option<&HoldOfSku> {
        self.table.find(hold)
    }

    /// Changes the hold of a SKU by `change`, which may make it where there is none.
    pub(super) fn change(&mut self, sku: u32, key: HoldKey, change: impl FnOnce(&mut Option<Hold>)) -> Option<HoldRef> {
        let hash = hash(sku, &key);
        let known = self.find_hashed(hash, sku, &key);
        if plant::active(Bug::SharedChangesLost) && known.is_some_and(|known| self.table.is_shared(known.place)) {
            change(&mut known.and_then(|known| self.at(known)).map(|known| known.hold.clone()));
            return known;
        }
        let Some(known) = known else { return self.make(hash, sku, key, change) };
        let place = self.table.place_mut(known.place);
        let mut hold = place.take().map(|before| before.hold);
        self.live -= live(&hold);
        change(&mut hold);
        self.live += live(&hold);
        *place = hold.map(|hold| HoldOfSku { sku, key, hold });
        Some(known)
    }

    fn make(&mut self, hash: u32, sku: u32, key: HoldKey, change: impl FnOnce(&mut Option<Hold>)) -> Option<HoldRef> {
        let mut hold = None;
        change(&mut hold);
        self.live += live(&hold);
        let made = HoldOfSku { sku, key, hold: hold? };
        let place = self.free.pop().unwrap_or_else(|| self.table.grow());
        *self.table.place_mut(place) = Some(made);
        self.index.insert(hash, place);
        Some(HoldRef { place, hash })
    }

    pub(super) fn remove(&mut self, hold: HoldRef) {
        if self.at(hold).is_none() {
            return;
        }
        let gone = self.table.place_mut(hold.place).take();
        self.live -= live(&gone.map(|gone| gone.hold));
        self.index.remove(hold.hash, hold.place);
        self.free.push(hold.place);
    }

    /// Those that are neither committed nor released.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// In no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (HoldRef, &HoldOfSku)> {
        self.table.iter().map(|(place, found)| (HoldRef { place, hash: hash(found.sku, &found.key) }, found))
    }

    pub(super) fn share(&self) -> SharedHolds {
        self.table.clone()
    }
}

fn live(hold: &Option<Hold>) -> usize {
    usize::from(hold.as_ref().is_some_and(Hold::live))
}

impl SharedHolds {
    fn at(&self, place: u32) -> Option<&HoldOfSku> {
        self.chunks[place as usize / CHUNK][place as usize % CHUNK].as_ref()
    }

    /// As [`Holds::at`]. What a place has now is told from what it had by the hash.
    pub(super) fn find(&self, hold: HoldRef) -> Option<&HoldOfSku> {
        self.at(hold.place).filter(|found| hash(found.sku, &found.key) == hold.hash)
    }

    fn place_mut(&mut self, place: u32) -> &mut Option<HoldOfSku> {
        &mut Arc::make_mut(&mut self.chunks[place as usize / CHUNK])[place as usize % CHUNK]
    }

    /// A new place without a hold.
    fn grow(&mut self) -> u32 {
        let full = self.chunks.last().is_none_or(|last| last.len() == CHUNK);
        if full {
            self.chunks.push(Arc::default());
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let last = self.chunks.last_mut().map_or(0, |last| {
            let last = Arc::make_mut(last);
            last.push(None);
            last.len() - 1
        });
        u32::try_from(before + last).expect("the holds of a partition are counted in 32 bits")
    }

    fn is_shared(&self, place: u32) -> bool {
        Arc::strong_count(&self.chunks[place as usize / CHUNK]) > 1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &HoldOfSku)> {
        (0..).zip(self.chunks.iter().flat_map(|chunk| chunk.iter())).filter_map(|(place, found)| Some((place, found.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{KeyHash, OrderId, Partitions};
    use crate::stock::HoldState;
    use crate::time::Timestamp;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key(number: u8) -> HoldKey {
        HoldKey { order: OrderId::derive(KeyHash([number; 16]), Partitions::new(1).unwrap()), generation: 1 }
    }

    /// Every other one is live.
    fn hold(order_version: u32) -> Hold {
        let state = if order_version.is_multiple_of(2) { HoldState::Held } else { HoldState::Released };
        Hold { state, order_version, allocations: Vec::new().into(), probe_at: Timestamp::ZERO }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Put(u32, u8, u32),
        Remove(u32, u8),
        Share,
        DropShared,
    }

    /// Few numbers, so that places are used again, or many, so that there are chunks.
    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = |most: u8| {
            prop_oneof![
                4 => (0..3_u32, 0..most, any::<u32>()).prop_map(|(sku, number, version)| Act::Put(sku, number, version)),
                2 => (0..3_u32, 0..most).prop_map(|(sku, number)| Act::Remove(sku, number)),
                1 => Just(Act::Share),
                1 => Just(Act::DropShared),
            ]
        };
        prop_oneof![prop::collection::vec(act(8), 0..60), prop::collection::vec(act(255), 0..1_000)]
    }

    /// So many are compared after each act.
    const FEW: usize = 24;

    type Model = BTreeMap<(u32, HoldKey), Hold>;

    fn agree(holds: &SharedHolds, model: &Model) {
        let all: Vec<_> = holds.iter().map(|(_, found)| ((found.sku, found.key), found.hold.clone())).collect();
        assert_eq!(all.len(), model.len());
        assert_eq!(all.into_iter().collect::<Model>(), *model);
    }

    proptest! {
        #[test]
        fn holds_and_what_they_are_shared_with_are_what_a_plain_map_would_be(acts in acts()) {
            let (mut holds, mut model) = (Holds::default(), Model::new());
            let mut shared: Vec<(SharedHolds, Model)> = Vec::new();
            let mut gone = Vec::new();
            for act in acts {
                match act {
                    Act::Put(sku, number, version) => {
                        let put = holds.change(sku, key(number), |place| *place = Some(hold(version)));
                        prop_assert_eq!(put, holds.find(sku, &key(number)));
                        model.insert((sku, key(number)), hold(version));
                    }
                    Act::Remove(sku, number) => {
                        let found = holds.find(sku, &key(number));
                        found.into_iter().for_each(|found| holds.remove(found));
                        gone.extend(found.map(|found| (found, sku, key(number))));
                        model.remove(&(sku, key(number)));
                    }
                    Act::Share => shared.push((holds.share(), model.clone())),
                    Act::DropShared => drop(shared.pop()),
                }
                prop_assert_eq!(holds.len(), model.len());
                prop_assert_eq!(holds.live(), model.values().filter(|hold| hold.live()).count());
                for (sku, number) in (0..3).flat_map(|sku| (0..8).map(move |number| (sku, number))) {
                    prop_assert_eq!(holds.get(sku, &key(number)), model.get(&(sku, key(number))));
                }
                if model.len() <= FEW {
                    agree(&holds.table, &model);
                }
            }
            agree(&holds.table, &model);
            shared.iter().for_each(|(shared, model)| agree(shared, model));
            for (found, sku, key) in gone {
                let found = holds.at(found);
                prop_assert!(found.is_none_or(|found| (found.sku, found.key) == (sku, key)), "it leads to another hold");
            }
        }
    }

    /// The hash leaves half of an order's id out.
    #[test]
    fn holds_with_one_hash_are_told_apart() {
        let keys = [1_u8, 2, 3].map(|first| {
            let mut id = [7; 16];
            id[0] = first;
            HoldKey { order: OrderId::from_bytes(id), generation: 1 }
        });
        let mut holds = Holds::default();
        let refs = [0, 1, 2].map(|at| holds.change(0, keys[at], |place| *place = Some(hold(at as u32))).unwrap());
        assert!(refs.iter().all(|found| found.hash == refs[0].hash), "{refs:?}");
        assert_eq!(keys.map(|key| holds.get(0, &key).unwrap().order_version), [0, 1, 2]);
        holds.remove(refs[1]);
        assert_eq!(keys.map(|key| holds.find(0, &key)), [Some(refs[0]), None, Some(refs[2])]);
    }

    #[test]
    fn places_of_holds_that_are_gone_are_used_again() {
        let mut holds = Holds::default();
        for number in 0..200 {
            let made = holds.change(0, key(number), |place| *place = Some(hold(1))).unwrap();
            assert_eq!(made.place, 0);
            holds.remove(made);
        }
    }

    #[test]
    fn a_hold_from_one_location_takes_one_record() {
        assert_eq!(size_of::<Option<HoldOfSku>>(), 72);
    }
}
