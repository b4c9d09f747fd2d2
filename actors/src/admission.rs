//! Credits: how many requests a shard may have in hand, from the moment they are sent to their reply.
//!
//! Invariant: a request without a credit is never enqueued, so `overloaded` means not executed. An actix mailbox bound
//! cannot say that: a cloned address is never told that the mailbox is full.

mod clients;

pub use clients::{ClientId, Clients, Permit};

use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub struct Credits {
    taken: AtomicUsize,
    /// Lowered below what is taken, it refuses new ones until enough are given back.
    limit: AtomicUsize,
}

impl Credits {
    pub fn new(limit: usize) -> Self {
        Self { taken: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }
    }

    /// Takes one, or says that there is none.
    pub fn take(&self) -> bool {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        if taken >= self.limit() {
            self.give_back(1);
            return false;
        }
        true
    }

    /// Takes some whether there are any or not: for requests that come with the credits of another shard, where they were admitted, and for those
    /// of operators.
    pub fn take_over(&self, credits: usize) {
        self.taken.fetch_add(credits, Ordering::Relaxed);
    }

    pub fn give_back(&self, credits: usize) {
        self.taken.fetch_sub(credits, Ordering::Relaxed);
    }

    pub fn are_out(&self) -> bool {
        self.taken() >= self.limit()
    }

    /// Requests in hand: the queue depth operators see.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_credits_are_given_than_there_are() {
        let credits = Credits::new(2);
        assert!(credits.take() && !credits.are_out() && credits.take() && credits.are_out() && !credits.take());
        credits.give_back(1);
        assert!(credits.take() && !credits.take());
    }

    #[test]
    fn a_lower_limit_takes_nothing_back_and_a_higher_one_counts_at_once() {
        let credits = Credits::new(3);
        assert!((0..3).all(|_| credits.take()));
        credits.set_limit(1);
        assert_eq!((credits.taken(), credits.take()), (3, false));
        credits.give_back(2);
        assert!(!credits.take(), "one is in hand, and one may be");
        credits.give_back(1);
        assert!(credits.take());
        credits.set_limit(2);
        assert!(credits.take() && !credits.take());
    }
}
