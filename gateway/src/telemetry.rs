//! Logs and metrics of the process.

use crate::settings::{Format, Log};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// Seconds, from a fast sync to a client's patience.
const SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SIZES: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0];

/// The filter of a level, or of levels of modules.
///
/// # Errors
/// Says why it is none.
pub fn filter(level: &str) -> Result<EnvFilter, String> {
    // A word of its own that is no level would be taken for the name of a module, of which everything is logged.
    let word = |part: &str| part.contains(['=', '[']) || part.parse::<LevelFilter>().is_ok();
    if let Some(other) = level.split(',').map(str::trim).find(|part| !word(part)) {
        return Err(format!("{other:?} is neither error, warn, info, debug or trace nor MODULE=LEVEL"));
    }
    // The driver tells of every connection: of interest to whoever asks for it.
    EnvFilter::try_new(format!("scylla=warn,{level}")).map_err(|error| error.to_string())
}

/// Logs go to standard error, so that standard output stays for what was asked for. Colours are for terminals.
pub fn start_logs(log: &Log) {
    let filter = filter(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()) || !std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(!plain).with_writer(std::io::stderr);
    let started = match log.format {
        Format::Human => builder.with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    // Another subscriber is there already only in tests.
    started.unwrap_or_default();
}

/// # Errors
/// If a recorder is installed already.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), SIZES)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    histogram!("journal_sync_seconds", "One commit of the journal, its sync included");
    histogram!("journal_commit_events", "Events a commit carries");
    counter!("journal_unknown_outcomes_total", "Statements that a cluster did not answer, each sent again");
    histogram!("shard_mailbox_wait_seconds", "From a wake-up of a shard to its turn");
    histogram!("shard_timer_lag_seconds", "How late deadlines fire");
    gauge!("clock_difference_seconds", "Wall clock less the server's clock: above 0 the wall clock is ahead");
    gauge!("shard_depth", "Requests a shard has in hand");
    counter!("shard_rebuilds_total", "Shards rebuilt after a panic");
    counter!("alarms_total", "Things that must be impossible and were seen");
    gauge!("relay_lag_events", "Durable events that are not published to Kafka yet");
    gauge!("relay_lag_seconds", "Age of the oldest durable event that is not published to Kafka yet, 0 if there is none");
    counter!("relay_published_total", "Events that Kafka acknowledged");
    counter!("relay_restarts_total", "Times publishing to Kafka started over after a failure");
    counter!("inbound_handled_total", "Records of Kafka topics that were taken, each time they were delivered");
    counter!("inbound_dead_lettered_total", "Records that went to a topic of dead letters, by reason");
    counter!("inbound_retries_total", "Times a record of a Kafka topic had to wait for the engine");
    counter!("orders_total", "Answers to POST /v1/orders by outcome");
    histogram!("http_order_seconds", "POST /v1/orders from its parsed body to its answer");
    counter!("problems_total", "Problem documents sent, by code");
}

/// Histograms grow until they are drained: the exporter leaves that to us.
pub async fn upkeep(handle: PrometheusHandle) {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        handle.run_upkeep();
    }
}
