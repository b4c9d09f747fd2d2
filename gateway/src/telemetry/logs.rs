//! The log of the process.
//!
//! Invariant: nothing that serves waits for a log line, or fails for one: see [`super::line_queue`].

use super::line_queue::LineQueue;
use super::sampling::Sampling;
use crate::settings::{Format, Log, log_filter};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// The log of this process, once it is started.
static LOG: OnceLock<LineQueue> = OnceLock::new();
/// What decides what is logged.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();
/// What lines about answers belong to, as a filter names it.
pub const REQUESTS: &str = "holdfast::requests";
/// How long a process that ends waits for its last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Logs go to standard error, so that standard output stays for what was asked for. Colours are for terminals. Panics are logged too:
/// the standard library would write them itself, and wait for whoever reads standard error.
///
/// # Errors
/// If the thread that writes them cannot be started.
pub fn start(log: &Log) -> io::Result<()> {
    let (filter, handle) = reload::Layer::new(filter_of(log));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()) || !io::stderr().is_terminal();
    let lines = LineQueue::start(standard_error()?)?;
    let layer = tracing_subscriber::fmt::layer().with_ansi(!plain).with_writer(lines.clone()).log_internal_errors(false);
    let subscriber = tracing_subscriber::registry().with(filter).with(Sampling::of(&log.sample));
    // Another subscriber is there already only in tests.
    let _ = match log.format {
        Format::Human => subscriber.with(layer.with_target(false)).try_init(),
        Format::Json => subscriber.with(layer.json().flatten_event(true)).try_init(),
    };
    FILTER.get_or_init(|| handle);
    LOG.get_or_init(|| lines);
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn filter_of(log: &Log) -> EnvFilter {
    let filter = log_filter::parse(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let requests = Directive::from_str(&format!("{}={}", REQUESTS, if log.requests { "info" } else { "off" }));
    requests.into_iter().fold(filter, EnvFilter::add_directive)
}

/// Logs by another level, or levels of modules, from now on.
pub fn set_level(log: &Log) {
    let set = FILTER.get().map(|filter| filter.reload(filter_of(log)));
    if let Some(Err(error)) = set {
        tracing::error!(%error, "the level of the log stays as it is");
    }
}

/// A descriptor of its own: whoever else holds the lock of the standard library on standard error does not hold up the log.
fn standard_error() -> io::Result<File> {
    Ok(io::stderr().as_fd().try_clone_to_owned()?.into())
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = panic.location().map(ToString::to_string);
    let (thread, place) = (thread.name().unwrap_or_default(), place.as_deref().unwrap_or_default());
    let reason = panic.payload_as_str().unwrap_or_default();
    let backtrace = std::backtrace::Backtrace::capture();
    match backtrace.status() {
        std::backtrace::BacktraceStatus::Captured => tracing::error!(thread, place, reason, %backtrace, "a thread panicked"),
        _ => tracing::error!(thread, place, reason, "a thread panicked"),
    }
}

/// Waits a moment for what was logged to be written: before the process ends.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush(LAST_LINES);
    }
}

/// Writes a process's last words to standard error, behind what it logged. They are lost if nobody reads them.
pub fn last_words(text: &str) {
    let log = LOG.get().cloned().map_or_else(|| LineQueue::start(standard_error()?), Ok);
    if let Ok(log) = log {
        log.push(format!("{text}\n").as_bytes());
        log.flush(LAST_LINES);
    }
}
