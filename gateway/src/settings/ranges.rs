//! What numbers of the settings may be.
//!
//! Invariant: a number in its range neither leaves what a clock or a counter can say, whatever it is multiplied by, nor keeps a server
//! from starting; a test knows a value that is refused of every one of them.

use super::Settings;
use holdfast_engine::limits;
use std::ops::RangeInclusive;

/// The HTTP server takes no more, and panics.
pub const MOST_WORKERS: usize = 512;

/// No time may be longer: sums of times must not leave what a clock can say.
const LONGEST_SECONDS: u64 = 30 * limits::MAX_TTL_MS / 1000;
const SECONDS: RangeInclusive<u64> = 0..=LONGEST_SECONDS;
const HOLD: RangeInclusive<u64> = limits::MIN_TTL_MS / 1000..=limits::MAX_TTL_MS / 1000;
const MIB: RangeInclusive<u64> = 0..=1 << 30;
const MILLIONS: RangeInclusive<u64> = 1..=10_000_000;

type Ranged = (&'static str, u64, RangeInclusive<u64>);

/// What a number may be, if this key has one.
pub fn range_of(settings: &Settings, key: &str) -> Option<RangeInclusive<u64>> {
    all(settings).into_iter().find(|(ranged, ..)| *ranged == key).map(|(.., range)| range)
}

pub(super) fn all(settings: &Settings) -> Vec<Ranged> {
    let Settings {
        server, data, journal, scylla, engine, orders, holds, payments, sandbox, kafka, console, log, telemetry, ..
    } = settings;
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    vec![
        ("server.workers", wide(server.workers), 0..=wide(MOST_WORKERS)),
        ("server.max_connections", wide(server.max_connections), MILLIONS),
        // A body that never comes would be waited for for ever.
        ("server.body_timeout_seconds", server.body_timeout_seconds, 1..=LONGEST_SECONDS),
        ("server.body_seconds", server.body_seconds, 1..=LONGEST_SECONDS),
        // The largest body needs one.
        ("server.bodies_mb", server.bodies_mb, 1..=1 << 20),
        // With more, most clients could not send any body.
        ("server.body_min_bytes_per_second", server.body_min_bytes_per_second, 0..=1 << 20),
        ("server.drain_seconds", server.drain_seconds, SECONDS),
        ("server.answer_wait_seconds", server.answer_wait_seconds, SECONDS),
        ("server.drain_notice_seconds", server.drain_notice_seconds, SECONDS),
        ("server.key_share_percent", server.key_share_percent.into(), 1..=100),
        ("server.max_streams", wide(server.max_streams), 0..=10_000_000),
        // No reader takes everything at once.
        ("server.stream_patience_seconds", server.stream_patience_seconds, 1..=LONGEST_SECONDS),
        ("data.partitions", data.partitions.into(), 1..=limits::MAX_PARTITIONS.into()),
        ("data.reserve_mb", data.reserve_mb, MIB),
        ("journal.keep_days", journal.keep_days.into(), 0..=36_500),
        // A pebibyte.
        ("journal.keep_gb", journal.keep_gb.into(), 0..=1 << 20),
        // A year; 0 is never.
        ("journal.scrub_hours", journal.scrub_hours.into(), 0..=8_784),
        ("scylla.replication", scylla.replication.into(), 1..=100),
        ("scylla.timeout_ms", scylla.timeout_ms, 1..=LONGEST_SECONDS * 1000),
        ("engine.shards", wide(engine.shards), 0..=limits::MAX_PARTITIONS.into()),
        ("engine.credits", wide(engine.credits), MILLIONS),
        ("engine.snapshot_events", engine.snapshot_events, 1..=10_000_000_000),
        // A frame is counted in 32 bits, and a batch is in memory as a whole.
        ("engine.batch_kb", wide(engine.batch_kb), 4..=65_536),
        ("engine.commits_in_flight", wide(engine.commits_in_flight), 1..=64),
        ("engine.memory_ahead_mb", engine.memory_ahead_mb, MIB),
        ("orders.ttl_seconds", orders.ttl_seconds, HOLD),
        ("orders.ttl_max_seconds", orders.ttl_max_seconds, HOLD),
        ("holds.max_life_seconds", holds.max_life_seconds, SECONDS),
        ("holds.max_extensions", holds.max_extensions.into(), 0..=limits::MAX_EXTENSIONS.into()),
        ("payments.pin_seconds", payments.pin_seconds, SECONDS),
        ("payments.query_after_seconds", payments.query_after_seconds, SECONDS),
        ("payments.query_max_seconds", payments.query_max_seconds, SECONDS),
        ("payments.unknown_max_seconds", payments.unknown_max_seconds, SECONDS),
        ("payments.decline_grace_seconds", payments.decline_grace_seconds, SECONDS),
        ("payments.call_timeout_seconds", payments.call_timeout_seconds, SECONDS),
        ("sandbox.replay_window_seconds", sandbox.replay_window_seconds, SECONDS),
        // A session that ends at once opens nothing.
        ("console.idle_seconds", console.idle_seconds, 1..=LONGEST_SECONDS),
        ("kafka.topic_partitions", kafka.topic_partitions.into(), 1..=4096),
        ("kafka.replication", kafka.replication.into(), 1..=16),
        ("kafka.queue_events", kafka.queue_events.into(), MILLIONS),
        ("kafka.flush_seconds", kafka.flush_seconds, SECONDS),
        ("telemetry.trace_one_in", telemetry.trace_one_in.into(), 0..=10_000_000),
        ("log.sample.error", log.sample.error.into(), MILLIONS),
        ("log.sample.warn", log.sample.warn.into(), MILLIONS),
        ("log.sample.info", log.sample.info.into(), MILLIONS),
        ("log.sample.debug", log.sample.debug.into(), MILLIONS),
        ("log.sample.trace", log.sample.trace.into(), MILLIONS),
    ]
}

/// What is wrong with a number, if anything is.
pub(super) fn outside(value: u64, range: &RangeInclusive<u64>) -> Option<String> {
    if range.contains(&value) {
        return None;
    }
    let (least, most) = (range.start(), range.end());
    Some(if *most == LONGEST_SECONDS && value > *most {
        "must not be longer than 30 days".to_owned()
    } else {
        format!("must be {least} to {most}")
    })
}
