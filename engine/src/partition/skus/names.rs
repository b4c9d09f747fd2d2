//! The numbers of SKUs in the order of their names, which are kept elsewhere.
//!
//! Invariant: chunks are in order, none is empty, none has more than twice [`CHUNK`] numbers. A name behind all others costs a push.

use std::ops::Bound;

/// Numbers of a chunk that is filled in order: 1 KiB of them.
const CHUNK: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Names {
    chunks: Vec<Vec<u32>>,
}

impl Names {
    /// A number that is not in it. `name` has its name, and those of all that are.
    pub(super) fn insert<'a>(&mut self, number: u32, name: impl Fn(u32) -> &'a str) {
        match self.chunks.last_mut() {
            Some(last) if last.last().is_some_and(|greatest| name(*greatest) < name(number)) => {
                if last.len() < CHUNK {
                    last.push(number)
                } else {
                    self.chunks.push(vec![number])
                }
            }
            Some(_) => self.insert_between(number, name),
            None => self.chunks.push(vec![number]),
        }
    }

    fn insert_between<'a>(&mut self, number: u32, name: impl Fn(u32) -> &'a str) {
        let before = |other: &u32| name(*other) < name(number);
        let at = self.chunk_of(before);
        let chunk = &mut self.chunks[at];
        if chunk.len() == 2 * CHUNK {
            let rest = chunk.split_off(CHUNK);
            self.chunks.insert(at + 1, rest);
            return self.insert_between(number, name);
        }
        chunk.insert(chunk.partition_point(before), number);
    }

    /// All from the first on that the bound leaves.
    pub(super) fn listed<'a>(
        &'a self,
        first: Bound<&'a str>,
        name: impl Fn(u32) -> &'a str + 'a,
    ) -> impl Iterator<Item = u32> + 'a {
        let before = move |number: &u32| match first {
            Bound::Included(first) => name(*number) < first,
            Bound::Excluded(first) => name(*number) <= first,
            Bound::Unbounded => false,
        };
        let at = self.chunk_of(&before);
        let skipped = self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(&before));
        self.chunks.get(at..).unwrap_or_default().iter().flatten().skip(skipped).copied()
    }

    /// The last chunk that begins with one of those `before`, or the first chunk.
    fn chunk_of(&self, before: impl Fn(&u32) -> bool) -> usize {
        self.chunks.partition_point(|chunk| chunk.first().is_some_and(&before)).saturating_sub(1)
    }
}
