//! Finds the record of a key in a table: the number that the record has there, by the hash of the key.
//!
//! Invariant: an entry is a hash and a number, so growing moves eight bytes an entry and looks at no record. Each part grows by itself:
//! an insertion moves the entries of one.

use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash};

/// As many pauses instead of one, each shorter by as much.
const PARTS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Index {
    parts: [HashTable<Entry>; PARTS],
}

#[derive(Debug)]
struct Entry {
    hash: u32,
    number: u32,
}

/// The part that has a hash, by bits that a part of fewer than a million entries does not look at for a place.
fn part(hash: u32) -> usize {
    (hash >> 20) as usize % PARTS
}

/// Where a part looks: both halves of what it takes for a hash are needed, the one for a place, the other to compare.
fn place(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Index {
    /// The number under this hash whose record `is` the one.
    pub(super) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let found = self.parts[part(hash)].find(place(hash), |entry| entry.hash == hash && is(entry.number));
        found.map(|entry| entry.number)
    }

    /// A number that is not in it.
    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        self.parts[part(hash)].insert_unique(place(hash), Entry { hash, number }, |entry| place(entry.hash));
    }

    pub(super) fn remove(&mut self, hash: u32, number: u32) {
        if let Ok(found) = self.parts[part(hash)].find_entry(place(hash), |entry| entry.number == number) {
            found.remove();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(HashTable::len).sum()
    }
}

/// The same for the same key in each run.
pub(super) fn hash_of(key: impl Hash) -> u32 {
    let hash = foldhash::fast::FixedState::default().hash_one(key);
    (hash >> 32) as u32
}
