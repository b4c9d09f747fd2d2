//! The bodies that requests on this thread wait for, under one timer for all: a timer each would cost every order one.
//!
//! Invariants: a body may neither pause too long, nor come too slowly, nor take too long as a whole; only the time counts in which
//! the server waits for the client, never that in which it reads nothing.

use crate::process::stopping::Phase;
use crate::settings::Server;
use slab::Slab;
use std::cell::RefCell;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::watch;

thread_local! {
    static WAITING: RefCell<Waiting> = RefCell::default();
}

/// How long a body is waited for, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    silence: u64,
    /// Of all of it.
    whole: u64,
    /// Bytes that have to come in each second on average, once as many seconds are over as it may be silent.
    rate: u64,
}

impl Timeouts {
    pub(super) fn of(server: &Server) -> Self {
        Self { silence: server.body_timeout_seconds, whole: server.body_seconds, rate: server.body_min_bytes_per_second }
    }

    /// For a body of any length.
    pub(super) fn endless(self) -> Self {
        Self { whole: u64::MAX, ..self }
    }
}

/// What was too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    Silent { seconds: u64 },
    Slow { rate: u64 },
    Long { seconds: u64 },
}

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent { seconds } => write!(f, "nothing of the body came for {seconds} s: nothing was executed"),
            Self::Slow { rate } => write!(f, "the body came slower than {rate} bytes/s: nothing was executed"),
            Self::Long { seconds } => write!(f, "the body did not come whole within {seconds} s: nothing was executed"),
        }
    }
}

/// One body among those that this thread waits for. Left out with the value.
pub(super) struct Entry(usize);

impl Entry {
    /// `phase` is asked for if nobody was waited for.
    pub(super) fn new(waker: &Waker, timeout: Timeouts, phase: impl FnOnce() -> watch::Receiver<Phase>) -> Self {
        Self(WAITING.with_borrow_mut(|waiting| waiting.add(waker, timeout, phase)))
    }

    pub(super) fn heard_of(&self, bytes: usize) {
        WAITING.with_borrow_mut(|waiting| waiting.heard_of(self.0, bytes));
    }

    /// It is waited for. Ready if for too long.
    pub(super) fn late(&self, waker: &Waker) -> Poll<Late> {
        WAITING.with_borrow_mut(|waiting| waiting.late(self.0, waker))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Not there any more while the thread ends.
        let _ = WAITING.try_with(|waiting| waiting.borrow_mut().bodies.try_remove(self.0));
    }
}

#[derive(Default)]
struct Waiting {
    bodies: Slab<Body>,
    ticking: bool,
}

struct Body {
    waker: Waker,
    timeout: Timeouts,
    /// Whether the server waits for more of it.
    awaited: bool,
    /// Seconds waited since the last piece, and in all.
    silent: u64,
    waited: u64,
    bytes: u64,
}

impl Body {
    /// A second that has begun when the wait did counts as one: nobody is cut off early.
    fn late(&self) -> Option<Late> {
        let Timeouts { silence, whole, rate } = self.timeout;
        let slow = self.waited > silence && self.bytes < (self.waited - 1).saturating_mul(rate);
        match self {
            body if body.silent > silence => Some(Late::Silent { seconds: silence }),
            body if body.waited > whole => Some(Late::Long { seconds: whole }),
            _ => slow.then_some(Late::Slow { rate }),
        }
    }

