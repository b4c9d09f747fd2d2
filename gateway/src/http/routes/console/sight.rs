//! Gathers what a page shows of the server at one moment.

use crate::console::readings::Readings;
use crate::console::sight::{Health, Sight};
use crate::process::stopping::Phase;
use crate::state::App;
use holdfast_actors::clock;
use std::time::Duration;

/// A shard that does not answer in this time is shown as silent.
const SILENT: Duration = Duration::from_millis(800);

pub(super) async fn of(app: &App) -> Sight {
    let readings = Readings::read(&app.metrics.render());
    let live = app.live.load_full();
    let (mut shards, mut seen, mut operation) = (Vec::new(), Vec::new(), None);
    let at = live.as_ref().map_or_else(clock::wall, |live| live.clock.now());
    if let Some(live) = live {
        let handle = live.handle.clone();
        (seen, operation) = (handle.seen(), handle.operations().last());
        shards = tokio::time::timeout(SILENT, handle.reports()).await.unwrap_or_default();
    }
    let health = health(app);
    Sight {
        at,
        health,
        shards,
        seen,
        operation,
        frames: app.frames.last_minute(),
        readings,
        seconds: app.console.history.seconds(),
    }
}

fn health(app: &App) -> Health {
    let phase = *app.phase.borrow();
    match (phase, app.live.load().is_some()) {
        (Phase::Closing, _) => Health::Closing,
        (Phase::Serving | Phase::Draining, true) if !app.tuned.load().orders.accepting => Health::Paused,
        (Phase::Draining, true) => Health::Draining,
        (Phase::Serving, true) => Health::Taken,
        (Phase::Serving | Phase::Draining, false) => {
            Health::Down(app.down.load().as_ref().map_or_else(String::new, |reason| reason.to_string()))
        }
    }
}
