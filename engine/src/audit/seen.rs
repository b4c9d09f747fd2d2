//! A set of hashes that only grows, of a few bytes each: what an audit has to know of all that is over.
//!
//! Invariant: an entry takes eight bytes and an eighth of that for growth. Of ten million entries two are alike once in a hundred
//! thousand audits, and then the audit reports what is not so: it never misses anything that is.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

/// Sorted apart by the first bits of their hash, so that an entry moves few others.
const BUCKETS: usize = 4096;
const SHIFT: u32 = u64::BITS - BUCKETS.ilog2();
/// The last bit of an entry is its mark, not its hash.
const MARK: u64 = 1;

/// Each entry has a mark.
#[derive(Debug)]
pub(super) struct Seen {
    buckets: Vec<Vec<u64>>,
    entries: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { buckets: vec![Vec::new(); BUCKETS], entries: 0 }
    }
}

impl Seen {
    pub(super) fn len(&self) -> u64 {
        self.entries
    }

    /// The mark of an entry, if it is there.
    pub(super) fn get(&self, of: impl Hash) -> Option<bool> {
        let (bucket, hash) = split(of);
        let entries = &self.buckets[bucket];
        find(entries, hash).ok().map(|at| entries[at] & MARK == MARK)
    }

    /// Puts an entry there with this mark. Returns the one it had.
    pub(super) fn put(&mut self, of: impl Hash, mark: bool) -> Option<bool> {
        let (bucket, hash) = split(of);
        let (entries, entry) = (&mut self.buckets[bucket], hash | u64::from(mark));
        match find(entries, hash) {
            Ok(at) => Some(std::mem::replace(&mut entries[at], entry) & MARK == MARK),
            Err(at) => {
                if entries.len() == entries.capacity() {
                    entries.reserve_exact((entries.len() / 8).max(4));
                }
                entries.insert(at, entry);
                self.entries += 1;
                None
            }
        }
    }
}

fn split(of: impl Hash) -> (usize, u64) {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(of);
    let bucket = usize::try_from(hash >> SHIFT).expect("the first bits of a hash are few");
    (bucket, hash & !MARK)
}

fn find(entries: &[u64], hash: u64) -> Result<usize, usize> {
    entries.binary_search_by_key(&hash, |entry| entry & !MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_says_what_a_map_says() {
        let (mut seen, mut map) = (Seen::default(), BTreeMap::new());
        for n in 0..40_000_u64 {
            let (of, mark) = (n * n % 9_973, n % 3 == 0);
            assert_eq!(seen.put(of, mark), map.insert(of, mark), "{of}");
        }
        assert_eq!(seen.len(), map.len() as u64);
        assert!((0..9_973_u64).all(|of| seen.get(of) == map.get(&of).copied()));
    }
}
