//! Makes a frame a second of what is seen of the engine, for all who look at it.
//!
//! Invariant: nothing here asks a shard anything, so that a frame costs the same however many orders are open.

use super::{Frame, HotSku, ShardFrame};
use crate::threads::cores;
use holdfast_actors::probe::Seen;
use holdfast_actors::sketch::Hot;
use holdfast_actors::{Handle, clock};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A shard that has not read its probe for so long is named as silent.
const SILENT: Duration = Duration::from_secs(1);
/// SKUs that a frame names.
const SHOWN: usize = 20;
/// Ticks of the processor's clock in a second, as Linux shows them to programs.
const TICKS: f64 = 100.0;

/// What rises, as it was when the last frame was made.
#[derive(Debug, Default)]
struct Counted {
    at: Option<Instant>,
    processor: f64,
    requests: Vec<u64>,
    overloaded: u64,
    over_share: u64,
}

#[derive(Debug, Default)]
pub struct Framer {
    before: Counted,
}

impl Framer {
    pub fn frame(&mut self, handle: &Handle) -> Frame {
        let now = Instant::now();
        let (seen, hosted, syncs) = (handle.seen(), handle.hosted(), handle.syncs());
        let counted = Counted {
            at: Some(now),
            processor: processor_seconds().unwrap_or_default(),
            requests: seen.iter().map(|seen| seen.requests).collect(),
            overloaded: handle.counts().overloaded(),
            over_share: handle.counts().over_share(),
        };
        let before = std::mem::replace(&mut self.before, counted);
        let limits = handle.credits();
        let shards = seen.iter().zip(limits).enumerate().map(|(shard, (seen, (depth, limit)))| {
            let requests = seen.requests.saturating_sub(before.requests.get(shard).copied().unwrap_or(seen.requests));
            let partitions = hosted.get(shard).copied().unwrap_or_default();
            ShardFrame { shard, depth, limit, busy: seen.busy, wait_p99_ms: millis(wait_p99(seen)), partitions, requests }
        });
        let silent = seen.iter().enumerate().filter(|(_, seen)| seen.unread > SILENT).map(|(shard, _)| shard);
        Frame {
            at_ms: clock::wall().millis(),
            cores: cores() as u64,
            idle_cores: idle(&before, &self.before),
            shards: shards.collect(),
            silent: silent.collect(),
            sync_p99_ms: millis(syncs.p99),
            sync_busy: syncs.busy,
            overloaded: self.before.overloaded.saturating_sub(before.overloaded),
            over_share: self.before.over_share.saturating_sub(before.over_share),
            lines_sampled: seen.iter().map(|seen| seen.hot.all).sum(),
            hot: hottest(handle, &seen),
        }
    }
}

fn idle(before: &Counted, now: &Counted) -> f64 {
    let (Some(began), Some(ended)) = (before.at, now.at) else { return 0.0 };
    let passed = ended.duration_since(began).as_secs_f64().max(0.001);
    (cores() as f64 - (now.processor - before.processor) / passed).max(0.0)
}

/// Over all shards: orders come where their keys say, not their SKUs.
fn hottest(handle: &Handle, seen: &[Seen]) -> Vec<HotSku> {
    let mut counts = BTreeMap::new();
    for Hot { sku, count } in seen.iter().flat_map(|seen| &seen.hot.first) {
        *counts.entry(sku).or_insert(0) += count;
    }
    let (router, mut hot) = (handle.router(), counts.into_iter().collect::<Vec<_>>());
    hot.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let table = router.table();
    let named = hot.into_iter().take(SHOWN).map(|(sku, count)| {
        let partition = router.partitions.of_sku(sku);
        let shard = table.shard_of.get(usize::from(partition.0)).copied().unwrap_or_default();
        HotSku { sku: sku.to_string(), partition: partition.0, shard, count }
    });
    named.collect()
}

fn wait_p99(seen: &Seen) -> Duration {
    let mut waits = seen.waits.clone();
    waits.sort_unstable();
    let p99 = waits.get((waits.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
    p99.max(seen.unread)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Time that the threads of this process had processors. `None` where the system does not say.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process, in brackets, may have anything in it.
    let mut fields = text.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_that_of_the_slowest_of_a_hundred_or_of_a_probe_that_still_waits() {
        let seen = |unread| Seen { waits: (1..=100).map(Duration::from_millis).collect(), unread, ..Seen::default() };
        assert_eq!(wait_p99(&seen(Duration::ZERO)), Duration::from_millis(99));
        assert_eq!(wait_p99(&seen(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(wait_p99(&Seen::default()), Duration::ZERO);
    }

    #[test]
    fn the_time_of_the_processor_rises() {
        let before = processor_seconds().unwrap();
        while processor_seconds().unwrap() <= before {}
    }
}
