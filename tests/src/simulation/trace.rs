//! The trace of a run: a hash of everything that went in and came out, and, on demand, the readable lines.
//!
//! Invariant: printing changes nothing; the hash of a seed is the same with and without lines.

use xxhash_rust::xxh3::Xxh3;

/// Hashes a run and prints it if asked to.
pub(super) struct Trace {
    hash: Xxh3,
    printing: bool,
}

impl Trace {
    pub(super) fn new(printing: bool) -> Self {
        Self { hash: Xxh3::new(), printing }
    }

    pub(super) fn mix(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    pub(super) fn mix_number(&mut self, number: u64) {
        self.hash.update(&number.to_le_bytes());
    }

    /// A line for the reader. `line` is only called when somebody reads.
    pub(super) fn note(&mut self, now: u64, line: impl FnOnce() -> String) {
        if self.printing {
            println!("{:>12.3} ms  {}", now as f64 / 1000.0, line());
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.digest()
    }
}
