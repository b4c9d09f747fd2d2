//! What everything that serves shares: settings, keys, and the engine while there is one.
//!
//! Invariant: while there is no live engine every request that needs one gets 503, not executed.

#[cfg(test)]
mod without_engine;

use crate::console::Console;
use crate::events::cursor::Cursors;
use crate::events::streams::Streams;
use crate::keys::Keys;
use crate::keys::refusals::Refusals;
use crate::live::Frames;
use crate::process::stopping::Phase;
use crate::providers::sandbox::Sandbox;
use crate::rates::Rates;
use crate::settings::Settings;
use crate::telemetry::metrics::Exposition;
use crate::threads::bulk::Bulk;
use crate::threads::readers::Readers;
use crate::tuning::Tuning;
use arc_swap::{ArcSwap, ArcSwapOption};
use holdfast_actors::clock::Clock;
use holdfast_actors::{Engine, Handle};
use holdfast_storage::rows::Projector;
use holdfast_storage::{DirectoryLock, Journal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// What routes need.
pub struct App {
    /// As they were at the start. Those that can be changed meanwhile are read from `tuned`.
    pub settings: Settings,
    pub tuned: ArcSwap<Settings>,
    /// How they came to be so, and what is planned.
    pub tuning: Tuning,
    /// What the engine did in the last minute.
    pub frames: Frames,
    /// Keeps the data directory for this process. None without one.
    pub lock: Option<DirectoryLock>,
    /// Start although wall clock and journal are far apart.
    pub accept_clock: bool,
    pub keys: Keys,
    pub refusals: Refusals,
    pub rates: Rates,
    pub console: Console,
    pub live: ArcSwapOption<Live>,
    /// Why there is no live engine, for `/readyz`.
    pub down: ArcSwapOption<String>,
    /// How far a stop has come.
    pub phase: watch::Sender<Phase>,
    pub sandbox: Option<Arc<Sandbox>>,
    /// Where requests that are many in one are served.
    pub bulk: Bulk,
    pub streams: Arc<Streams>,
    /// Where pages of events are read.
    pub pages: Readers,
    /// Whether a backup is being made.
    pub backing_up: AtomicBool,
    pub base_url: String,
    /// Where operators are served, if not beside the API.
    pub operators_url: Option<String>,
    pub metrics: Exposition,
}

impl App {
    /// Whether the server stops and takes nothing more.
    pub fn is_closing(&self) -> bool {
        *self.phase.borrow() == Phase::Closing
    }
}

/// An engine that takes requests.
pub struct Live {
    pub handle: Handle,
    pub journal: Arc<dyn Journal>,
    pub projector: Projector,
    pub cursors: Cursors,
    /// Changes with each commit.
    pub committed: watch::Receiver<u64>,
    pub clock: Clock,
}

impl Live {
    pub fn of(engine: &Engine, cursors: Cursors) -> Self {
        Self {
            handle: engine.handle.clone(),
            journal: engine.journal().clone(),
            projector: engine.projector().clone(),
            cursors,
            committed: engine.committed(),
            clock: engine.clock(),
        }
    }
}
