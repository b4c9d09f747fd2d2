//! Streams of events: how many are open, whose they are, and the thread that reads for them.
//!
//! Invariants: no more streams are open than `server.max_streams`, and a client with its share of them leaves the last ones to others;
//! a stream that has ended is counted no more. Every stream that ended with its connection is counted as disconnected: nobody here is told
//! whether its reader closed it, or the system, as it does where a reader takes nothing for `server.stream_patience_seconds` (see
//! `crate::http::server`). Where it ended with a full buffer its reader was behind for certain: that one is logged, and counted as dropped too.

mod reader;

use crate::settings::Server;
use holdfast_actors::ClientId;
pub use reader::{Chunk, Reader, slice};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The part of all streams that is kept for clients with less than their share: one in so many.
const KEPT: usize = 50;
/// Streams that have nothing to read look again at most once in this time for each that is open: at most two thousand looks a second,
/// however many streams there are.
const LOOK: Duration = Duration::from_micros(500);

pub struct Streams {
    pub reader: Reader,
    max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_client: HashMap<Option<ClientId>, usize>,
}

impl Streams {
    /// # Errors
    /// If the thread that reads cannot be started.
    pub fn start(server: &Server) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { reader: Reader::start()?, max: server.max_streams, open: Mutex::default() }))
    }

    /// `percent` is the part of all streams that one client may have: it may change from one to the next.
    ///
    /// # Errors
    /// If there is no room for one more.
    pub fn enter(self: &Arc<Self>, client: Option<ClientId>, percent: u8) -> Result<Place, NoRoom> {
        let share = (self.max.saturating_mul(usize::from(percent)) / 100).max(1);
        let mut open = self.open();
        let own = open.by_client.get(&client).copied().unwrap_or_default();
        if open.all >= self.max {
            return Err(NoRoom::Full);
        }
        if own >= share && open.all >= self.max - self.max.div_ceil(KEPT) {
            return Err(NoRoom::ShareTaken);
        }
        open.all += 1;
        open.by_client.insert(client, own + 1);
        metrics::gauge!("holdfast_event_streams").set(open.all as f64);
        Ok(Place { streams: self.clone(), client, full: false, going: false })
    }

    fn leave(&self, client: Option<ClientId>) {
        let mut open = self.open();
        open.all -= 1;
        match open.by_client.get_mut(&client) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.by_client.remove(&client)),
        }
        metrics::gauge!("holdfast_event_streams").set(open.all as f64);
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a stream that has read everything waits before it looks again.
    pub fn pause(&self) -> Duration {
        LOOK * u32::try_from(self.open().all).unwrap_or(u32::MAX)
    }
}

/// Why no more streams are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    Full,
    /// The client has its share, and the last ones are for others.
    ShareTaken,
}

/// A stream that is open, for as long as this is there.
pub struct Place {
    streams: Arc<Streams>,
    client: Option<ClientId>,
    /// The buffer of the connection is full, as far as is known: it has asked for nothing since something was given to it.
    full: bool,
    /// It was asked for something, and has not ended by itself.
    going: bool,
}

impl Place {
    /// The connection asks for more. It does so as soon as fewer bytes than a slice wait in its buffer, whether or not its reader takes
    /// any: the system has in hand what it can hold, and the buffer may have the rest.
    pub fn asked(&mut self) {
        (self.full, self.going) = (false, true);
    }

    pub fn gives(&mut self) {
        self.full = true;
    }

    /// The stream ends by itself.
    pub fn ends(&mut self) {
        self.going = false;
    }

    pub fn client(&self) -> Option<ClientId> {
        self.client
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.leave(self.client);
        if !self.going {
            return;
        }
        metrics::counter!("holdfast_event_streams_disconnected_total").increment(1);
        if self.full {
            metrics::counter!("holdfast_event_streams_dropped_total").increment(1);
            tracing::warn!("a stream of events was dropped: its reader did not take what it was given");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Percent.
    const HALF: u8 = 50;

    fn streams(max: usize) -> Arc<Streams> {
        Streams::start(&Server { max_streams: max, ..Server::default() }).unwrap()
    }

    fn open(streams: &Arc<Streams>, client: u128, count: usize) -> Vec<Place> {
        (0..count).map_while(|_| streams.enter(Some(ClientId(client)), HALF).ok()).collect()
    }

    #[test]
    fn no_more_streams_are_open_than_there_may_be_and_the_last_are_not_for_who_has_most() {
        let streams = streams(100);
        let greedy = open(&streams, 1, 1000);
        assert_eq!(greedy.len(), 98);
        assert_eq!(streams.enter(Some(ClientId(1)), HALF).err(), Some(NoRoom::ShareTaken));
        let others = open(&streams, 2, 1000);
        assert_eq!(others.len(), 2);
        assert_eq!(streams.enter(Some(ClientId(3)), HALF).err(), Some(NoRoom::Full));
        drop(greedy);
        assert_eq!(open(&streams, 3, 1000).len(), 96);
    }

    #[test]
    fn there_may_be_one_stream_or_none() {
        assert!(streams(0).enter(None, HALF).is_err());
        let one = streams(1);
        let first = one.enter(Some(ClientId(1)), HALF).unwrap();
        assert!(one.enter(Some(ClientId(2)), HALF).is_err());
        drop(first);
        one.enter(Some(ClientId(2)), HALF).unwrap();
    }

    #[test]
    fn a_share_that_is_changed_counts_from_the_next_stream_on() {
        let streams = streams(100);
        let _open = open(&streams, 1, 98);
        assert!(streams.enter(Some(ClientId(1)), HALF).is_err());
        assert!(streams.enter(Some(ClientId(1)), 100).is_ok());
    }

    #[test]
    fn clients_without_streams_are_forgotten() {
        let streams = streams(10);
        (0..1000).for_each(|client| drop(open(&streams, client, 3)));
        assert!(streams.open().by_client.is_empty() && streams.open().all == 0);
    }
}
