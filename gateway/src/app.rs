//! The only wiring: settings → journal → engine → HTTP server, and the way back when it stops.
//!
//! Invariant: while there is no live engine every request that needs one gets 503, not executed; a full disk brings the
//! engine down and, once there is space, up again from the journal.

mod lock;
mod space;
#[cfg(test)]
mod without_engine;

use crate::bulk::Bulk;
use crate::descriptors::{Connections, TooFew};
use crate::events::cursor::Cursors;
use crate::file_error::FileError;
use crate::keys::{self, Keys};
use crate::leaving::{Holder, holder};
use crate::publisher::Publisher;
use crate::readers::Readers;
use crate::refusals::Refusals;
use crate::sandbox::{Sandbox, SandboxProvider};
use crate::settings::{Settings, Switch};
use crate::stopping::{self, Phase};
use crate::streams::Streams;
use crate::subscriber::Subscriber;
use crate::{backend, clock, demo, http, memory, telemetry};
use actix_web::web;
use arc_swap::ArcSwapOption;
use holdfast_actors::clock::Clock;
use holdfast_actors::{Engine, Failure, Handle, Options, ReplyQueues, StartError};
use holdfast_storage::backoff::Backoff;
use holdfast_storage::retention::{self, Retention};
use holdfast_storage::rows::Projector;
use holdfast_storage::scrub::Scrub;
use holdfast_storage::{DirectoryLock, Error as StorageError, Journal, history};
use metrics_exporter_prometheus::PrometheusHandle;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::watch;

/// Pages of events that are read at once, each with megabytes in hand.
const PAGES: usize = 4;

/// What routes need.
pub struct App {
    pub settings: Settings,
    /// Keeps the data directory for this process. None without one.
    pub lock: Option<DirectoryLock>,
    /// Start although wall clock and journal are far apart.
    pub accept_clock: bool,
    pub keys: Keys,
    pub refusals: Refusals,
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
    pub metrics: PrometheusHandle,
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

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}: {reason}\n  choose another address with --listen HOST:PORT")]
    Listen { address: String, reason: std::io::Error },
    #[error(
        "refusing to listen on {0} without API keys: whoever reaches the port could do everything\n  \
         make one with `holdfast key new`, or say --insecure if the network is yours alone"
    )]
    Exposed(String),
    #[error(transparent)]
    Descriptors(#[from] TooFew),
    #[error(transparent)]
    Keys(#[from] keys::Error),
    #[error("{}", advice(.0))]
    Start(#[from] StartError),
    #[error(
        "the journal stopped: {0}\n  Nothing acknowledged is lost. Check the disk and its log (dmesg), then start again: the journal is replayed."
    )]
    Journal(String),
    #[error(
        "the journal stopped: {0}\n  Nothing is acknowledged any more. What was answered before was on disk and went with it: if it was moved, \
         put everything back together, else restore the data directory from a backup (`holdfast restore`). Then start again."
    )]
    Removed(String),
    #[error(
        "the engine stopped: {0}\n  Nothing acknowledged is lost. Start again: the journal is replayed. If it stops again, keep the data \
         directory and the log and report them: the log says which input it was."
    )]
    Shard(String),
    #[error("sandbox: {0}")]
    Sandbox(FileError),
    #[error("Kafka: {0}")]
    Kafka(std::io::Error),
    #[error("metrics: {0}")]
    Metrics(String),
    #[error("the server could not run: {0}")]
    Io(#[from] std::io::Error),
}

fn advice(error: &StartError) -> String {
    match error {
        StartError::Storage(StorageError::Locked) => {
            "the data directory is in use by another process\n  stop that one, or give this one another with --data-dir"
                .to_owned()
        }
        StartError::Storage(StorageError::Damaged { record, reason }) => format!(
            "the journal is damaged at log record {record}: {reason}\n  Holdfast does not start on half the facts. \
             Restore the data directory from a copy, or keep it and ask for help."
        ),
        StartError::Storage(StorageError::Full) => {
            "the disk is full\n  make space and start again: nothing acknowledged is lost".to_owned()
        }
        StartError::Clock(error) => clock::advice(*error),
        StartError::Storage(StorageError::OtherPartitions { found, .. }) => {
            format!("{error}\n  say data.partitions = {found}, or leave it out to take what the data has")
        }
        StartError::Storage(StorageError::TooManyShards { found, .. }) => {
            format!("{error}\n  say engine.shards = {found} or less (--shards), or leave it out")
        }
        StartError::Storage(_) | StartError::Thread(_) | StartError::Shard => error.to_string(),
    }
}