    fn wait(&mut self, seconds: u64) {
        if self.awaited {
            self.silent += seconds;
            self.waited += seconds;
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

impl Waiting {
    fn add(&mut self, waker: &Waker, timeout: Timeouts, phase: impl FnOnce() -> watch::Receiver<Phase>) -> usize {
        if !self.ticking {
            self.ticking = true;
            actix_web::rt::spawn(tick(phase()));
        }
        self.bodies.insert(Body { waker: waker.clone(), timeout, awaited: true, silent: 0, waited: 0, bytes: 0 })
    }

    fn heard_of(&mut self, key: usize, bytes: usize) {
        if let Some(body) = self.bodies.get_mut(key) {
            (body.silent, body.awaited) = (0, false);
            body.bytes += bytes as u64;
        }
    }

    fn late(&mut self, key: usize, waker: &Waker) -> Poll<Late> {
        let Some(body) = self.bodies.get_mut(key) else { return Poll::Pending };
        body.waker.clone_from(waker);
        body.awaited = true;
        body.late().map_or(Poll::Pending, Poll::Ready)
    }

    /// Seconds have passed, or the server closes. Returns whom to wake. Empty-handed it ends.
    fn tick(&mut self, seconds: u64, closing: bool) -> Option<Vec<Waker>> {
        self.bodies.iter_mut().for_each(|(_, body)| body.wait(seconds));
        self.ticking = !self.bodies.is_empty();
        let due = self.bodies.iter().map(|(_, body)| body).filter(|body| closing || body.late().is_some());
        self.ticking.then(|| due.map(|body| body.waker.clone()).collect())
    }
}

/// Wakes those who waited long enough, each second, and all of them when the server closes.
async fn tick(mut phase: watch::Receiver<Phase>) {
    let mut closing = false;
    loop {
        let seconds = tokio::select! {
            () = tokio::time::sleep(SECOND) => 1,
            _ = phase.wait_for(|phase| *phase == Phase::Closing), if !closing => { closing = true; 0 }
        };
        let Some(due) = WAITING.with_borrow_mut(|waiting| waiting.tick(seconds, closing)) else { return };
        due.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Timeouts = Timeouts { silence: 2, whole: 5, rate: 100 };

    fn added(waiting: &mut Waiting, timeout: Timeouts) -> usize {
        waiting.ticking = true;
        waiting.add(Waker::noop(), timeout, || unreachable!("it ticks"))
    }

    /// Seconds until a body is late of which so many bytes come every second, and why it is.
    fn late_after(timeout: Timeouts, bytes: usize) -> Option<(u64, Late)> {
        let mut waiting = Waiting::default();
        let key = added(&mut waiting, timeout);
        for second in 1..100 {
            let due = waiting.tick(1, false).unwrap().len();
            let late = waiting.late(key, Waker::noop());
            assert_eq!(due, usize::from(late.is_ready()), "whoever is late is woken, and nobody else");
            if let Poll::Ready(late) = late {
                return Some((second, late));
            }
            if bytes > 0 {
                waiting.heard_of(key, bytes);
                assert!(waiting.late(key, Waker::noop()).is_pending());
            }
        }
        None
    }

    #[test]
    fn a_body_is_silent_once_its_seconds_have_passed_whole_and_each_piece_begins_them_anew() {
        assert_eq!(late_after(TIMEOUT, 0), Some((3, Late::Silent { seconds: 2 })));
        let mut waiting = Waiting::default();
        let key = added(&mut waiting, TIMEOUT);
        assert_eq!(waiting.tick(2, false).map(|due| due.len()), Some(0));
        waiting.heard_of(key, 1_000);
        assert!(waiting.late(key, Waker::noop()).is_pending());
        assert_eq!([1, 1, 1].map(|seconds| waiting.tick(seconds, false).unwrap().len()), [0, 0, 1]);
    }

    /// One byte every 29 s held a request for ever.
    #[test]
    fn a_body_that_trickles_is_too_slow_once_the_silence_it_may_have_is_over() {
        assert_eq!(late_after(TIMEOUT, 1), Some((3, Late::Slow { rate: 100 })));
        assert_eq!(late_after(TIMEOUT.endless(), 99), Some((3, Late::Slow { rate: 100 })));
        assert_eq!(late_after(Timeouts { rate: 0, ..TIMEOUT.endless() }, 1), None, "no least rate");
    }

    #[test]
    fn a_body_that_comes_fast_enough_may_still_not_take_for_ever_but_one_of_any_length_may() {
        assert_eq!(late_after(TIMEOUT, 1_000_000), Some((6, Late::Long { seconds: 5 })));
        assert_eq!(late_after(TIMEOUT.endless(), 100), None);
    }

    #[test]
    fn time_in_which_the_server_reads_nothing_is_none_of_the_clients() {
        let mut waiting = Waiting::default();
        let key = added(&mut waiting, TIMEOUT);
        waiting.heard_of(key, 1);
        assert_eq!(waiting.tick(1_000, false).map(|due| due.len()), Some(0));
        assert!(waiting.late(key, Waker::noop()).is_pending());
        assert_eq!(waiting.tick(3, false).map(|due| due.len()), Some(1), "it is awaited again");
    }

    #[test]
    fn closing_wakes_every_body_and_the_timer_ends_without_any() {
        let mut waiting = Waiting::default();
        let keys = [added(&mut waiting, TIMEOUT), added(&mut waiting, TIMEOUT)];
        assert_eq!(waiting.tick(0, true).map(|due| due.len()), Some(2));
        keys.into_iter().for_each(|key| drop(waiting.bodies.remove(key)));
        assert!(waiting.tick(1, false).is_none() && !waiting.ticking);
    }
}
