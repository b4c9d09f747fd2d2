//! The states of callers, one for each: when it may go on.
//!
//! Invariant: only so many callers are remembered. Those who come when there is no room for another share one state, so that an attacker
//! with many addresses neither takes memory nor keeps others from being served.

use dashmap::DashMap;
use governor::nanos::Nanos;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A caller takes some 40 bytes: with each limit that is set at most 4 MB.
pub(super) const MOST: usize = 100_000;

/// A map that threads share, as every request of a limited group changes it.
#[derive(Default)]
pub(super) struct States {
    of: DashMap<u128, InMemoryState>,
    count: AtomicUsize,
    /// Of all whom there is no room for.
    others: InMemoryState,
}

impl StateStore for States {
    type Key = u128;

    fn measure_and_replace<T, F, E>(&self, caller: &u128, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if let Some(state) = self.of.get(caller) {
            return state.measure_and_replace(&NotKeyed::NonKey, decide);
        }
        if self.count.load(Ordering::Relaxed) >= MOST {
            return self.others.measure_and_replace(&NotKeyed::NonKey, decide);
        }
        let new = || {
            self.count.fetch_add(1, Ordering::Relaxed);
            InMemoryState::default()
        };
        self.of.entry(*caller).or_insert_with(new).measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

impl ShrinkableKeyedStateStore<u128> for States {
    /// Forgets callers who could send as many again as any other.
    fn retain_recent(&self, drop_below: Nanos) {
        self.of.retain(|_, state| time_of(state).is_some_and(|time| time > drop_below));
        self.count.store(self.of.len(), Ordering::Relaxed);
    }

    fn len(&self) -> usize {
        self.of.len()
    }

    fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

fn time_of(state: &InMemoryState) -> Option<Nanos> {
    // What refuses to decide changes nothing, and is told the time.
    match state.measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>) {
        Ok(()) => None,
        Err(time) => time,
    }
}