/// Serves until told to stop. With `accept_clock` whatever the wall clock says at the start.
///
/// # Errors
/// If it cannot start, or the journal fails in a way that only an operator can mend.
pub async fn serve(settings: Settings, accept_clock: bool) -> Result<(), Error> {
    let connections = http::connections(&settings)?;
    let data_dir = (!settings.data.ephemeral).then(|| settings.data.dir.clone());
    let listener = listen(&settings.server.listen, data_dir.as_deref()).await?;
    let local = listener.local_addr()?;
    backend::refuse_backup(&settings).map_err(StartError::Storage)?;
    let lock = lock::take(&settings).await.map_err(StartError::Storage)?;
    let keys = Keys::load(&settings.auth.keys, data_dir.as_deref())?;
    if !local.ip().is_loopback() && !keys.are_needed() && !settings.server.insecure {
        return Err(Error::Exposed(local.to_string()));
    }
    let metrics = telemetry::start_metrics().map_err(|error| Error::Metrics(error.to_string()))?;
    actix_web::rt::spawn(telemetry::upkeep(metrics.clone()));
    let base_url = match settings.sandbox.public_url.as_str() {
        "" => format!("http://{local}"),
        url => url.trim_end_matches('/').to_owned(),
    };
    let sandbox = match settings.sandbox.is_on(keys.are_needed()) {
        true => Some(Sandbox::open(data_dir.as_deref(), &base_url).map_err(Error::Sandbox)?),
        false => None,
    };
    if sandbox.is_none() && settings.sandbox.enabled == Switch::Auto {
        tracing::info!("the sandbox payment provider is off, as there are API keys: [sandbox] enabled = true turns it on");
    }
    let app = web::Data::new(App {
        keys,
        refusals: Refusals::default(),
        live: ArcSwapOption::empty(),
        down: ArcSwapOption::from_pointee("recovering from the journal".to_owned()),
        phase: watch::Sender::new(Phase::Serving),
        sandbox,
        // Half as many as serve single requests.
        bulk: Bulk::start(http::workers(&settings).div_ceil(2)),
        streams: Streams::start(&settings.server)?,
        pages: Readers::start("pages", PAGES)?,
        backing_up: AtomicBool::new(false),
        base_url,
        metrics,
        accept_clock,
        lock,
        settings,
    });
    run(app, listener, connections).await
}

async fn run(app: web::Data<App>, listener: TcpListener, connections: Connections) -> Result<(), Error> {
    let stopping = stopping::signals()?;
    let server = http::start(&app, listener, connections)?;
    let http = server.handle();
    let serving = actix_web::rt::spawn(server);
    actix_web::rt::spawn(clock::watch(app.clone()));
    actix_web::rt::spawn(keys::watch(app.clone()));
    let ended = supervise(&app, stopping, &http).await;
    app.phase.send_replace(Phase::Closing);
    http.stop(ended.is_ok()).await;
    serving.await.map_err(std::io::Error::other)??;
    match ended? {
        Synced::All => tracing::info!("stopped: everything is synced"),
        Synced::NotAll(reason) => tracing::warn!("stopped: {reason}"),
    }
    Ok(())
}

