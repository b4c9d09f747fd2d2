//! The engine while it lives, and the next one when the journal lets it: started, watched, stopped in order.
//!
//! Invariant: while there is no live engine every request that needs one gets 503, not executed; a full disk brings the
//! engine down and, once there is space, up again from the journal.

use super::servers::Servers;
use super::{Error, clock, space};
use crate::events::cursor::Cursors;
use crate::kafka::publisher::Publisher;
use crate::kafka::subscriber::Subscriber;
use crate::process::memory;
use crate::process::stopping::Phase;
use crate::providers::registry::Registry;
use crate::settings::Settings;
use crate::state::{App, Live};
use crate::threads::shards;
use crate::{backend, banner, demo, progress};
use actix_web::web::{self, Data};
use holdfast_actors::clock::Clock;
use holdfast_actors::{Engine, Failure, Handle, Options, ReplyQueues, StartError};
use holdfast_storage::backoff::Backoff;
use holdfast_storage::retention::{Beside, Retention};
use holdfast_storage::scrub::Scrub;
use holdfast_storage::{Error as StorageError, Journal, history};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a stop leaves.
pub(super) enum Synced {
    All,
    /// What is not synced, and what that means.
    NotAll(&'static str),
}

const UNSETTLED: Synced =
    Synced::NotAll("the journal took no more writes. What was acknowledged is synced; what was not may be in it or not");
const NO_SPACE: Synced = Synced::NotAll("the disk was full. What was acknowledged is synced, nothing else was executed");
const FENCED: Synced = Synced::NotAll("another process has the journal. What was acknowledged is in it");
const NOT_OPEN: Synced = Synced::NotAll("the journal could not be opened, so nothing was written");

/// Keeps an engine alive until told to stop. A full disk is waited out; any other failure of the journal ends it.
pub(super) async fn supervise(app: &Data<App>, mut stopping: watch::Receiver<bool>, http: &Servers) -> Result<Synced, Error> {
    let reply_queues = ReplyQueues::default();
    let (mut clock, mut retry) = (None, OPENING);
    loop {
        let first = clock.is_none();
        let (engine, cursors) = match start_engine(app, &reply_queues, clock).await {
            Ok(started) => started,
            Err(StartError::Storage(error)) if passes(&error, first) => {
                app.down.store(Some(Arc::new(error.to_string())));
                tracing::error!(%error, "not ready: trying again");
                tokio::select! {
                    () = tokio::time::sleep(retry.next_pause()) => continue,
                    _ = stopping.wait_for(|stop| *stop) => return Ok(NOT_OPEN),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let running = Running::start(app, engine, cursors, first).await?;
        (clock, retry) = (Some(running.engine.clock()), OPENING);
        let mut failed = running.engine.failed();
        let failure = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return Ok(running.drain(app, http).await),
            failed = failed.wait_for(Option::is_some) => failed.ok().and_then(|failed| failed.clone()),
        };
        let failure = failure.expect("the engine that reports it is held here");
        let reason = failure.to_string();
        running.fail(app, reason.clone()).await;
        let full = match &failure {
            Failure::Shard(_) => return Err(Error::Shard(reason)),
            Failure::Journal(error) => match &**error {
                StorageError::Fenced { by } => return Ok(stay_fenced(app, *by, &mut stopping).await),
                StorageError::Removed(_) => return Err(Error::Removed(error.to_string())),
                error => matches!(error, StorageError::Full),
            },
        };
        if !space::wait_for(app, &reason, full, &mut stopping).await? {
            return Ok(NO_SPACE);
        }
    }
}

/// An engine with what runs beside it on its journal.
struct Running {
    engine: Engine,
    publisher: Publisher,
    retention: Option<Retention>,
    scrub: Option<Scrub>,
    subscriber: Subscriber,
}

impl Running {
    async fn start(app: &Data<App>, engine: Engine, cursors: Cursors, first: bool) -> Result<Self, Error> {
        let publisher = Publisher::start(&app.settings.kafka, engine.journal()).map_err(Error::Kafka)?;
        let retention = start_retention(&app.settings, &engine)?;
        let scrub = start_scrub(&app.settings, engine.journal())?;
        go_live(app, &engine, cursors, first).await;
        let subscriber = Subscriber::start(app).map_err(Error::Kafka)?;
        Ok(Self { engine, publisher, retention, scrub, subscriber })
    }

    /// The stop in order, with an engine that answers what is in hand until the last request has its answer.
    async fn drain(self, app: &App, http: &Servers) -> Synced {
        app.phase.send_replace(Phase::Draining);
        tokio::time::sleep(Duration::from_secs(app.settings.server.drain_notice_seconds)).await;
        app.phase.send_replace(Phase::Closing);
        http.stop(true).await;
        let timeout = Duration::from_secs(app.settings.kafka.flush_seconds);
        if self.stop(app, timeout).await { Synced::All } else { UNSETTLED }
    }

    /// The engine does nothing more: requests get 503 until there is another.
    async fn fail(self, app: &App, reason: String) {
        app.down.store(Some(Arc::new(reason)));
        app.live.store(None);
        self.stop(app, Duration::ZERO).await;
    }

    /// What is told to the engine ends before it, what tells of it after it. Whether everything is synced.
    async fn stop(self, app: &App, timeout: Duration) -> bool {
        self.subscriber.stop(timeout).await;
        app.live.store(None);
        let synced = self.engine.stop().await;
        self.publisher.stop(timeout).await;
        stop_reading(self.retention, self.scrub).await;
        synced
    }
}

/// Between two tries to open the journal.
const OPENING: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(10));

/// Whether what keeps the journal from opening can end without this process being started anew. At the first start a
/// disk or a lock is for the operator to see to; a cluster may just not be up yet.
fn passes(error: &StorageError, first: bool) -> bool {
    match error {
        StorageError::Full | StorageError::Locked => !first,
        StorageError::Unreachable(_) => true,
        _ => false,
    }
}

/// Another process owns the data now. This one says so and does nothing more, so that its callers go to the other.
async fn stay_fenced(app: &Data<App>, by: u64, stopping: &mut watch::Receiver<bool>) -> Synced {
    let reason = format!("fenced: another process took the journal over with epoch {by}; this one can be stopped");
    app.down.store(Some(Arc::new(reason.clone())));
    tracing::error!("{reason}");
    // An error means that nobody can tell any more: the process ends.
    let _ = stopping.wait_for(|stop| *stop).await;
    FENCED
}

/// The first engine takes the time from the wall clock, each later one from the engine before it.
async fn start_engine(
    app: &Data<App>,
    reply_queues: &ReplyQueues,
    running: Option<Clock>,
) -> Result<(Engine, Cursors), StartError> {
    let (mut settings, lock, accepted) = (app.settings.clone(), app.lock.clone(), app.accept_clock);
    // An engine after the first has as many as there are to be now.
    let wanted = app.tuned.load().engine.shards;
    settings.engine.shards = wanted;
    let open = move || {
        let check = |journal: &dyn Journal| if running.is_none() { clock::check(journal, accepted) } else { Ok(()) };
        let journal = backend::open(&settings, lock.as_ref(), check)?;
        let cursors = Cursors::of(&history::ensure_name(&*journal)?);
        Ok::<_, StartError>((journal, cursors))
    };
    let (journal, cursors) = web::block(open).await.map_err(|_| StartError::Shard)??;
    let options = Options { shards: shards(wanted), clock: running, ..Options::of(app.tuned.load().knobs()) };
    let sandbox = app.sandbox.clone();
    let provider = Box::new(move || Rc::new(Registry::of(sandbox)) as Rc<_>);
    let bar = progress::bar("recovering", running.is_none());
    let engine = Engine::start(journal, reply_queues.clone(), provider, options, &mut |done, all| bar.at(done, all));
    bar.finish();
    Ok((engine?, cursors))
}

/// A log beside us is measured also where the settings say that it is kept for ever.
fn start_retention(settings: &Settings, engine: &Engine) -> std::io::Result<Option<Retention>> {
    let (journal, handle, clock) = (engine.journal().clone(), engine.handle.clone(), engine.clock());
    let options = settings.retention();
    let snapshot = Box::new(move |partition| handle.snapshot(partition));
    let beside = Beside { now: Box::new(move || clock.now()), snapshot };
    let needed = if journal.remote() { options.age.is_some() } else { !settings.data.ephemeral };
    needed.then(|| Retention::start(journal, options, beside)).transpose()
}

fn start_scrub(settings: &Settings, journal: &Arc<dyn Journal>) -> std::io::Result<Option<Scrub>> {
    let period = Duration::from_secs(3600 * u64::from(settings.journal.scrub_hours));
    // A cluster compares what it stores by itself.
    (!period.is_zero() && !journal.remote()).then(|| Scrub::start(journal.clone(), period)).transpose()
}

/// Threads that hold on to the journal.
async fn stop_reading(retention: Option<Retention>, scrub: Option<Scrub>) {
    let stop = || {
        if let Some(retention) = retention {
            retention.stop();
        }
        if let Some(scrub) = scrub {
            scrub.stop();
        }
    };
    let _ = web::block(stop).await;
}

async fn go_live(app: &Data<App>, engine: &Engine, cursors: Cursors, first: bool) {
    let commits: u64 = engine.journal().logs().into_iter().map(|log| engine.journal().end(log)).sum();
    let live = Live::of(engine, cursors);
    if commits == 0 && app.settings.data.demo {
        demo::stock(&live.handle).await;
    }
    let demo = first && app.settings.data.demo && demo::can_be_ordered(&live.handle).await;
    app.live.store(Some(Arc::new(live)));
    tune(app, &engine.handle);
    app.down.store(None);
    if first {
        follow_load(app.settings.engine.memory_ahead_mb);
        banner::print(app, demo);
    }
    tracing::info!(partitions = engine.journal().partitions().count(), commits, "ready");
}

/// Gives the engine the knobs as they are by now: those that were turned while it started found no engine to turn.
fn tune(app: &App, handle: &Handle) {
    let mut given = app.tuned.load_full();
    loop {
        handle.tune(&given.knobs());
        let now = app.tuned.load_full();
        if Arc::ptr_eq(&given, &now) {
            return;
        }
        given = now;
    }
}

/// Only once orders are taken: nothing waits for it.
fn follow_load(mib: u64) {
    if let Err(error) = memory::follow_load(mib) {
        tracing::warn!(%error, "no memory is taken ahead of load");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change was in the journal of the engine that failed, and written and turned while the next one read it.
    #[actix_web::test]
    async fn a_knob_that_is_turned_while_an_engine_starts_counts_in_it() {
        let mut settings = Settings::default();
        (settings.data.ephemeral, settings.data.demo, settings.engine.shards) = (true, false, 2);
        let app = Data::new(App::without_engine(settings.clone()));
        let Ok((engine, cursors)) = start_engine(&app, &ReplyQueues::default(), None).await else { panic!("it starts") };
        settings.engine.credits = 7;
        app.tuned.store(Arc::new(settings));
        go_live(&app, &engine, cursors, false).await;
        let limits: Vec<usize> = engine.handle.reports().await.iter().map(|report| report.limit).collect();
        assert_eq!(limits, [7, 7]);
        app.live.store(None);
        engine.stop().await;
    }
}
