//! Orders by the record that placed them, for lists.
//!
//! Invariant: chunks are in order, none is empty, none has more than twice [`CHUNK`] entries. A new order is the last of all, so it costs
//! a push; whatever else happens costs one chunk. A tree costs each order ten times as much.

use crate::ids::{OrderId, Seq};

/// Entries of a chunk that is filled by new orders: 6 KiB of them.
const CHUNK: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Placements {
    chunks: Vec<Vec<(Seq, OrderId)>>,
}

impl Placements {
    /// An order that was placed, or came back into memory.
    pub(super) fn insert(&mut self, seq: Seq, order: OrderId) {
        match self.chunks.last_mut() {
            Some(last) if last.last().is_some_and(|(newest, _)| *newest < seq) => {
                if last.len() < CHUNK {
                    last.push((seq, order))
                } else {
                    self.chunks.push(vec![(seq, order)])
                }
            }
            Some(_) => self.insert_between(seq, order),
            None => self.chunks.push(vec![(seq, order)]),
        }
    }

    fn insert_between(&mut self, seq: Seq, order: OrderId) {
        let at = self.chunk_of(seq);
        let chunk = &mut self.chunks[at];
        match chunk.binary_search_by_key(&seq, |(seq, _)| *seq) {
            Ok(there) => chunk[there] = (seq, order),
            Err(gap) => chunk.insert(gap, (seq, order)),
        }
        if chunk.len() > 2 * CHUNK {
            let rest = chunk.split_off(CHUNK);
            self.chunks.insert(at + 1, rest);
        }
    }

    pub(super) fn remove(&mut self, seq: Seq) {
        let at = self.chunk_of(seq);
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        if let Ok(there) = chunk.binary_search_by_key(&seq, |(seq, _)| *seq) {
            chunk.remove(there);
            if chunk.is_empty() {
                self.chunks.remove(at);
            }
        }
    }

    /// Those behind a record, in their order.
    pub(super) fn after(&self, seq: Seq) -> impl Iterator<Item = (Seq, OrderId)> {
        let chunks = self.chunks.get(self.chunk_of(seq)..).unwrap_or_default();
        chunks.iter().flatten().copied().skip_while(move |(placed, _)| *placed <= seq)
    }

    /// The chunk that has this record, or would have it.
    fn chunk_of(&self, seq: Seq) -> usize {
        self.chunks.partition_point(|chunk| chunk.first().is_some_and(|(first, _)| *first <= seq)).saturating_sub(1)
    }
}

impl FromIterator<(Seq, OrderId)> for Placements {
    fn from_iter<T: IntoIterator<Item = (Seq, OrderId)>>(orders: T) -> Self {
        let mut all: Vec<(Seq, OrderId)> = orders.into_iter().collect();
        all.sort_unstable();
        Self { chunks: all.chunks(CHUNK).map(<[_]>::to_vec).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::ops::Bound::{Excluded, Unbounded};

    fn id(seq: Seq) -> OrderId {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&seq.to_be_bytes());
        OrderId::from_bytes(bytes)
    }

    proptest! {
        #[test]
        fn placements_are_a_map_in_order(steps in prop::collection::vec((any::<bool>(), 0_u64..3_000), 0..4_000), after in 0_u64..3_000) {
            let (mut placements, mut map) = (Placements::default(), BTreeMap::new());
            for (there, seq) in steps {
                if there {
                    placements.insert(seq, id(seq));
                    map.insert(seq, id(seq));
                } else {
                    placements.remove(seq);
                    map.remove(&seq);
                }
            }
            let wanted: Vec<_> = map.range((Excluded(after), Unbounded)).map(|(seq, id)| (*seq, *id)).collect();
            prop_assert_eq!(placements.after(after).collect::<Vec<_>>(), wanted);
            prop_assert!(placements.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= 2 * CHUNK));
            let again: Placements = map.iter().map(|(seq, id)| (*seq, *id)).collect();
            prop_assert!(again.after(0).eq(map.range(1..).map(|(seq, id)| (*seq, *id))));
        }

        #[test]
        fn new_orders_fill_chunk_after_chunk(count in 1_u64..2_000) {
            let mut placements = Placements::default();
            (1..=count).for_each(|seq| placements.insert(seq, id(seq)));
            prop_assert_eq!(placements.chunks.len() as u64, count.div_ceil(CHUNK as u64));
            prop_assert!(placements.after(0).map(|(seq, _)| seq).eq(1..=count));
        }
    }
}
