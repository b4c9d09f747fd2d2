//! The holds of one SKU, which can be shared with a snapshot while they go on changing.
//!
//! A SKU in a flash sale has hundreds of thousands of holds. A snapshot that read them all before the next order would stop
//! the shard for a tenth of a second. Once shared, copies have one map in common, and changes gather beside it.
//! Invariants: what is read is the map with the changes; when nobody shares it any more the next change moves them into it; the live
//! ones are counted as they come and go, so that a report looks at none.

use crate::Map;
use crate::ids::HoldKey;
use crate::plant::{self, Bug};
use crate::stock::Hold;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::Index;
use std::sync::Arc;

/// A clone copies every hold, unless they are shared.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    state: State,
    live: usize,
}

#[derive(Clone, Debug)]
enum State {
    /// The usual one: no other copy and no detour.
    Own(Map<HoldKey, Hold>),
    Shared {
        base: Arc<Map<HoldKey, Hold>>,
        /// Changes of the base. `None`: removed.
        since: Map<HoldKey, Option<Hold>>,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Own(Map::default())
    }
}

impl Holds {
    pub fn get(&self, key: &HoldKey) -> Option<&Hold> {
        match &self.state {
            State::Own(holds) => holds.get(key),
            State::Shared { base, since } => since.get(key).map_or_else(|| base.get(key), Option::as_ref),
        }
    }

    pub fn contains_key(&self, key: &HoldKey) -> bool {
        self.get(key).is_some()
    }

    pub fn insert(&mut self, key: HoldKey, hold: Hold) {
        self.live += usize::from(hold.live());
        let was_live = match self.reclaimed() {
            State::Own(holds) => holds.insert(key, hold).is_some_and(|before| before.live()),
            State::Shared { base, since } => {
                let before = since.insert(key, Some(hold));
                before.map_or_else(|| base.get(&key).is_some_and(Hold::live), |before| before.is_some_and(|before| before.live()))
            }
        };
        self.live -= usize::from(was_live);
    }

    pub fn remove(&mut self, key: &HoldKey) -> Option<Hold> {
        let removed = match self.reclaimed() {
            State::Own(holds) => holds.remove(key),
            // What came and went since leaves no trace: images that follow on each other must not gather every hold there was.
            State::Shared { base, since } if !base.contains_key(key) => since.remove(key).flatten(),
            State::Shared { base, since } => match since.insert(*key, None) {
                Some(changed) => changed,
                None => base.get(key).cloned(),
            },
        };
        self.live -= usize::from(removed.as_ref().is_some_and(Hold::live));
        removed
    }

    /// Those that are neither committed nor released.
    pub fn live(&self) -> usize {
        self.live
    }

