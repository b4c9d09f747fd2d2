//! The queue of an inbox: what comes alone, what comes in bulk, and whether its reader is awake.
//!
//! Invariants: after a push into an open queue its reader is awake or about to be woken; a closed queue takes nothing and keeps nothing.
//! Every interleaving of its threads that shuttle finds is run by `tests/interleavings.rs`.

use crate::sync::{AtomicBool, Ordering, SegQueue};
use std::collections::VecDeque;

/// While there are other messages, for so many of them one that came in bulk is read.
const BULK_PART: usize = 4;

/// How a message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Alone,
    InBulk,
}

#[derive(Debug)]
pub(crate) struct Queue<T> {
    alone: SegQueue<T>,
    bulk: SegQueue<T>,
    awake: AtomicBool,
    closed: AtomicBool,
}

impl<T> Queue<T> {
    /// Nobody reads it yet.
    pub(crate) fn new() -> Self {
        let (alone, bulk) = (SegQueue::new(), SegQueue::new());
        Self { alone, bulk, awake: AtomicBool::new(true), closed: AtomicBool::new(false) }
    }

    /// There is a reader: from now on messages `wake` it, and those that have come do.
    pub(crate) fn attach(&self, wake: impl FnOnce()) {
        self.awake.store(false, Ordering::SeqCst);
        self.rouse(wake);
    }

    /// False if the queue is closed; the message is dropped then.
    pub(crate) fn push(&self, way: Way, message: T, wake: impl FnOnce()) -> bool {
        if self.closed() {
            return false;
        }
        match way {
            Way::Alone => self.alone.push(message),
            Way::InBulk => self.bulk.push(message),
        }
        self.rouse(wake);
        if self.closed() {
            self.clear();
        }
        true
    }

    fn rouse(&self, wake: impl FnOnce()) {
        if !self.awake.swap(true, Ordering::SeqCst) {
            wake();
        }
    }

    /// Takes up to `most` messages, and behind them some of those that came in bulk: fewer while there are others.
    pub(crate) fn take(&self, most: usize, taken: &mut VecDeque<T>) {
        taken.extend(std::iter::from_fn(|| self.alone.pop()).take(most));
        let bulk = if taken.is_empty() { most } else { most / BULK_PART };
        taken.extend(std::iter::from_fn(|| self.bulk.pop()).take(bulk));
    }

    /// The reader has read everything and goes to sleep. False if something came meanwhile.
    pub(crate) fn sleep(&self) -> bool {
        self.awake.store(false, Ordering::SeqCst);
        self.is_empty() || self.awake.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.alone.is_empty() && self.bulk.is_empty()
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.clear();
    }

    /// Whoever closes and whoever pushes at the same moment both call it, each after what it did: one of them finds the message.
    fn clear(&self) {
        while self.alone.pop().or_else(|| self.bulk.pop()).is_some() {}
    }

    pub(crate) fn closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}
