//! The audit that runs, or the last one that did, as the console shows it.
//!
//! Invariant: what is shown as running ends: whoever began it says how, also if it was given up.

use holdfast_engine::time::Timestamp;
use holdfast_storage::audit::Report;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Violations that are shown. The API has more of them.
const SHOWN: usize = 20;

#[derive(Debug, Default)]
pub struct Audits(Mutex<Option<Shown>>);

/// How far an audit has come. Commits, of all there are.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    all: AtomicU64,
}

impl Progress {
    pub fn is(&self, done: u64, all: u64) {
        self.all.store(all, Ordering::Relaxed);
        self.done.store(done, Ordering::Relaxed);
    }

    /// Done, and all.
    pub fn now(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Debug)]
pub struct Shown {
    pub begun: Timestamp,
    pub state: State,
}

#[derive(Clone, Debug)]
pub enum State {
    Runs(Arc<Progress>),
    Ended {
        at: Timestamp,
        found: Found,
    },
    /// It was given up, for this reason.
    Failed {
        at: Timestamp,
        reason: String,
    },
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub events: u64,
    pub orders: u64,
    pub reservations: u64,
    pub skus: u64,
    /// The first of them.
    pub violations: Vec<String>,
    pub all_violations: usize,
}

impl From<Report> for Found {
    fn from(Report { events, orders, reservations, skus, mut violations, .. }: Report) -> Self {
        let all_violations = violations.len();
        violations.truncate(SHOWN);
        Self { events, orders, reservations, skus, violations, all_violations }
    }
}

impl Audits {
    /// An audit has begun. Returns where it tells how far it has come.
    pub fn begin(&self, begun: Timestamp) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        self.show(Shown { begun, state: State::Runs(progress.clone()) });
        progress
    }

    /// The audit that began then is over.
    pub fn end(&self, begun: Timestamp, at: Timestamp, outcome: Result<Report, String>) {
        let state = match outcome {
            Ok(report) => State::Ended { at, found: report.into() },
            Err(reason) => State::Failed { at, reason },
        };
        self.show(Shown { begun, state });
    }

    pub fn now(&self) -> Option<Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, shown: Shown) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }
}