/// What a stop leaves.
enum Synced {
    All,
    /// What is not synced, and what that means.
    NotAll(&'static str),
}

const UNSETTLED: Synced =
    Synced::NotAll("the journal took no more writes. What was acknowledged is synced; what was not may be in it or not");
const NO_SPACE: Synced = Synced::NotAll("the disk was full. What was acknowledged is synced, nothing else was executed");
const FENCED: Synced = Synced::NotAll("another process has the journal. What was acknowledged is in it");
const NOT_OPEN: Synced = Synced::NotAll("the journal could not be opened, so nothing was written");

/// Takes the address. A port that a dying process of the same data still has is waited for, any other is refused at once.
async fn listen(address: &str, data_dir: Option<&Path>) -> Result<TcpListener, Error> {
    let failed = |reason| Error::Listen { address: address.to_owned(), reason };
    for _ in 0..LEAVING_TRIES {
        match TcpListener::bind(address) {
            Err(reason) if reason.kind() == ErrorKind::AddrInUse && data_dir.map(holder) == Some(Holder::Leaving) => {
                tokio::time::sleep(LEAVING_WAIT).await;
            }
            // It may just have gone.
            Err(reason) if reason.kind() == ErrorKind::AddrInUse => break,
            bound => return bound.map_err(failed),
        }
    }
    TcpListener::bind(address).map_err(failed)
}

/// A process that was just killed keeps its port and its data directory while the system takes its memory back.
const LEAVING_TRIES: u32 = 20;
const LEAVING_WAIT: Duration = Duration::from_millis(100);

/// Shards are busy threads: each takes a core that HTTP workers then leave alone.
fn shards(settings: &Settings) -> usize {
    match settings.engine.shards {
        0 => (cores() / 2).max(1),
        shards => shards,
    }
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Keeps an engine alive until told to stop. A full disk is waited out; any other failure of the journal ends it.
async fn supervise(
    app: &web::Data<App>,
    mut stopping: watch::Receiver<bool>,
    http: &actix_web::dev::ServerHandle,
) -> Result<Synced, Error> {
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
    async fn start(app: &web::Data<App>, engine: Engine, cursors: Cursors, first: bool) -> Result<Self, Error> {
        let publisher = Publisher::start(&app.settings.kafka, engine.journal()).map_err(Error::Kafka)?;
        let retention = start_retention(&app.settings, engine.journal())?;
        let scrub = start_scrub(&app.settings, engine.journal())?;
        go_live(app, &engine, cursors, first).await;
        let subscriber = Subscriber::start(app).map_err(Error::Kafka)?;
        Ok(Self { engine, publisher, retention, scrub, subscriber })
    }

    /// The stop in order, with an engine that answers what is in hand until the last request has its answer.
    async fn drain(self, app: &App, http: &actix_web::dev::ServerHandle) -> Synced {
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
async fn stay_fenced(app: &web::Data<App>, by: u64, stopping: &mut watch::Receiver<bool>) -> Synced {
    let reason = format!("fenced: another process took the journal over with epoch {by}; this one can be stopped");
    app.down.store(Some(Arc::new(reason.clone())));
    tracing::error!("{reason}");
    // An error means that nobody can tell any more: the process ends.
    stopping.wait_for(|stop| *stop).await.map(drop).unwrap_or_default();
    FENCED
}

/// The first engine takes the time from the wall clock, each later one from the engine before it.
async fn start_engine(
    app: &web::Data<App>,
    reply_queues: &ReplyQueues,
    running: Option<Clock>,
) -> Result<(Engine, Cursors), StartError> {
    let (settings, lock, accepted) = (app.settings.clone(), app.lock.clone(), app.accept_clock);
    let open = move || {
        let check = |journal: &dyn Journal| if running.is_none() { clock::check(journal, accepted) } else { Ok(()) };
        let journal = backend::open(&settings, lock.as_ref(), check)?;
        let cursors = Cursors::of(&history::ensure_name(&*journal)?);
        Ok::<_, StartError>((journal, cursors))
    };
    let (journal, cursors) = web::block(open).await.map_err(|_| StartError::Shard)??;
    let options = Options {
        shards: shards(&app.settings),
        credits: app.settings.engine.credits,
        client_percent: app.settings.server.key_share_percent,
        snapshot_events: app.settings.engine.snapshot_events,
        provider_timeout: Duration::from_secs(app.settings.payments.call_timeout_seconds.max(1)),
        policy: app.settings.policy(),
        clock: running,
    };
    let sandbox = app.sandbox.clone();
    let provider = Box::new(move || Rc::new(SandboxProvider::new(sandbox)) as Rc<_>);
    let bar = crate::progress::bar("recovering", running.is_none());
    let engine = Engine::start(journal, reply_queues.clone(), provider, options, &mut |done, all| bar.at(done, all));
    bar.finish();
    Ok((engine?, cursors))
}

/// Where the settings say that the journal is not kept for ever.
fn start_retention(settings: &Settings, journal: &Arc<dyn Journal>) -> std::io::Result<Option<Retention>> {
    let keep = Duration::from_secs(86_400 * u64::from(settings.journal.keep_days));
    let options = retention::Options { keep, publishes: settings.kafka.enabled };
    (!keep.is_zero()).then(|| Retention::start(journal.clone(), options)).transpose()
}

fn start_scrub(settings: &Settings, journal: &Arc<dyn Journal>) -> std::io::Result<Option<Scrub>> {
    let period = Duration::from_secs(3600 * u64::from(settings.journal.scrub_hours));
    // A cluster compares what it stores by itself.
    (!period.is_zero() && !journal.remote()).then(|| Scrub::start(journal.clone(), period)).transpose()
}

/// Threads that hold on to the journal.
async fn stop_reading(retention: Option<Retention>, scrub: Option<Scrub>) {
    let stop = || {
        retention.map(Retention::stop).unwrap_or_default();
        scrub.map(Scrub::stop).unwrap_or_default();
    };
    web::block(stop).await.unwrap_or_default();
}

async fn go_live(app: &web::Data<App>, engine: &Engine, cursors: Cursors, first: bool) {
    let commits: u64 = engine.journal().logs().into_iter().map(|log| engine.journal().end(log)).sum();
    let live = Live {
        handle: engine.handle.clone(),
        journal: engine.journal().clone(),
        projector: engine.projector().clone(),
        cursors,
        committed: engine.committed(),
        clock: engine.clock(),
    };
    if commits == 0 && app.settings.data.demo {
        demo::stock(&live.handle).await;
    }
    let demo = first && app.settings.data.demo && demo::can_be_ordered(&live.handle).await;
    app.live.store(Some(Arc::new(live)));
    app.down.store(None);
    if first {
        follow_load(app.settings.engine.memory_ahead_mb);
        crate::banner::print(app, demo);
    }
    tracing::info!(partitions = engine.journal().partitions().count(), commits, "ready");
}

/// Only once orders are taken: nothing waits for it.
fn follow_load(mib: u64) {
    if let Err(error) = memory::follow_load(mib) {
        tracing::warn!(%error, "no memory is taken ahead of load");
    }
}
