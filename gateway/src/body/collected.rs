//! What came of bodies so far, and how much of that the process may have in hand.
//!
//! Invariants: a body that comes in one piece, as most do, is neither copied nor counted; of all others every byte is counted from
//! the moment it came until whoever reads the body is done with it, or it is given up.

use actix_web::web::{Bytes, BytesMut};
use holdfast_engine::limits::MAX_BODY_BYTES;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bodies that this process collects.
static IN_HAND: Budget = Budget(AtomicUsize::new(0));

/// Bytes in hand, of everybody.
struct Budget(AtomicUsize);

impl Budget {
    /// Whether so many more fit under `most`; then they count.
    fn take(&self, bytes: usize, most: usize) -> bool {
        let fits = self.0.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= most;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Why there is no more room for a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// It is larger than any may be.
    TooLarge,
    /// All bodies in hand are as large as they may be together.
    Budget,
}

/// What of one body counts.
struct Counted {
    budget: &'static Budget,
    bytes: usize,
    /// Bytes that all bodies may have in hand.
    most: usize,
}

impl Counted {
    fn add(&mut self, bytes: usize) -> Result<(), Full> {
        if bytes > 0 && !self.budget.take(bytes, self.most) {
            return Err(Full::Budget);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

/// One body that is being collected.
pub(super) struct Collected {
    first: Bytes,
    all: BytesMut,
    /// As its head says; 0 if that says nothing.
    length: usize,
    counted: Counted,
}

impl Collected {
    pub(super) fn new(length: usize, most: usize) -> Self {
        let counted = Counted { budget: &IN_HAND, bytes: 0, most };
        Self { first: Bytes::new(), all: BytesMut::new(), length, counted }
    }

    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    /// # Errors
    /// If there is no room for the piece.
    pub(super) fn add(&mut self, piece: Bytes) -> Result<(), Full> {
        if self.len() + piece.len() > MAX_BODY_BYTES {
            return Err(Full::TooLarge);
        }
        if self.len() == 0 {
            // Of what comes without a length nobody knows that it is whole.
            let whole = self.length > 0 && piece.len() >= self.length;
            self.counted.add(if whole { 0 } else { piece.len() })?;
            self.first = piece;
            return Ok(());
        }
        self.counted.add(piece.len())?;
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.all.extend_from_slice(&piece);
        Ok(())
    }

    pub(super) fn into_whole(self) -> Whole {
        let bytes = if self.all.is_empty() { self.first } else { self.all.freeze() };
        Whole { bytes, _counted: self.counted }
    }
}

/// A body that is here. It counts for as long as it is held.
pub struct Whole {
    bytes: Bytes,
    _counted: Counted,
}

impl Deref for Whole {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(budget: &'static Budget, length: usize, most: usize) -> Collected {
        Collected { counted: Counted { budget, bytes: 0, most }, ..Collected::new(length, most) }
    }

    fn budget() -> &'static Budget {
        Box::leak(Box::new(Budget(AtomicUsize::new(0))))
    }

    fn piece(bytes: usize) -> Bytes {
        Bytes::from(vec![b'x'; bytes])
    }

    #[test]
    fn a_body_in_pieces_is_their_sum_and_one_in_one_piece_is_not_copied() {
        let mut whole = Collected::new(9, 0);
        let one = Bytes::from_static(b"one piece");
        whole.add(one.clone()).unwrap();
        assert_eq!(whole.into_whole().as_ptr(), one.as_ptr());
        let mut parts = Collected::new(15, 100);
        [&b"in "[..], b"", b"three ", b"pieces"].into_iter().for_each(|part| parts.add(Bytes::from_static(part)).unwrap());
        assert_eq!(&*parts.into_whole(), b"in three pieces");
        assert!(Collected::new(0, 0).into_whole().is_empty());
    }

    #[test]
    fn what_all_bodies_have_in_hand_is_bounded_and_given_back_with_each() {
        let budget = budget();
        let mut one = collected(budget, 100, 100);
        assert_eq!([one.add(piece(30)), one.add(piece(40))], [Ok(()), Ok(())]);
        let mut other = collected(budget, 0, 100);
        assert_eq!(other.add(piece(31)), Err(Full::Budget));
        assert_eq!(other.add(piece(30)), Ok(()));
        let mut small = collected(budget, 50, 100);
        assert_eq!(small.add(piece(50)), Ok(()), "what is here whole is no more in hand than its request");
        assert_eq!(one.add(piece(1)), Err(Full::Budget));
        drop(other);
        assert_eq!(one.add(piece(30)), Ok(()));
        let whole = one.into_whole();
        assert_eq!((whole.len(), budget.0.load(Ordering::Relaxed)), (100, 100), "it is in hand until it is read");
        drop(whole);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn no_body_is_larger_than_one_may_be() {
        let budget = budget();
        let mut body = collected(budget, 0, usize::MAX);
        assert_eq!([body.add(piece(MAX_BODY_BYTES)), body.add(piece(1))], [Ok(()), Err(Full::TooLarge)]);
        assert_eq!(collected(budget, 0, usize::MAX).add(piece(MAX_BODY_BYTES + 1)), Err(Full::TooLarge));
        drop(body);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }
}
