//! What part of the credits one client may have in hand.
//!
//! Invariants: a client never has more requests in hand at a shard than its share; each permit is given back exactly once, when the
//! request it was taken for has ended at the shard, whoever still waits for it; a client that has nothing in hand is forgotten.

use dashmap::DashMap;
use foldhash::fast::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Clients remembered before those without a request in hand are looked for.
const FEW: usize = 1024;

/// Who sends a request, as far as shares go. Whoever names clients sees to it that no two have one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u128);

/// A client at a shard. The number of shards may change at any time.
type At = (ClientId, usize);

/// The clients of an engine that have requests in hand, and some that had.
#[derive(Debug)]
pub struct Clients {
    /// Requests in hand.
    known: DashMap<At, Arc<AtomicUsize>, RandomState>,
    /// Clients after which the idle ones are forgotten.
    sweep_at: AtomicUsize,
    share: AtomicUsize,
}

impl Clients {
    /// `percent` is the part of a shard's credits that one client may have in hand: never less than one request.
    pub fn new(credits: usize, percent: u8) -> Self {
        let share = AtomicUsize::new(share_of(credits, percent));
        Self { known: DashMap::default(), sweep_at: AtomicUsize::new(FEW), share }
    }

    /// As [`Self::new`], from now on: what a client has in hand stays its own.
    pub fn set_share(&self, credits: usize, percent: u8) {
        self.share.store(share_of(credits, percent), Ordering::Relaxed);
    }

    /// Takes one of the client's share at a shard. None if all of it is in hand.
    pub fn take(&self, client: ClientId, shard: usize) -> Option<Permit> {
        // Dropped where it is one too many, which gives it back.
        let permit = Permit { in_hand: self.in_hand((client, shard)) };
        let taken = permit.in_hand.fetch_add(1, Ordering::Relaxed);
        (taken < self.share.load(Ordering::Relaxed)).then_some(permit)
    }

    fn in_hand(&self, at: At) -> Arc<AtomicUsize> {
        if let Some(known) = self.known.get(&at) {
            return known.clone();
        }
        if self.known.len() >= self.sweep_at.load(Ordering::Relaxed) {
            self.forget_idle();
        }
        self.known.entry(at).or_default().clone()
    }

    /// Whoever has a permit, or is about to take one, has a clone.
    fn forget_idle(&self) {
        self.known.retain(|_, in_hand| Arc::strong_count(in_hand) > 1);
        self.sweep_at.store((2 * self.known.len()).max(FEW), Ordering::Relaxed);
    }
}

fn share_of(credits: usize, percent: u8) -> usize {
    (credits.saturating_mul(usize::from(percent)) / 100).max(1)
}

/// One request of a client's share. Given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    in_hand: Arc<AtomicUsize>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_at_each_shard_and_others_have_theirs() {
        let clients = Clients::new(8, 25);
        let [greedy, other] = [1, 2].map(ClientId);
        let taken: Vec<_> = (0..5).map(|_| clients.take(greedy, 0)).collect();
        assert_eq!(taken.iter().flatten().count(), 2);
        assert!(clients.take(greedy, 1).is_some() && clients.take(other, 0).is_some());
        drop(taken);
        assert!(clients.take(greedy, 0).is_some());
    }

    #[test]
    fn a_share_is_at_least_one_request_and_at_most_all() {
        for (credits, percent, share) in
            [(1, 50, 1), (3, 50, 1), (100, 1, 1), (100, 100, 100), (usize::MAX, 100, usize::MAX / 100)]
        {
            assert_eq!(share_of(credits, percent), share, "{percent} % of {credits}");
        }
    }

    #[test]
    fn clients_without_a_request_in_hand_are_forgotten() {
        let clients = Clients::new(100, 50);
        let busy = clients.take(ClientId(0), 0).unwrap();
        (1..10 * FEW as u128).for_each(|id| drop(clients.take(ClientId(id), 0)));
        assert!(clients.known.len() <= 2 * FEW, "{}", clients.known.len());
        assert!(clients.known.contains_key(&(ClientId(0), 0)));
        drop(busy);
        clients.forget_idle();
        assert!(clients.known.is_empty());
    }
}
