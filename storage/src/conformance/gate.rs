//! A gate in the way of something: a test holds it up, and lets it go on, without any time passing.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What passes it waits where it is shut.
#[derive(Debug, Default)]
pub struct Gate {
    shut: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    pub fn set(&self, shut: bool) {
        *self.lock() = shut;
        self.moved.notify_all();
    }

    pub fn is_shut(&self) -> bool {
        *self.lock()
    }

    pub fn pass(&self) {
        let open = self.moved.wait_while(self.lock(), |shut| *shut);
        drop(open.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
