//! Who projects: a thread that runs when nobody else wants to, and while too much waits for it, one that runs as any other.
//!
//! What is closed stays in memory until it is written. Where no processor is ever free, the first thread alone would let memory grow for
//! as long as that lasts. Invariant: one of the two projects at a time, so that there is one writer.

use super::{Tail, Worker};
use crate::background;
use crossbeam::channel::{Receiver, Sender, bounded};
use std::thread::JoinHandle;

/// Closed things that wait: from so many on they are written without waiting for a processor to be free. Some 12 MB of small orders.
pub(in crate::rows) const PRESSED: usize = 16 * 1024;
/// From so few on the other thread is quick enough again.
const EASED: usize = PRESSED / 8;

/// What the two hand to each other.
pub(super) struct Shift {
    pub(super) worker: Worker,
    pub(super) tails: Vec<Tail>,
}

/// Why a shift is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// It is the turn of the other thread.
    Relieved,
    /// Nobody can ask for anything any more.
    Ended,
}

impl Shift {
    /// Works until it is over. `None`: it failed, and nothing is projected any more.
    fn work(mut self, relieved: impl Fn(usize) -> bool) -> Option<(Self, Over)> {
        match self.worker.work(&mut self.tails, relieved) {
            Ok(over) => Some((self, over)),
            Err(error) => {
                self.worker.fail(error);
                None
            }
        }
    }
}

/// Starts both threads. The one that is given back ends last.
///
/// # Errors
/// If a thread cannot be started.
pub(super) fn start(worker: Worker) -> std::io::Result<JoinHandle<()>> {
    let (relieve, pressed) = bounded(0);
    let (give_back, eased) = bounded(0);
    // A thread that runs when nobody else wants to cannot start one that runs as any other.
    let other = named("projector-full").spawn(move || relief(&pressed, &give_back))?;
    named("projector").spawn(move || {
        background::yield_to_the_hot_path();
        if let Some(shift) = worker.begin() {
            project(shift, &relieve, &eased);
        }
        drop(relieve);
        background::join(other);
    })
}

fn named(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.to_owned())
}

/// Projects while a free processor is enough.
fn project(mut shift: Shift, relieve: &Sender<Shift>, eased: &Receiver<Shift>) {
    while let Some((mine, Over::Relieved)) = shift.work(|queued| queued >= PRESSED) {
        metrics::counter!("holdfast_projection_pressed_total").increment(1);
        // The other ends only after this one, or when nothing is projected any more.
        let handed = relieve.send(mine).ok().and_then(|()| eased.recv().ok());
        let Some(back) = handed else { return };
        shift = back;
    }
}

/// Projects while more is needed.
fn relief(pressed: &Receiver<Shift>, give_back: &Sender<Shift>) {
    while let Ok(shift) = pressed.recv() {
        let Some((shift, Over::Relieved)) = shift.work(|queued| queued <= EASED) else { return };
        if give_back.send(shift).is_err() {
            return;
        }
    }
}
