//! The metrics of the process.
//!
//! Invariant: every metric that is emitted is described here.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::Duration;

/// Seconds, from a fast sync to a client's patience.
const SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SIZES: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0];

/// # Errors
/// If a recorder is installed already.
pub fn start() -> Result<PrometheusHandle, BuildError> {
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
    counter!("journal_purged_commits_total", "Commits that were deleted because the journal keeps no more");
    gauge!("journal_bytes", "Bytes of the log that are kept, on this machine");
    gauge!("journal_oldest_timestamp_seconds", "When the oldest commit that is kept was made, on this machine");
    gauge!("journal_kept_for_kafka_commits", "Commits that are due to be deleted and not published to Kafka yet");
    gauge!("projection_lag_commits", "Durable commits that the tables do not have yet");
    counter!(
        "projection_pressed_total",
        "Times that so much waited for the tables that a thread of full priority wrote it: no processor was free for long"
    );
    counter!("archived_total", "Orders and keys that went into the tables to leave memory");
    histogram!("shard_mailbox_wait_seconds", "From a wake-up of a shard to its turn");
    histogram!("shard_timer_lag_seconds", "How late deadlines fire");
    gauge!("clock_difference_seconds", "Wall clock less the server's clock: above 0 the wall clock is ahead");
    gauge!("shard_depth", "Requests a shard has in hand");
    counter!("shard_rebuilds_total", "Partitions rebuilt after a panic");
    counter!("alarms_total", "Things that must be impossible and were seen");
    gauge!(
        "scrub_finished_timestamp_seconds",
        "When all full files of the log had last been compared with their checksums, 0 for never"
    );
    counter!("scrub_damaged_files_total", "Files of the log that were found to be damaged, at each pass");
    gauge!("relay_lag_events", "Durable events that are not published to Kafka yet");
    gauge!("relay_lag_seconds", "Age of the oldest durable event that is not published to Kafka yet, 0 if there is none");
    counter!("relay_published_total", "Events that Kafka acknowledged");
    counter!("relay_restarts_total", "Times publishing to Kafka started over after a failure");
    counter!("inbound_handled_total", "Records of Kafka topics that were taken, each time they were delivered");
    counter!("inbound_dead_lettered_total", "Records that went to a topic of dead letters, by reason");
    counter!("inbound_retries_total", "Times a record of a Kafka topic had to wait for the engine");
    counter!("orders_total", "Answers to POST /v1/orders by outcome");
    gauge!("memory_ahead_bytes", "Memory taken ahead of load and not given back: what of it load has used since then counts too");
    counter!("log_lines_lost_total", "Lines of the log that could not be written");
    gauge!("event_streams", "Streams of events that are open");
    counter!(
        "event_streams_disconnected_total",
        "Streams of events whose connection ended, closed by its reader or for its patience"
    );
    counter!("event_streams_dropped_total", "Those of them whose connection had a full buffer that its reader did not take");
    counter!("logins_refused_total", "Requests with a wrong API key");
}

/// Histograms grow until they are drained: the exporter leaves that to us.
pub async fn upkeep(handle: PrometheusHandle) {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        handle.run_upkeep();
    }
}
