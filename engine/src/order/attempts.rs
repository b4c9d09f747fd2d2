//! The payment attempts of an order.
//!
//! Invariant: without any they take one word and no memory elsewhere: most orders that are open at a time have none yet.

use super::Attempt;
use std::ops::{Deref, DerefMut};

#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::box_collection, reason = "a list beside the order would make each order two words larger")]
pub struct Attempts(Option<Box<Vec<Attempt>>>);

impl Attempts {
    pub(super) fn push(&mut self, attempt: Attempt) {
        self.0.get_or_insert_default().push(attempt);
    }
}

impl Deref for Attempts {
    type Target = [Attempt];

    fn deref(&self) -> &[Attempt] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl DerefMut for Attempts {
    fn deref_mut(&mut self) -> &mut [Attempt] {
        self.0.as_deref_mut().map_or(&mut [], Vec::as_mut_slice)
    }
}
