//! Which ids may have been seen: a Bloom filter that grows, so that what is new is not looked for in the store.
//!
//! Invariant: what was inserted is always found. What was not is found by chance, about once in a thousand times a layer
//! at 16 bits an id and eight probes (Bloom 1970; probes by double hashing, Kirsch and Mitzenmacher 2006).

use serde::{Deserialize, Serialize};

const BITS_PER_ID: u64 = 16;
const PROBES: u64 = 8;
/// Ids of the first layer; each following has twice as many, up to the last size.
const FIRST: u64 = 256;
const LARGEST: u64 = 1 << 17;

/// See the module. Two bytes an id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The last is filled; those before it are full.
    layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Layer {
    ids: u64,
    words: Vec<u64>,
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a hash, and counts of words that are in memory")]
impl Layer {
    fn of(capacity: u64) -> Self {
        Self { ids: 0, words: vec![0; (capacity * BITS_PER_ID / 64) as usize] }
    }

    fn capacity(&self) -> u64 {
        self.words.len() as u64 * 64 / BITS_PER_ID
    }

    /// Word and bit of each probe. The sizes are powers of two, so an odd step visits different bits.
    fn positions(&self, hash: u128) -> impl Iterator<Item = (usize, u64)> + use<> {
        let bits = self.words.len() as u64 * 64;
        let (start, step) = (hash as u64, (hash >> 64) as u64 | 1);
        (0..PROBES).map(move |probe| {
            let bit = start.wrapping_add(probe.wrapping_mul(step)) % bits;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }
}

impl Filter {
    pub fn insert(&mut self, id: &[u8]) {
        let hash = hash_of(id);
        if self.has(hash) {
            return;
        }
        let full = self.layers.last().is_none_or(|layer| layer.ids >= layer.capacity());
        if full {
            let capacity = self.layers.last().map_or(FIRST, |layer| (layer.capacity() * 2).min(LARGEST));
            self.layers.push(Layer::of(capacity));
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.positions(hash).for_each(|(word, bit)| layer.words[word] |= bit);
            layer.ids += 1;
        }
    }

    /// False: it was never inserted. True: it was, or chance has it.
    pub fn may_have(&self, id: &[u8]) -> bool {
        self.has(hash_of(id))
    }

    /// Whether the bytes it came from can be one: sizes are what [`Self::insert`] makes.
    pub fn is_whole(&self) -> bool {
        self.layers.iter().all(|layer| layer.words.len().is_power_of_two() && layer.capacity() <= LARGEST)
    }

    fn has(&self, hash: u128) -> bool {
        self.layers.iter().any(|layer| layer.positions(hash).all(|(word, bit)| layer.words[word] & bit != 0))
    }
}

fn hash_of(id: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(from: u64, count: u64) -> impl Iterator<Item = [u8; 8]> {
        (from..from + count).map(u64::to_be_bytes)
    }

    #[test]
    fn what_was_inserted_is_always_found() {
        let mut filter = Filter::default();
        for (count, id) in ids(0, 50_000).enumerate() {
            filter.insert(&id);
            assert!(filter.may_have(&id), "{count}");
        }
        assert!(ids(0, 50_000).all(|id| filter.may_have(&id)));
        assert!(filter.is_whole());
    }

    #[test]
    fn what_was_not_inserted_is_seldom_found() {
        let mut filter = Filter::default();
        assert!(!ids(0, 1000).any(|id| filter.may_have(&id)));
        ids(0, 300_000).for_each(|id| filter.insert(&id));
        let found = ids(1_000_000, 100_000).filter(|id| filter.may_have(id)).count();
        assert!(found < 1_500, "{found} of 100,000");
        let bytes: usize = filter.layers.iter().map(|layer| layer.words.len() * 8).sum();
        assert!(bytes < 4 * 300_000, "{bytes}");
    }
}
