//! The only wiring: settings → journal → engine → HTTP server, and the way back when it stops.
//!
//! Invariant: the data directory is taken before anything in it is looked at, and the address before the journal is opened.

mod clock;
mod leaving;
mod lock;
mod sampler;
mod servers;
mod space;
mod supervise;

use crate::console::Console;
use crate::events::streams::Streams;
use crate::http::routes::console;
use crate::http::server;
use crate::keys::refusals::Refusals;
use crate::keys::{self, Keys};
use crate::live::Frames;
use crate::process::descriptors::{Connections, TooFew};
use crate::process::file_error::FileError;
use crate::process::stopping::{self, Phase};
use crate::providers::sandbox::Sandbox;
use crate::rates::Rates;
use crate::settings::{Loaded, Settings, Switch};
use crate::state::App;
use crate::telemetry::metrics;
#[cfg(feature = "otel")]
use crate::telemetry::otlp;
use crate::telemetry::traces;
use crate::threads::bulk::Bulk;
use crate::threads::readers::Readers;
use crate::tuning::Tuning;
use actix_web::web;
use arc_swap::{ArcSwap, ArcSwapOption};
use holdfast_actors::StartError;
use holdfast_storage::Error as StorageError;
use leaving::{Holder, holder, is_listened_on};
use servers::Servers;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use supervise::{Synced, supervise};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Pages of events that are read at once, each with megabytes in hand.
const PAGES: usize = 4;
/// How an address is chosen.
const LISTEN: &str = "--listen HOST:PORT";
const ADMIN_LISTEN: &str = "admin.listen of the settings";
/// How often the file of the keys is looked at.
const KEYS_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}: {reason}\n  choose another address: {setting}")]
    Listen { address: String, setting: &'static str, reason: std::io::Error },
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
    #[error("telemetry.otlp_endpoint: {0}")]
    Traces(String),
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
pub async fn serve(loaded: Loaded, accept_clock: bool) -> Result<(), Error> {
    let Loaded { settings, origins, tuned } = loaded;
    let connections = server::connections(&settings)?;
    let data_dir = (!settings.data.ephemeral).then(|| settings.data.dir.clone());
    let listener = listen((&settings.server.listen, LISTEN), data_dir.as_deref()).await?;
    let operators = match settings.admin.listen.as_str() {
        "" => None,
        address => Some(listen((address, ADMIN_LISTEN), data_dir.as_deref()).await?),
    };
    let local = listener.local_addr()?;
    let operators_at = operators.as_ref().map(TcpListener::local_addr).transpose()?;
    settings.refuse_backup().map_err(StartError::Storage)?;
    let lock = lock::take(&settings).await.map_err(StartError::Storage)?;
    settings.refuse_unfinished().map_err(StartError::Storage)?;
    let keys = Keys::load(&settings.auth.keys, data_dir.as_deref())?;
    let exposed = [Some(local), operators_at].into_iter().flatten().find(|address| !address.ip().is_loopback());
    if let (Some(address), false, false) = (exposed, keys.are_needed(), settings.server.insecure) {
        return Err(Error::Exposed(address.to_string()));
    }
    let metrics = metrics::start(&settings.telemetry).map_err(|error| Error::Metrics(error.to_string()))?;
    actix_web::rt::spawn(metrics.clone().upkeep());
    start_traces(&settings)?;
    let base_url = match settings.sandbox.public_url.as_str() {
        "" => format!("http://{local}"),
        url => url.trim_end_matches('/').to_owned(),
    };
    let sandbox = if settings.sandbox.is_on(keys.are_needed()) {
        Some(Sandbox::open(data_dir.as_deref(), &base_url).map_err(Error::Sandbox)?)
    } else {
        None
    };
    if sandbox.is_none() && settings.sandbox.enabled == Switch::Auto {
        tracing::info!("the sandbox payment provider is off, as there are API keys: [sandbox] enabled = true turns it on");
    }
    let app = web::Data::new(App {
        keys,
        refusals: Refusals::default(),
        rates: Rates::of(&settings.limits),
        console: Console::new(Duration::from_secs(settings.console.idle_seconds)),
        live: ArcSwapOption::empty(),
        down: ArcSwapOption::from_pointee("recovering from the journal".to_owned()),
        phase: watch::Sender::new(Phase::Serving),
        sandbox,
        // Half as many as serve single requests.
        bulk: Bulk::start(server::workers(&settings).div_ceil(2)),
        streams: Streams::start(&settings.server)?,
        pages: Readers::start("pages", PAGES)?,
        backing_up: AtomicBool::new(false),
        base_url,
        operators_url: operators_at.map(|address| format!("http://{address}")),
        metrics,
        accept_clock,
        lock,
        tuned: ArcSwap::from_pointee(settings.clone()),
        tuning: Tuning::new(tuned, origins),
        frames: Frames::default(),
        settings,
    });
    run(app, (listener, operators), connections).await
}

/// Where the settings name whoever takes them.
fn start_traces(settings: &Settings) -> Result<(), Error> {
    if settings.telemetry.otlp_endpoint.is_empty() {
        return Ok(());
    }
    #[cfg(feature = "otel")]
    otlp::start(&settings.telemetry, settings.kafka.enabled).map_err(|error| Error::Traces(error.to_string()))?;
    traces::start(&settings.telemetry);
    Ok(())
}

async fn run(
    app: web::Data<App>,
    (listener, operators): (TcpListener, Option<TcpListener>),
    connections: Connections,
) -> Result<(), Error> {
    let stopping = stopping::signals()?;
    let http = Servers::start(&app, listener, operators, connections)?;
    actix_web::rt::spawn(clock::watch(app.clone()));
    actix_web::rt::spawn(watch_keys(app.clone()));
    actix_web::rt::spawn(sampler::watch(app.clone()));
    actix_web::rt::spawn(sampler::watch_process(app.clone()));
    actix_web::rt::spawn(console::tick(app.clone()));
    let ended = supervise(&app, stopping, &http).await;
    app.phase.send_replace(Phase::Closing);
    http.stop(ended.is_ok()).await;
    http.ended().await?;
    match ended? {
        Synced::All => tracing::info!("stopped: everything is synced"),
        Synced::NotAll(reason) => tracing::warn!("stopped: {reason}"),
    }
    Ok(())
}

/// Looks after the keys as long as the process runs, and forgets who has sent nothing, or was not refused, for a while.
async fn watch_keys(app: web::Data<App>) {
    let mut tick = interval(KEYS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        app.refusals.forget();
        app.rates.forget();
        let looking = app.clone();
        if let Err(error) = web::block(move || looking.keys.refresh()).await {
            tracing::error!(%error, "the API keys could not be looked at");
        }
    }
}

/// Takes the address. What the system still has of a process that was just killed, the port or connections of it, is waited for; a
/// port that a live process listens on is refused at once.
async fn listen((address, setting): (&str, &'static str), data_dir: Option<&Path>) -> Result<TcpListener, Error> {
    let failed = |reason| Error::Listen { address: address.to_owned(), setting, reason };
    for tries in 0..LEAVING_TRIES {
        match TcpListener::bind(address) {
            Err(reason) if reason.kind() == ErrorKind::AddrInUse && may_come_free(address, data_dir, tries) => {
                if tries == SURE_AFTER {
                    tracing::warn!(address, "the address is in use: it is waited for, up to {:?}", LEAVING_TRIES * LEAVING_WAIT);
                }
                tokio::time::sleep(LEAVING_WAIT).await;
            }
            bound => return bound.map_err(failed),
        }
    }
    TcpListener::bind(address).map_err(failed)
}

/// A killed process may have let go of its data and still listen: not for long.
fn may_come_free(address: &str, data_dir: Option<&Path>, tries: u32) -> bool {
    match data_dir.map_or(Holder::Nobody, holder) {
        Holder::Leaving => true,
        Holder::Nobody => tries < SURE_AFTER || !is_listened_on(address),
        Holder::Alive => false,
    }
}

/// A process that was just killed keeps its port and its data directory while the system takes its memory back, which is longer
/// where others use the processors.
const LEAVING_TRIES: u32 = 50;
const LEAVING_WAIT: Duration = Duration::from_millis(100);
/// Tries after which whoever still listens is taken to live.
const SURE_AFTER: u32 = 2;