    /// From now on a clone costs the changes since. Without holds there is nothing to share.
    pub fn share(&mut self) {
        if let State::Own(holds) = self.reclaimed()
            && !holds.is_empty()
        {
            let base = Arc::new(std::mem::take(holds));
            self.state = State::Shared { base, since: Map::default() };
        }
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (&HoldKey, &Hold)> {
        let (base, since) = match &self.state {
            State::Own(holds) => (holds, None),
            State::Shared { base, since } => (&**base, Some(since)),
        };
        let changed = since.into_iter().flatten().filter_map(|(key, hold)| Some((key, hold.as_ref()?)));
        changed.chain(base.iter().filter(move |(key, _)| since.is_none_or(|since| !since.contains_key(key))))
    }

    pub fn values(&self) -> impl Iterator<Item = &Hold> {
        self.iter().map(|(_, hold)| hold)
    }

    /// Cost: a look at each change while they are shared.
    pub fn len(&self) -> usize {
        match &self.state {
            State::Own(holds) => holds.len(),
            State::Shared { base, since } => {
                let unchanged = base.len() - since.keys().filter(|key| base.contains_key(key)).count();
                unchanged + since.values().flatten().count()
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state, with all changes in the map if nobody shares it any more.
    fn reclaimed(&mut self) -> &mut State {
        if let State::Shared { base, since } = &mut self.state
            && let Some(base) = Arc::get_mut(base)
        {
            let mut holds = std::mem::take(base);
            let since = std::mem::take(since).into_iter().filter(|_| !plant::active(Bug::SharedChangesLost));
            for (key, hold) in since {
                match hold {
                    Some(hold) => holds.insert(key, hold),
                    None => holds.remove(&key),
                };
            }
            if plant::active(Bug::SharedChangesLost) {
                self.live = live_of(&holds);
            }
            self.state = State::Own(holds);
        }
        &mut self.state
    }
}

impl Index<&HoldKey> for Holds {
    type Output = Hold;

    /// # Panics
    /// If there is no such hold.
    fn index(&self, key: &HoldKey) -> &Hold {
        match self.get(key) {
            Some(hold) => hold,
            None => panic!("no hold of {key:?}"),
        }
    }
}

impl PartialEq for Holds {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, hold)| other.get(key) == Some(hold))
    }
}

impl FromIterator<(HoldKey, Hold)> for Holds {
    fn from_iter<I: IntoIterator<Item = (HoldKey, Hold)>>(holds: I) -> Self {
        let holds: Map<HoldKey, Hold> = holds.into_iter().collect();
        Self { live: live_of(&holds), state: State::Own(holds) }
    }
}

fn live_of(holds: &Map<HoldKey, Hold>) -> usize {
    holds.values().filter(|hold| hold.live()).count()
}

/// As a list in the order of keys, so that equal holds are equal bytes.
impl Serialize for Holds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut holds: Vec<(&HoldKey, &Hold)> = self.iter().collect();
        holds.sort_unstable_by_key(|(key, _)| *key);
        holds.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Holds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<(HoldKey, Hold)>::deserialize(deserializer).map(Self::from_iter)
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
        Hold { state, order_version, allocations: Vec::new(), probe_at: Timestamp::ZERO }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Insert(u8, u32),
        Remove(u8),
        Share,
        Copy,
        DropCopy,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            4 => (0..8u8, any::<u32>()).prop_map(|(key, order_version)| Act::Insert(key, order_version)),
            2 => (0..8u8).prop_map(Act::Remove),
            1 => Just(Act::Share),
            2 => Just(Act::Copy),
            1 => Just(Act::DropCopy),
        ];
        prop::collection::vec(act, 0..60)
    }

    fn agree(holds: &Holds, model: &BTreeMap<HoldKey, Hold>) {
        let mut listed: Vec<_> = holds.iter().map(|(key, hold)| (*key, hold.clone())).collect();
        listed.sort_unstable_by_key(|(key, _)| *key);
        assert_eq!(listed, model.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(holds.len(), model.len());
        assert_eq!(holds.live(), model.values().filter(|hold| hold.live()).count());
        assert!((0..8).all(|number| holds.get(&key(number)) == model.get(&key(number))));
        assert_eq!(*holds, model.clone().into_iter().collect::<Holds>());
    }

    proptest! {
        #[test]
        fn holds_and_their_copies_are_what_a_plain_map_would_be(acts in acts()) {
            let (mut holds, mut model) = (Holds::default(), BTreeMap::new());
            let mut copies: Vec<(Holds, BTreeMap<HoldKey, Hold>)> = Vec::new();
            for act in acts {
                match act {
                    Act::Insert(number, order_version) => {
                        holds.insert(key(number), hold(order_version));
                        model.insert(key(number), hold(order_version));
                    }
                    Act::Remove(number) => prop_assert_eq!(holds.remove(&key(number)), model.remove(&key(number))),
                    Act::Share => holds.share(),
                    Act::Copy => copies.push((holds.clone(), model.clone())),
                    Act::DropCopy => drop(copies.pop()),
                }
                agree(&holds, &model);
                copies.iter().for_each(|(copy, model)| agree(copy, model));
            }
            copies.clear();
            holds.insert(key(0), hold(0));
            prop_assert!(matches!(holds.state, State::Own(_)), "changes move in when nobody shares the map");
        }
    }

    #[test]
    fn holds_that_came_and_went_while_they_were_shared_leave_no_trace() {
        let mut holds = Holds::from_iter([(key(0), hold(0))]);
        holds.share();
        let _image = holds.clone();
        for number in 1..=100 {
            holds.insert(key(number), hold(1));
            assert_eq!(holds.remove(&key(number)), Some(hold(1)));
        }
        assert!(matches!(&holds.state, State::Shared { since, .. } if since.is_empty()));
    }
}
