//! Threads that live in sessions, each from a connection to its first failure: their pauses, and their end.
//!
//! Invariant: a thread that was asked to stop ends by the deadline it was given, whatever it waits for.

use crossbeam::channel::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

/// Pauses between sessions that fail: the first, doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(15);
/// A session that lived this long was a good one.
const GOOD_LIFE: Duration = Duration::from_secs(30);

/// How long to wait after each session that failed.
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    pub(crate) fn after(&mut self, life: Duration) -> Duration {
        let pause = if life > GOOD_LIFE { FIRST_PAUSE } else { self.0 };
        self.0 = (2 * pause).min(LAST_PAUSE);
        pause
    }
}

/// Whether a thread is asked to stop, and by when. Whoever asks sends the deadline; one who is gone asks at once.
pub(crate) struct Stop {
    asks: Receiver<Instant>,
    deadline: Option<Instant>,
}

impl Stop {
    pub(crate) fn new(asks: Receiver<Instant>) -> Self {
        Self { asks, deadline: None }
    }

    pub(crate) fn asked(&mut self) -> bool {
        match self.asks.try_recv() {
            Ok(deadline) => self.deadline = Some(deadline),
            Err(TryRecvError::Disconnected) => self.deadline = self.deadline.or(Some(Instant::now())),
            Err(TryRecvError::Empty) => {}
        }
        self.deadline.is_some()
    }

    /// There is no more time for what is in hand.
    pub(crate) fn late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits. True if it is time to stop: then there is no more to wait for.
    pub(crate) fn rest(&self, pause: Duration) -> bool {
        self.deadline.is_some() || !matches!(self.asks.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
    }
}
