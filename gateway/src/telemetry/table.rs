//! The table of metrics: name, kind, labels and meaning of each. Help of `/metrics`, `holdfast inspect metrics` and
//! docs/reference/metrics.md are made of it.
//!
//! Invariants: every metric that is emitted is here, under the name it is emitted by; no label has a value that callers make, such as
//! a SKU, a path or a customer.

/// Before the name of each metric.
pub const PREFIX: &str = "holdfast_";

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    /// Whether it had the same name without the prefix, in builds of before.
    pub renamed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Metric {
    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, labels: &[], help, renamed: false }
    }

    const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    const fn renamed(self) -> Self {
        Self { renamed: true, ..self }
    }

    /// The name it had before, if it had one.
    pub fn old_name(&self) -> Option<&'static str> {
        self.name.strip_prefix(PREFIX).filter(|_| self.renamed)
    }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::new(name, Kind::Counter, help)
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric::new(name, Kind::Gauge, help)
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric::new(name, Kind::Histogram, help)
}

/// Every metric, by name.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    counter("holdfast_alarms_total", "things that must be impossible and were seen; the log says which").renamed(),
    counter("holdfast_archived_total", "orders and keys that went into the tables to leave memory").renamed(),
    gauge("holdfast_build_info", "always 1; its label says which version runs").by(&["version"]),
    gauge("holdfast_clock_difference_seconds", "wall clock less the server's clock; above 0 the wall clock is ahead").renamed(),
    gauge("holdfast_console_viewers", "tabs of the console that are kept up to date"),
    gauge("holdfast_data_disk_free_bytes", "bytes that this process may still write to the disk of `data.dir`"),
    gauge("holdfast_error_rate_5xx", "share of the answers of the last 60 s, those to probes left out, with a status of 500 or more, 503 included: `holdfast_refusal_rate_503` has those apart"),
    gauge("holdfast_event_streams", "streams of events that are open").renamed(),
    counter("holdfast_event_streams_disconnected_total", "streams of events whose connection ended").renamed(),
    counter("holdfast_event_streams_dropped_total", "those of them whose reader did not take what was in a full buffer").renamed(),
    gauge("holdfast_hold_expiry_lag_seconds", "how late the oldest deadline is that is due and not met, of holds and of payments; 0 if none is"),
    histogram("holdfast_http_request_seconds", "from the head of a request to the head of its answer, its body and the sync included; the sending is not").by(&["method", "route"]),
    counter("holdfast_http_requests_total", "answers to requests whose head was understood; route `none`: answered before a route was found; method `other`: one that the route does not take").by(&["method", "route", "status"]),
    counter("holdfast_inbound_dead_lettered_total", "Kafka records that went to a topic of dead letters").by(&["reason"]).renamed(),
    counter("holdfast_inbound_handled_total", "Kafka records that were taken, each time they were delivered").renamed(),
    counter("holdfast_inbound_retries_total", "times a Kafka record had to wait for the engine").renamed(),
    gauge("holdfast_journal_bytes", "bytes of the embedded log that are kept; told each minute").renamed(),
    histogram("holdfast_journal_commit_events", "events in a commit").renamed(),
    gauge("holdfast_journal_kept_for_kafka_commits", "commits that are due to be deleted and are kept because Kafka has not got them; alert when it is above 0").renamed(),
    gauge("holdfast_journal_oldest_timestamp_seconds", "Unix time of the oldest commit in the embedded log; told each minute").renamed(),
    counter("holdfast_journal_purged_commits_total", "commits that were deleted as `journal.keep_days` and `journal.keep_gb` say").renamed(),
    histogram("holdfast_journal_sync_seconds", "one commit of the journal, its sync included").renamed(),
    counter("holdfast_journal_unknown_outcomes_total", "statements that a cluster did not answer; each is sent again").renamed(),
    counter("holdfast_log_lines_lost_total", "lines of the log that could not be written").renamed(),
    counter("holdfast_logins_refused_total", "requests with a wrong API key").renamed(),
    gauge("holdfast_memory_ahead_bytes", "memory taken ahead of load and not given back").renamed(),
    counter("holdfast_operator_changes_total", "settings that operators changed while the process ran"),
    gauge("holdfast_orders_accepting", "1 unless an operator has paused new orders and reservations by `orders.accepting`, then 0"),
    gauge("holdfast_orders_per_minute", "orders accepted in the last 60 s, each once however often it is sent"),
    counter("holdfast_orders_total", "answers to `POST /v1/orders`, retries too: `placed`, or `refused` for whatever reason").by(&["outcome"]).renamed(),
    histogram("holdfast_partition_move_pause_seconds", "from the moment a partition was to go to another shard until that shard had it: requests to it wait so long"),
    counter("holdfast_partition_moves_total", "partitions that went to another shard: `moved`, or `rebuilt` where one panicked on its way").by(&["outcome"]),
    gauge("holdfast_payment_failure_rate", "share of the payment attempts that ended in the last 5 minutes which were declined or voided"),
    counter("holdfast_problems_total", "answers that are problem documents; the codes are at `/problems`").by(&["code"]),
    gauge("holdfast_process_resident_bytes", "memory of the process"),
    gauge("holdfast_projection_lag_commits", "durable commits that the tables do not have yet").renamed(),
    counter("holdfast_projection_pressed_total", "times that so much waited for the tables that a thread of full priority wrote it: no processor was free, the disk was slow, or a start left so many"),
    gauge("holdfast_queue_depth", "requests that all shards have in hand"),
    gauge("holdfast_ready", "1 while the server serves requests, as `/readyz` says, else 0; `holdfast_orders_accepting` says whether new orders are among them"),
    gauge("holdfast_refusal_rate_503", "share of the answers of the last 60 s, those to probes left out, that are 503: not executed"),
    gauge("holdfast_relay_lag_events", "durable events that are not published to Kafka yet").renamed(),
    gauge("holdfast_relay_lag_seconds", "age of the oldest of them, 0 if there is none").renamed(),
    counter("holdfast_relay_published_total", "events that Kafka acknowledged").renamed(),
    counter("holdfast_relay_restarts_total", "times publishing to Kafka started over after a failure").renamed(),
    gauge("holdfast_request_latency_p95", "seconds in which 95 % of the answers of API routes were ready, of the last 60 s"),
    counter("holdfast_scrub_damaged_files_total", "files of the log found damaged, counted at each pass").renamed(),
    gauge("holdfast_scrub_finished_timestamp_seconds", "Unix time at which all full files of the log had last been compared with their checksums, 0 for never").renamed(),
    gauge("holdfast_shard_busy_ratio", "share of one processor that the thread of a shard had in the last second").by(&["shard"]),
    gauge("holdfast_shard_depth", "requests that a shard has in hand").by(&["shard"]).renamed(),
    histogram("holdfast_shard_durable_seconds", "from sending a probe to a shard until what the shard wrote after reading it is durable").by(&["shard"]),
    histogram("holdfast_shard_mailbox_wait_seconds", "from a wake-up of a shard to its turn").by(&["shard"]).renamed(),
    gauge("holdfast_shard_partitions", "partitions that a shard hosts").by(&["shard"]),
    gauge("holdfast_shard_probe_unread_seconds", "how long the probe under way waits already: of a shard that stands still it grows").by(&["shard"]),
    histogram("holdfast_shard_probe_wait_seconds", "from sending a probe to a shard until the shard reads it: as long as a request waits").by(&["shard"]),
    counter("holdfast_shard_rebuilds_total", "partitions rebuilt after a panic").renamed(),
    histogram("holdfast_shard_timer_lag_seconds", "how late deadlines fire").by(&["shard"]).renamed(),
];

/// What a metric says.
pub fn help(name: &str) -> &'static str {
    METRICS.iter().find(|metric| metric.name == name).map_or("", |metric| metric.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_have_the_prefix_and_end_as_their_kind_asks() {
        assert!(METRICS.is_sorted_by(|one, next| one.name < next.name));
        for Metric { name, kind, .. } in METRICS {
            assert!(name.starts_with(PREFIX), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        }
    }
}
