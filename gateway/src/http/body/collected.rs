//! What came of bodies so far, and how much of that the process may have in hand.
//!
//! Invariants: a body that comes in one piece, as most do, is neither copied nor counted; of all others every byte is counted from
//! the moment it came until whoever reads the body is done with it, or it is given up; no client has more than its share of them, and a
//! client that has none is forgotten.

use crate::http::client;
use crate::settings::Server;
use actix_web::web::{Bytes, BytesMut};
use holdfast_actors::ClientId;
use holdfast_engine::limits::MAX_BODY_BYTES;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The bodies that this process collects.
static IN_HAND: Budget = Budget::new();

/// Bytes in hand.
struct Budget(Mutex<InHand>);

struct InHand {
    all: usize,
    /// Of each client that has any, by its number.
    clients: BTreeMap<u128, usize>,
}

/// Bytes that may be in hand.
#[derive(Clone, Copy)]
struct Limits {
    all: usize,
    client: usize,
}

impl Limits {
    /// One client may always send one body, however small the share is.
    fn of(server: &Server) -> Self {
        let all = server.bodies_bytes();
        let share = all / 100 * usize::from(server.key_share_percent);
        Self { all, client: share.max(MAX_BODY_BYTES) }
    }
}

impl Budget {
    const fn new() -> Self {
        Self(Mutex::new(InHand { all: 0, clients: BTreeMap::new() }))
    }

    // Nothing that changes it can panic half way.
    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts so many more bytes of a client, if they fit.
    fn take(&self, ClientId(client): ClientId, bytes: usize, limits: Limits) -> Result<(), Full> {
        let mut in_hand = self.in_hand();
        let own = in_hand.clients.get(&client).copied().unwrap_or_default() + bytes;
        if own > limits.client {
            return Err(Full::Share);
        }
        if in_hand.all + bytes > limits.all {
            return Err(Full::Budget);
        }
        in_hand.all += bytes;
        in_hand.clients.insert(client, own);
        Ok(())
    }

    fn give_back(&self, ClientId(client): ClientId, bytes: usize) {
        let mut in_hand = self.in_hand();
        in_hand.all -= bytes;
        let left = in_hand.clients.get(&client).map_or(0, |own| own - bytes);
        match left {
            0 => in_hand.clients.remove(&client),
            left => in_hand.clients.insert(client, left),
        };
    }
}

/// Why there is no more room for a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// It is larger than any may be.
    TooLarge,
    /// All bodies in hand are as large as they may be together.
    Budget,
    /// Those of this client are.
    Share,
}

/// Where the bytes of one body count.
#[derive(Clone, Copy)]
struct Account {
    budget: &'static Budget,
    client: ClientId,
    limits: Limits,
}

/// Bytes of one body that count.
struct Counted {
    account: Account,
    bytes: usize,
}

impl Counted {
    fn add(&mut self, bytes: usize) -> Result<(), Full> {
        self.account.budget.take(self.account.client, bytes, self.account.limits)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.account.budget.give_back(self.account.client, self.bytes);
    }
}

/// One body that is being collected.
pub(super) struct Collected {
    first: Bytes,
    all: BytesMut,
    /// As its head says; 0 if that says nothing.
    length: usize,
    account: Account,
    /// None for most, and boxed: it is moved with each body.
    counted: Option<Box<Counted>>,
}

impl Collected {
    /// Of a request that was admitted, so that it is known whose it is. Nobody's are one client's.
    pub(super) fn new(length: usize, server: &Server) -> Self {
        let client = client::current().unwrap_or(ClientId(0));
        Self::of(length, Account { budget: &IN_HAND, client, limits: Limits::of(server) })
    }

    fn of(length: usize, account: Account) -> Self {
        Self { first: Bytes::new(), all: BytesMut::new(), length, account, counted: None }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Full> {
        if bytes == 0 {
            return Ok(());
        }
        let account = self.account;
        self.counted.get_or_insert_with(|| Box::new(Counted { account, bytes: 0 })).add(bytes)
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
            self.count(if whole { 0 } else { piece.len() })?;
            self.first = piece;
            return Ok(());
        }
        self.count(piece.len())?;
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
    _counted: Option<Box<Counted>>,
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

    const ONE: ClientId = ClientId(1);
    const OTHER: ClientId = ClientId(2);

    fn collected(budget: &'static Budget, client: ClientId, length: usize, limits: (usize, usize)) -> Collected {
        let limits = Limits { all: limits.0, client: limits.1 };
        Collected::of(length, Account { budget, client, limits })
    }

    fn budget() -> &'static Budget {
        Box::leak(Box::new(Budget::new()))
    }

