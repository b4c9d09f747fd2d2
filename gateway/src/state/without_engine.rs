//! What routes need, for tests that need no engine.

use super::App;
use crate::console::Console;
use crate::events::streams::Streams;
use crate::keys::Keys;
use crate::keys::refusals::Refusals;
use crate::live::Frames;
use crate::process::stopping::Phase;
use crate::rates::Rates;
use crate::settings::{Settings, Tuned};
use crate::telemetry::metrics::Exposition;
use crate::threads::bulk::Bulk;
use crate::tuning::Tuning;
use arc_swap::{ArcSwap, ArcSwapOption};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::collections::BTreeMap;
use tokio::sync::watch;

impl App {
    /// Must be called inside an actix system.
    pub(crate) fn without_engine(settings: Settings) -> Self {
        Self {
            accept_clock: false,
            lock: None,
            keys: Keys::load(&[], None).unwrap(),
            refusals: Refusals::default(),
            rates: Rates::of(&settings.limits),
            console: Console::new(std::time::Duration::from_secs(settings.console.idle_seconds)),
            live: ArcSwapOption::empty(),
            down: ArcSwapOption::empty(),
            phase: watch::Sender::new(Phase::Serving),
            bulk: Bulk::start(1),
            streams: Streams::start(&settings.server).unwrap(),
            pages: crate::threads::readers::Readers::start("pages", 1).unwrap(),
            backing_up: false.into(),
            sandbox: None,
            base_url: String::new(),
            operators_url: None,
            metrics: Exposition::new(PrometheusBuilder::new().build_recorder().handle(), &settings.telemetry),
            tuned: ArcSwap::from_pointee(settings.clone()),
            frames: Frames::default(),
            tuning: Tuning::new(Tuned { base: settings.clone(), ..Tuned::default() }, BTreeMap::new()),
            settings,
        }
    }
}
