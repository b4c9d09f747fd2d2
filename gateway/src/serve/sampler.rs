//! Looks at engine and process once a second for the gauges that nobody counts up, and sends the shards their probes.
//!
//! Invariants: nothing here asks a shard anything, so that a look costs the same however many orders are open; a disk that hangs holds up
//! no other gauge.

use crate::live::Framer;
use crate::process::resident;
use crate::state::{App, Live};
use crate::telemetry::tally::ANSWERS;
use crate::telemetry::window::{Gauges, Minutes};
use actix_web::web::{self, Data};
use holdfast_actors::probe::Seen;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Between two probes of a shard.
const PROBES: Duration = Duration::from_millis(100);
/// Probes between two looks.
const LOOK: u32 = 10;
/// Between two looks at disk and memory.
const PROCESS: Duration = Duration::from_secs(5);
/// A shard that has not read its probe for so long meets no deadline either.
const STANDS_STILL: Duration = Duration::from_secs(1);

fn ticks(every: Duration) -> Interval {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Goes on as long as the process runs, whether there is an engine or not.
pub(super) async fn watch(app: Data<App>) {
    let (mut sampler, mut framer, mut tick) = (Sampler::new(), Framer::default(), ticks(PROBES));
    for turn in (0..LOOK).cycle() {
        tick.tick().await;
        let live = app.live.load();
        if let Some(live) = &*live {
            live.handle.probe();
        }
        if turn == 0 {
            sampler.look(live.as_deref());
            metrics::gauge!("holdfast_orders_accepting").set(f64::from(u8::from(app.tuned.load().orders.accepting)));
            if let Some(live) = &*live {
                app.frames.push(framer.frame(&live.handle));
            }
        }
    }
}

struct Sampler {
    begun: Instant,
    minutes: Minutes,
    /// Shards that have gauges.
    shards: usize,
}

impl Sampler {
    fn new() -> Self {
        Self { begun: Instant::now(), minutes: Minutes::default(), shards: 0 }
    }

    fn look(&mut self, live: Option<&Live>) {
        let (seen, hosted) = live.map(|live| (live.handle.seen(), live.handle.hosted())).unwrap_or_default();
        let depth: usize = live.map(|live| live.handle.depths().into_iter().sum()).unwrap_or_default();
        metrics::gauge!("holdfast_queue_depth").set(depth as f64);
        metrics::gauge!("holdfast_hold_expiry_lag_seconds").set(expiry_lag(&seen).as_secs_f64());
        self.shards(&seen, &hosted);
        let payments = live.map(|live| live.handle.counts().payments()).unwrap_or_default();
        show(self.minutes.look(self.begun.elapsed(), ANSWERS.now(), payments));
    }

    /// Shards that are no more show 0.
    fn shards(&mut self, seen: &[Seen], hosted: &[usize]) {
        self.shards = self.shards.max(seen.len());
        for shard in 0..self.shards {
            let (seen, partitions) =
                (seen.get(shard).cloned().unwrap_or_default(), hosted.get(shard).copied().unwrap_or_default());
            let shard = shard.to_string();
            metrics::gauge!("holdfast_shard_busy_ratio", "shard" => shard.clone()).set(seen.busy);
            metrics::gauge!("holdfast_shard_probe_unread_seconds", "shard" => shard.clone()).set(seen.unread.as_secs_f64());
            metrics::gauge!("holdfast_shard_partitions", "shard" => shard).set(partitions as f64);
        }
    }
}

/// Of the shard that is latest.
fn expiry_lag(seen: &[Seen]) -> Duration {
    let late = |seen: &Seen| if seen.unread > STANDS_STILL { seen.overdue + seen.unread } else { seen.overdue };
    seen.iter().map(late).max().unwrap_or_default()
}

fn show(gauges: Gauges) {
    let Gauges { orders_per_minute, request_latency_p95, error_rate_5xx, refusal_rate_503, payment_failure_rate } = gauges;
    metrics::gauge!("holdfast_orders_per_minute").set(orders_per_minute);
    metrics::gauge!("holdfast_request_latency_p95").set(request_latency_p95);
    metrics::gauge!("holdfast_error_rate_5xx").set(error_rate_5xx);
    metrics::gauge!("holdfast_refusal_rate_503").set(refusal_rate_503);
    metrics::gauge!("holdfast_payment_failure_rate").set(payment_failure_rate);
}

/// Disk and memory of the process.
pub(super) async fn watch_process(app: Data<App>) {
    let mut tick = ticks(PROCESS);
    loop {
        tick.tick().await;
        let looking = app.clone();
        let looked = web::block(move || {
            let data = &looking.settings.data;
            let free = if data.ephemeral { None } else { free_bytes(&data.dir) };
            (free, resident::bytes())
        });
        let Ok((free, resident)) = looked.await else { continue };
        if let Some(free) = free {
            metrics::gauge!("holdfast_data_disk_free_bytes").set(free as f64);
        }
        if let Some(resident) = resident {
            metrics::gauge!("holdfast_process_resident_bytes").set(resident as f64);
        }
    }
}

/// Bytes that this process may still write there. `None` where the system does not say.
fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_stands_still_is_later_the_longer_it_does() {
        let millis = Duration::from_millis;
        let seen = |unread, overdue| Seen { unread: millis(unread), overdue: millis(overdue), ..Seen::default() };
        for (shards, expected) in [
            (vec![], 0),
            (vec![seen(0, 0), seen(90, 0)], 0),
            (vec![seen(0, 40), seen(90, 700)], 700),
            (vec![seen(0, 700), seen(3_000, 0)], 3_000),
            (vec![seen(3_000, 40)], 3_040),
        ] {
            assert_eq!(expiry_lag(&shards), millis(expected), "{shards:?}");
        }
    }
}
