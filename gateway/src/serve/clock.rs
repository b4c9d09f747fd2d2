//! The wall clock against the journal at the start, and against the engine's clock while it runs.
//!
//! Invariants: nothing is recorded under a time that is far from the last record unless the operator accepted it; a
//! difference is on a gauge at every moment, and in the log when it begins and ends.

use crate::state::App;
use actix_web::web::Data;
use holdfast_actors::StartError;
use holdfast_actors::clock::{self, Change, Clock, Implausible, Watch};
use holdfast_engine::time::Timestamp;
use holdfast_storage::Journal;
use holdfast_storage::recovery::last_record_at;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often the clocks are compared.
const EVERY: Duration = Duration::from_secs(1);
/// A last record that is older is worth a word.
const OLD_MS: u64 = 86_400_000;

/// Whether to start with this journal by the clock of this machine.
///
/// # Errors
/// If they are far apart and nobody accepted it, or the journal cannot be read.
pub(super) fn check(journal: &dyn Journal, accepted: bool) -> Result<(), StartError> {
    let Some(last) = last_record_at(journal)? else { return Ok(()) };
    let wall = clock::wall();
    match clock::check(wall, last) {
        Err(error) if accepted => tracing::warn!("{}: accepted with --accept-clock", apart(error)),
        Err(error) => return Err(error.into()),
        Ok(()) if wall.since(last) > OLD_MS => {
            tracing::warn!("{}: holds that ran out meanwhile expire now", apart(Implausible { wall, last }));
        }
        Ok(()) => {}
    }
    Ok(())
}

/// Both times, and how far they are from each other.
fn apart(Implausible { wall, last }: Implausible) -> String {
    let (far, order) = if wall >= last { (wall.since(last), "before") } else { (last.since(wall), "after") };
    let (days, hours) = (far / 86_400_000, far / 3_600_000 % 24);
    let (wall, last) = (shown(wall), shown(last));
    format!("the wall clock says {wall}, the last record of the journal is of {last}: {days} days and {hours} hours {order} that")
}

fn shown(at: Timestamp) -> String {
    let time = i64::try_from(at.millis()).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    time.map_or_else(|| format!("{} ms since 1970", at.millis()), |time| time.to_string())
}

/// What to do about clocks that are far apart at the start.
pub(super) fn advice(error: Implausible) -> String {
    let from = if error.wall >= error.last { "the wall clock" } else { "the last record" };
    format!(
        "{}\n  Nothing was recorded. Set the clock of this machine right and start again. If it is right, start once with\n  \
         `holdfast serve --accept-clock`: time goes on from {from}, and what ran out by then expires (docs/operate/clocks.md)",
        apart(error)
    )
}

/// Compares the clocks as long as the process runs.
pub(super) async fn watch(app: Data<App>) {
    let (mut clock, mut watch) = (None, Watch::default());
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // While the engine is down its clock goes on: the next engine gets it.
        clock = app.live.load().as_ref().map(|live| live.clock).or(clock);
        if let Some(clock) = clock {
            compare(clock, &mut watch);
        }
    }
}

fn compare(clock: Clock, watch: &mut Watch) {
    let difference = clock.difference(clock::wall());
    let seconds = difference as f64 / 1000.0;
    metrics::gauge!("holdfast_clock_difference_seconds").set(seconds);
    match watch.look(difference) {
        Some(Change::Apart) => tracing::warn!(
            seconds,
            "the wall clock and the server's clock are apart: holds and payments go by the server's (docs/operate/clocks.md)"
        ),
        Some(Change::Together) => tracing::info!(seconds, "the wall clock and the server's clock agree again"),
        None => {}
    }
}