    fn is_empty(budget: &Budget) -> bool {
        let in_hand = budget.in_hand();
        in_hand.all == 0 && in_hand.clients.is_empty()
    }

    fn piece(bytes: usize) -> Bytes {
        Bytes::from(vec![b'x'; bytes])
    }

    #[test]
    fn a_body_in_pieces_is_their_sum_and_one_in_one_piece_is_not_copied() {
        let mut whole = collected(budget(), ONE, 9, (0, 0));
        let one = Bytes::from_static(b"one piece");
        whole.add(one.clone()).unwrap();
        assert_eq!(whole.into_whole().as_ptr(), one.as_ptr());
        let mut parts = collected(budget(), ONE, 15, (100, 100));
        [&b"in "[..], b"", b"three ", b"pieces"].into_iter().for_each(|part| parts.add(Bytes::from_static(part)).unwrap());
        assert_eq!(&*parts.into_whole(), b"in three pieces");
        assert!(collected(budget(), ONE, 0, (0, 0)).into_whole().is_empty());
    }

    #[test]
    fn what_all_bodies_have_in_hand_is_bounded_and_given_back_with_each() {
        let (budget, limits) = (budget(), (100, 100));
        let mut one = collected(budget, ONE, 100, limits);
        assert_eq!([one.add(piece(30)), one.add(piece(40))], [Ok(()), Ok(())]);
        let mut other = collected(budget, OTHER, 0, limits);
        assert_eq!(other.add(piece(31)), Err(Full::Budget));
        assert_eq!(other.add(piece(30)), Ok(()));
        let mut small = collected(budget, OTHER, 50, limits);
        assert_eq!(small.add(piece(50)), Ok(()), "what is here whole is no more in hand than its request");
        assert_eq!(one.add(piece(1)), Err(Full::Budget));
        drop(other);
        assert_eq!(one.add(piece(30)), Ok(()));
        let whole = one.into_whole();
        assert!(whole.len() == 100 && !is_empty(budget), "it is in hand until it is read");
        drop(whole);
        assert!(is_empty(budget));
    }

    /// It was one pot: with 260 slow connections one client had all of it.
    #[test]
    fn a_client_has_no_more_than_its_share_over_all_its_bodies_and_others_have_the_rest() {
        let (budget, limits) = (budget(), (100, 50));
        let mut greedy: Vec<_> = (0..3).map(|_| collected(budget, ONE, 0, limits)).collect();
        let added: Vec<_> = greedy.iter_mut().map(|body| body.add(piece(20))).collect();
        assert_eq!(added, [Ok(()), Ok(()), Err(Full::Share)]);
        let mut modest = collected(budget, OTHER, 0, limits);
        assert_eq!([modest.add(piece(25)), modest.add(piece(25)), modest.add(piece(1))], [Ok(()), Ok(()), Err(Full::Share)]);
        greedy.remove(0);
        assert_eq!(greedy[1].add(piece(30)), Ok(()), "what one body gave back another of the client may have");
        drop((greedy, modest));
        assert!(is_empty(budget), "who has nothing in hand is forgotten");
    }

    #[test]
    fn the_share_of_a_client_is_what_the_settings_say_and_at_least_one_body() {
        for (bodies_mb, key_share_percent, share) in
            [(256, 50, 128 << 20), (256, 100, 256 << 20), (1, 50, 1 << 20), (8, 1, 1 << 20)]
        {
            let limits = Limits::of(&Server { bodies_mb, key_share_percent, ..Server::default() });
            // Whole percents of the bytes.
            assert!(limits.client <= share && limits.client + 100 > share, "{bodies_mb} {key_share_percent}: {}", limits.client);
        }
    }

    #[test]
    fn no_body_is_larger_than_one_may_be() {
        let (budget, limits) = (budget(), (usize::MAX, usize::MAX));
        let mut body = collected(budget, ONE, 0, limits);
        assert_eq!([body.add(piece(MAX_BODY_BYTES)), body.add(piece(1))], [Ok(()), Err(Full::TooLarge)]);
        assert_eq!(collected(budget, ONE, 0, limits).add(piece(MAX_BODY_BYTES + 1)), Err(Full::TooLarge));
        drop(body);
        assert!(is_empty(budget));
    }
}
