//! What a shard keeps for partitions that are on their way to it.
//!
//! Invariant: everything put in comes out once, in the order it came, except messages beyond [`MOST`] and those that waited longer than
//! [`LONGEST_MS`]: who sent one sends it again.

use holdfast_engine::ids::PartitionId;
use holdfast_engine::plant::{self, Bug};
use holdfast_engine::time::Timestamp;
use std::collections::BTreeMap;

/// Messages between partitions that wait for one that comes. Requests are bounded by the credits.
pub const MOST: usize = 4096;
/// The longest that one of them waits. A message must not come after what it is about is forgotten:
/// see [`holdfast_engine::limits::RESOLVED_MS`].
pub const LONGEST_MS: u64 = 2_000;

/// How much depends on something that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nobody sends it again.
    Once,
    /// Who sent it sends it again until there is an answer.
    Repeated,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting<T> {
    came: Timestamp,
    kind: Kind,
    item: T,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stash<T> {
    waiting: BTreeMap<PartitionId, Vec<Waiting<T>>>,
}

impl<T> Default for Stash<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

impl<T> Stash<T> {
    pub fn put(&mut self, now: Timestamp, id: PartitionId, kind: Kind, item: T) {
        let waiting = self.waiting.entry(id).or_default();
        if kind == Kind::Once || waiting.len() < MOST {
            waiting.push(Waiting { came: now, kind, item });
        }
    }

    /// What waited for a partition that is here now.
    pub fn take(&mut self, now: Timestamp, id: PartitionId) -> Vec<T> {
        self.take_with_times(now, id).into_iter().map(|(_, item)| item).collect()
    }

    /// What waited for a partition that comes elsewhere, each with the time it came.
    pub fn take_with_times(&mut self, now: Timestamp, id: PartitionId) -> Vec<(Timestamp, T)> {
        let waiting = self.waiting.remove(&id).unwrap_or_default();
        if plant::active(Bug::StashDropped) {
            return Vec::new();
        }
        let fresh = |one: &Waiting<T>| one.kind == Kind::Once || now.since(one.came) <= LONGEST_MS;
        waiting.into_iter().filter(fresh).map(|one| (one.came, one.item)).collect()
    }

    /// Nothing comes any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// All that waits, for whichever partition.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionId, &T)> {
        self.waiting.iter().flat_map(|(id, waiting)| waiting.iter().map(|one| (*id, &one.item)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::new(1_000);

    #[test]
    fn what_waits_for_a_partition_comes_out_once_in_the_order_it_came() {
        let mut stash = Stash::default();
        for (id, item) in [(0, 'a'), (1, 'b'), (0, 'c')] {
            stash.put(NOW, PartitionId(id), Kind::Once, item);
        }
        assert_eq!(stash.take(NOW, PartitionId(0)), ['a', 'c']);
        assert_eq!(stash.take(NOW, PartitionId(0)), []);
        assert_eq!(stash.take(NOW, PartitionId(1)), ['b']);
    }

    #[test]
    fn a_request_waits_however_long_and_a_message_not_until_what_it_is_about_may_be_forgotten() {
        let mut stash = Stash::default();
        for (kind, item) in [(Kind::Once, 'a'), (Kind::Repeated, 'b')] {
            stash.put(NOW, PartitionId(0), kind, item);
        }
        stash.put(NOW.plus(1), PartitionId(0), Kind::Repeated, 'c');
        assert_eq!(stash.take(NOW.plus(LONGEST_MS + 1), PartitionId(0)), ['a', 'c']);
    }

    #[test]
    fn what_goes_on_to_another_shard_is_as_old_as_it_is() {
        let (mut stash, mut next) = (Stash::default(), Stash::default());
        stash.put(NOW, PartitionId(0), Kind::Repeated, 'a');
        for (came, item) in stash.take_with_times(NOW.plus(LONGEST_MS), PartitionId(0)) {
            next.put(came, PartitionId(0), Kind::Repeated, item);
        }
        assert_eq!(next.take(NOW.plus(LONGEST_MS + 1), PartitionId(0)), []);
    }

    #[test]
    fn messages_are_bounded_and_requests_are_not() {
        let mut stash = Stash::default();
        (0..MOST + 10).for_each(|number| stash.put(NOW, PartitionId(0), Kind::Repeated, number));
        stash.put(NOW, PartitionId(0), Kind::Once, usize::MAX);
        let taken = stash.take(NOW, PartitionId(0));
        assert_eq!((taken.len(), taken.last()), (MOST + 1, Some(&usize::MAX)));
    }
}
