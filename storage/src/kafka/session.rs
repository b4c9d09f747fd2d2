//! Threads that live in sessions, each from a connection to its first failure: their pauses, and their end.
//!
//! Invariant: a thread that was asked to stop goes on with what it has left to do until the deadline it was given, and ends
//! then, whatever it waits for.

use crate::backoff::Backoff;
use crossbeam::channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};
use std::io;
use std::time::{Duration, Instant};

/// Between sessions that fail.
const PAUSES: Backoff = Backoff::doubling(Duration::from_millis(250), Duration::from_secs(15));
/// A session that lived this long was a good one.
const GOOD_LIFE: Duration = Duration::from_secs(30);
/// Between two looks at whether a call is still worth waiting for.
const LOOK: Duration = Duration::from_millis(20);

/// How long to wait after each session that failed.
pub(crate) struct Pauses(Backoff);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(PAUSES)
    }

    pub(crate) fn after(&mut self, life: Duration) -> Duration {
        if life > GOOD_LIFE {
            self.0.reset();
        }
        self.0.next_pause()
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

    /// It is time to end with what is in hand, and to begin nothing that nobody waits for.
    pub(crate) fn asked(&mut self) -> bool {
        match self.asks.try_recv() {
            Ok(deadline) => self.deadline = Some(deadline),
            Err(TryRecvError::Disconnected) => self.deadline = self.deadline.or(Some(Instant::now())),
            Err(TryRecvError::Empty) => {}
        }
        self.deadline.is_some()
    }

    /// There is no more time for what is in hand.
    pub(crate) fn late(&mut self) -> bool {
        self.asked() && self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits between two sessions. A stop ends the pause, and the pauses after it end by the deadline. True if it is late.
    pub(crate) fn rest(&mut self, pause: Duration) -> bool {
        match self.deadline {
            Some(deadline) => std::thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now()))),
            None => self.wait_for_ask(pause),
        }
        self.late()
    }

    fn wait_for_ask(&mut self, pause: Duration) {
        match self.asks.recv_timeout(pause) {
            Ok(deadline) => self.deadline = Some(deadline),
            Err(RecvTimeoutError::Disconnected) => self.deadline = Some(Instant::now()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }

    /// Makes a call that cannot be broken off, on a thread of its own, and waits for it. None if it is late before the call
    /// ends: then the call ends by itself, and nobody hears how.
    ///
    /// # Errors
    /// If the thread cannot be started, or panics.
    pub(crate) fn unless_late<T: Send + 'static>(&mut self, call: impl FnOnce() -> T + Send + 'static) -> io::Result<Option<T>> {
        self.unless(Self::late, call)
    }

    /// The same for a call that is not worth waiting for once it is time to stop.
    ///
    /// # Errors
    /// As [`Self::unless_late`].
    pub(crate) fn unless_asked<T: Send + 'static>(&mut self, call: impl FnOnce() -> T + Send + 'static) -> io::Result<Option<T>> {
        self.unless(Self::asked, call)
    }

    /// Drops what may take long to close, on a thread of its own, and waits for it for as long as there is time.
    pub(crate) fn close<T: Send + 'static>(&mut self, value: T) {
        let closed = aside(move || drop(value)).and_then(|closed| self.wait(&closed, Self::late));
        if let Err(error) = closed {
            tracing::debug!(%error, "a session was not closed in order");
        }
    }

    fn unless<T: Send + 'static>(
        &mut self,
        over: impl Fn(&mut Self) -> bool,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Option<T>> {
        if over(self) { Ok(None) } else { self.wait(&aside(call)?, over) }
    }

    fn wait<T>(&mut self, answered: &Receiver<T>, over: impl Fn(&mut Self) -> bool) -> io::Result<Option<T>> {
        loop {
            match answered.recv_timeout(LOOK) {
                Ok(answer) => return Ok(Some(answer)),
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("a call of the session panicked")),
                Err(RecvTimeoutError::Timeout) if over(self) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Runs a call on a thread of its own.
fn aside<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> io::Result<Receiver<T>> {
    let (answer, answered) = bounded(1);
    // Whoever asked may not have had the time to wait.
    let run = move || drop(answer.send(call()));
    std::thread::Builder::new().name("session-call".to_owned()).spawn(run)?;
    Ok(answered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::Sender;

    /// Longer than any test runs.
    const LONG: Duration = Duration::from_secs(600);

    fn stop() -> (Sender<Instant>, Stop) {
        let (ask, asks) = bounded(1);
        (ask, Stop::new(asks))
    }

    fn asked_for(time: Duration) -> Stop {
        let (ask, stop) = stop();
        ask.send(Instant::now() + time).unwrap();
        stop
    }

    #[test]
    fn a_stop_with_time_left_is_asked_for_and_not_late() {
        let (ask, mut stop) = stop();
        assert!(!stop.asked() && !stop.late());
        ask.send(Instant::now() + LONG).unwrap();
        assert!(stop.asked() && !stop.late());
        let mut at_once = asked_for(Duration::ZERO);
        assert!(at_once.late(), "a look at the deadline hears of it");
    }

    #[test]
    fn whoever_asks_and_is_gone_gave_its_deadline_and_one_who_is_just_gone_asks_at_once() {
        let mut asked = asked_for(LONG);
        assert!(asked.asked() && !asked.late(), "the deadline counts after the one who gave it is gone");
        let (ask, mut gone) = stop();
        drop(ask);
        assert!(gone.late());
    }

    #[test]
    fn a_stop_ends_the_pause_and_leaves_the_time_after_it() {
        let (ask, mut stop) = stop();
        let asks = std::thread::spawn(move || ask.send(Instant::now() + 2 * LONG));
        let began = Instant::now();
        assert!(!stop.rest(LONG), "there is time for one more session");
        assert!(began.elapsed() < LONG);
        asks.join().unwrap().unwrap();
        assert!(!stop.rest(Duration::from_millis(1)), "and for another after a pause");
    }

    #[test]
    fn a_pause_ends_by_the_deadline() {
        let mut stop = asked_for(Duration::from_millis(50));
        assert!(stop.asked());
        let began = Instant::now();
        assert!(stop.rest(LONG));
        assert!(began.elapsed() < LONG);
    }

    /// A call that ends when the test lets it.
    fn blocked() -> (Sender<()>, impl FnOnce() + Send + 'static) {
        let (let_go, held) = bounded::<()>(0);
        (let_go, move || {
            let _ = held.recv_timeout(LONG);
        })
    }

    #[test]
    fn a_call_that_blocks_is_left_alone_once_it_is_late() {
        let (_held, call) = blocked();
        assert_eq!(asked_for(Duration::from_millis(50)).unless_late(call).unwrap(), None);
        let (_held, call) = blocked();
        assert_eq!(asked_for(Duration::ZERO).unless_late(call).unwrap(), None);
    }

    #[test]
    fn a_call_nobody_needs_after_a_stop_is_left_alone_once_it_is_asked_for() {
        let (_held, call) = blocked();
        let (ask, mut stop) = stop();
        let asks = std::thread::spawn(move || ask.send(Instant::now() + LONG));
        assert_eq!(stop.unless_asked(call).unwrap(), None);
        asks.join().unwrap().unwrap();
    }

    struct SlowToClose(Receiver<()>);

    impl Drop for SlowToClose {
        fn drop(&mut self) {
            let _ = self.0.recv_timeout(LONG);
        }
    }

    #[test]
    fn what_is_slow_to_close_is_left_alone_once_it_is_late() {
        for time in [Duration::ZERO, Duration::from_millis(50)] {
            let (_held, slow) = bounded(0);
            let began = Instant::now();
            asked_for(time).close(SlowToClose(slow));
            assert!(began.elapsed() < LONG);
        }
    }

    #[test]
    fn a_call_that_ends_in_time_is_answered_though_a_stop_was_asked_for() {
        assert_eq!(asked_for(LONG).unless_late(|| 7).unwrap(), Some(7));
        let (_ask, mut stop) = stop();
        assert_eq!(stop.unless_asked(|| 7).unwrap(), Some(7));
        assert!(stop.unless_late(|| -> u8 { panic!("a planted panic") }).is_err());
    }

    #[test]
    fn pauses_grow_after_short_sessions_and_begin_anew_after_a_good_one() {
        let mut pauses = Pauses::new();
        let short: Vec<u128> = (0..8).map(|_| pauses.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(short, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        assert_eq!(pauses.after(GOOD_LIFE + Duration::from_millis(1)).as_millis(), 250);
    }
}
