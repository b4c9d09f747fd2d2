//! The queue of one worker's replies, filled by any thread, emptied by one task of its own.
//!
//! Invariant: what was pushed before a wake is taken by the poll that follows it; wakes between two polls wake the task once.
//! Every interleaving of its threads that shuttle finds is run by `tests/interleavings.rs`.

use crate::sync::{AtomicBool, AtomicWaker, Ordering, SegQueue};
use std::task::Context;

#[derive(Debug)]
pub(crate) struct Queue<T> {
    deliveries: SegQueue<T>,
    wake_pending: AtomicBool,
    waker: AtomicWaker,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { deliveries: SegQueue::new(), wake_pending: AtomicBool::new(false), waker: AtomicWaker::new() }
    }

    pub(crate) fn push(&self, delivery: T) {
        self.deliveries.push(delivery);
    }

    /// After one push or many.
    pub(crate) fn wake(&self) {
        if !self.wake_pending.swap(true, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// The task looks, before it takes what there is: whatever is pushed later wakes it again.
    pub(crate) fn watch(&self, context: &Context<'_>) {
        self.waker.register(context.waker());
        self.wake_pending.store(false, Ordering::SeqCst);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.deliveries.pop()
    }
}
