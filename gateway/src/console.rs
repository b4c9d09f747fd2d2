//! The console: what operators see of a running server in a browser.
//!
//! This room knows neither requests nor the engine's handle: sessions, pages and plots are values made of what they are given, and
//! `http::routes::console` serves them. Invariant: every text that somebody sent us reaches a page through maud, which escapes it.

pub mod assets;
pub mod audits;
pub mod frames;
pub mod layout;
pub mod logins;
pub mod navigation;
pub mod pages;
pub mod plot;
pub mod readings;
pub mod session;
pub mod sight;
pub mod table;

use audits::Audits;
use frames::Frames;
use logins::Logins;
use session::Sessions;
use sight::History;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What the console keeps beside the engine.
pub struct Console {
    pub sessions: Sessions,
    pub logins: Logins,
    pub frames: Frames,
    pub history: History,
    pub audits: Audits,
    /// A search of all partitions: there is one at a time.
    pub search: Semaphore,
}

impl Console {
    /// `idle` is how long a session may rest before it ends.
    pub fn new(idle: Duration) -> Self {
        Self {
            sessions: Sessions::new(idle),
            logins: Logins::default(),
            frames: Frames::default(),
            history: History::default(),
            audits: Audits::default(),
            search: Semaphore::new(1),
        }
    }
}
