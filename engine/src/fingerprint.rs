//! Makes a fingerprint: the hash of an encoded value. The type is in `ids`, which `bytes` imports; this needs `bytes`.
//!
//! Invariant: equal values have equal bytes, and so equal fingerprints.

use crate::bytes;
use crate::ids::Fingerprint;
use serde::Serialize;

impl Fingerprint {
    /// The hash of the encoded value. Cost: one encoding into memory that the thread uses again.
    pub fn of(value: &impl Serialize) -> Self {
        thread_local! {
            static SCRATCH: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            let bytes = bytes::append(value, std::mem::take(scratch));
            let hash = xxhash_rust::xxh3::xxh3_128(&bytes);
            *scratch = bytes;
            Self(hash)
        })
    }
}
