//! What an operator should do about what the frames of the last minute show, in sentences.
//!
//! Pure: frames in, advice out. Invariant: there is always a sentence, and a number in it is one of the frames.

use crate::live::{Frame, HotSku, ShardFrame};
use crate::wire::figures::grouped;
use serde::Serialize;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A message that waits longer than this makes a buyer wait.
const LONG_WAIT_MS: f64 = 20.0;
/// Longer than a buyer waits.
const TOO_LONG_MS: f64 = 1_000.0;
const BUSY: f64 = 0.8;
/// Part of the lines from which on one SKU is the cause, and below which none is.
const ONE_SKU: f64 = 0.5;
const NO_SKU: f64 = 0.3;
const SLOW_SYNC_MS: f64 = 20.0;
/// Part of the time that commits take from which on they follow each other without a pause.
const BACK_TO_BACK: f64 = 0.9;
/// The busiest shard against the mean of all.
const UNEVEN: f64 = 1.5;
/// Requests a second, of all shards, below which heat means nothing.
const FEW_REQUESTS: f64 = 100.0;
/// Part of the credits from which on they are used up.
const FULL: f64 = 0.95;
const LEAST_CREDITS: u64 = 64;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Advice {
    pub code: &'static str,
    pub sentence: String,
    /// What can be planned with a click. Null: nothing here helps.
    #[schema(required = true)]
    pub action: Option<Action>,
}

/// A change that the advice is for.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
#[schema(as = AdviceAction)]
pub enum Action {
    /// Another value for a setting.
    Tune { key: &'static str, value: u64 },
    /// A shard of its own for a partition.
    Isolate { partition: u16 },
    /// Partitions to other shards, as many as there are.
    Level,
}

impl Advice {
    fn new(code: &'static str, sentence: String, action: Option<Action>) -> Self {
        Self { code, sentence, action }
    }
}

/// What to do about the frames of the last minute, the oldest first. Never empty.
pub fn advise<F: Borrow<Frame>>(frames: &[F]) -> Vec<Advice> {
    let Some(window) = Window::of(frames) else {
        return vec![Advice::new("no_frame", "nothing was seen of the engine yet".to_owned(), None)];
    };
    let advice =
        [window.disk(), window.busy_shard(), window.uneven(), window.few_credits(), window.small_share(), window.many_credits()];
    let advice: Vec<Advice> = advice.into_iter().flatten().collect();
    if advice.is_empty() { vec![window.calm()] } else { advice }
}

/// The frames as one.
struct Window<'a> {
    newest: &'a Frame,
    /// Each shard of the newest frame, with what it did on average.
    shards: Vec<ShardFrame>,
    overloaded: u64,
    over_share: u64,
    lines: u64,
    hot: Vec<HotSku>,
}

impl<'a> Window<'a> {
    fn of<F: Borrow<Frame>>(frames: &'a [F]) -> Option<Self> {
        let newest = frames.last()?.borrow();
        let frames = || frames.iter().map(Borrow::borrow);
        let shards = newest.shards.iter().map(|shard| average(shard, frames())).collect();
        let mut hot: BTreeMap<&str, HotSku> = BTreeMap::new();
        for sku in frames().flat_map(|frame| &frame.hot) {
            let sum = hot.entry(&sku.sku).or_insert_with(|| HotSku { count: 0, ..sku.clone() });
            sum.count += sku.count;
            (sum.partition, sum.shard) = (sku.partition, sku.shard);
        }
        let mut hot: Vec<HotSku> = hot.into_values().collect();
        hot.sort_by_key(|sku| std::cmp::Reverse(sku.count));
        let sum = |of: fn(&Frame) -> u64| frames().map(of).sum();
        let (overloaded, over_share) = (sum(|frame| frame.overloaded), sum(|frame| frame.over_share));
        Some(Self { newest, shards, overloaded, over_share, lines: sum(|frame| frame.lines_sampled), hot })
    }

    /// The hottest SKU, and its part of the lines.
    fn hottest(&self) -> Option<(&HotSku, f64)> {
        let hottest = self.hot.first()?;
        Some((hottest, hottest.count as f64 / self.lines.max(1) as f64))
    }

    fn longest_wait(&self) -> f64 {
        self.shards.iter().map(|shard| shard.wait_p99_ms).fold(0.0, f64::max)
    }

    fn disk_is_slow(&self) -> bool {
        self.newest.sync_p99_ms > SLOW_SYNC_MS && self.newest.sync_busy >= BACK_TO_BACK
    }

    fn disk(&self) -> Option<Advice> {
        let sync = millis(self.newest.sync_p99_ms);
        let sentence = format!("the disk is the limit (sync p99 {sync}): shards and credits will not help");
        self.disk_is_slow().then(|| Advice::new("slow_disk", sentence, None))
    }

    /// A shard that has more to do than it can.
    fn busy_shard(&self) -> Option<Advice> {
        let shard = self.shards.iter().filter(|shard| shard.wait_p99_ms > LONG_WAIT_MS && shard.busy > BUSY);
        let shard = shard.max_by(|one, other| one.busy.total_cmp(&other.busy))?;
        match self.hottest() {
            Some((sku, share)) if share > ONE_SKU && sku.shard == shard.shard => Some(hot_sku(shard, sku, share)),
            Some((_, share)) if share > NO_SKU => None,
            Some(_) | None => self.more_shards(shard),
        }
    }

    fn more_shards(&self, shard: &ShardFrame) -> Option<Advice> {
        let idle = self.newest.idle_cores.floor() as usize;
        let (now, partitions) = (self.shards.len(), self.shards.iter().map(|shard| shard.partitions).sum::<usize>());
        let then = (now + idle).min(partitions);
        if then <= now {
            return None;
        }
        let sentence = format!(
            "shard {} is busy with {} SKUs or more and {idle} {} idle: {now} → {then} shards moves about {} partitions",
            shard.shard,
            self.hot.len(),
            if idle == 1 { "core is" } else { "cores are" },
            partitions - partitions * now / then
        );
        Some(Advice::new("few_shards", sentence, Some(Action::Tune { key: "engine.shards", value: then as u64 })))
    }

    fn uneven(&self) -> Option<Advice> {
        let all: u64 = self.shards.iter().map(|shard| shard.requests).sum();
        let (hottest, mean) =
            (self.shards.iter().map(|shard| shard.requests).max()? as f64, all as f64 / self.shards.len() as f64);
        let spread = self.hottest().is_none_or(|(_, share)| share <= ONE_SKU);
        let uneven = self.shards.len() > 1 && all as f64 >= FEW_REQUESTS && hottest > UNEVEN * mean && spread;
        let sentence = format!(
            "partitions are unevenly hot: one shard has {:.1} times the requests of the mean; levelling moves some",
            hottest / mean
        );
        uneven.then(|| Advice::new("uneven_heat", sentence, Some(Action::Level)))
    }

    /// Where a shard is behind or the disk is slow requests hold their credits for long, and more of them would only wait.
    fn keeps_up(&self) -> bool {
        self.longest_wait() < LONG_WAIT_MS && !self.disk_is_slow()
    }

    fn few_credits(&self) -> Option<Advice> {
        let limit = self.shards.iter().map(|shard| shard.limit).max()? as u64;
        let few = self.overloaded > 0 && self.keeps_up();
        let sentence = format!("credits run out before the shard does: {} → {}", grouped(limit), grouped(2 * limit));
        few.then(|| Advice::new("few_credits", sentence, Some(Action::Tune { key: "engine.credits", value: 2 * limit })))
    }

    fn small_share(&self) -> Option<Advice> {
        let sentence = format!(
            "{} requests were refused because their client had its share in hand: where that client is a shop, raise server.key_share_percent",
            grouped(self.over_share)
        );
        (self.over_share > 0 && self.keeps_up()).then(|| Advice::new("small_share", sentence, None))
    }

    fn many_credits(&self) -> Option<Advice> {
        let full = |shard: &&ShardFrame| shard.depth as f64 >= FULL * shard.limit as f64 && shard.wait_p99_ms > TOO_LONG_MS;
        let shard = self.shards.iter().find(full)?;
        let fitting = (shard.limit as f64 * TOO_LONG_MS / shard.wait_p99_ms) as u64;
        let fitting = fitting.max(LEAST_CREDITS);
        let sentence =
            format!("requests wait longer than buyers do ({}): credits → {}", millis(shard.wait_p99_ms), grouped(fitting));
        Some(Advice::new("many_credits", sentence, Some(Action::Tune { key: "engine.credits", value: fitting })))
    }

    fn calm(&self) -> Advice {
        let busiest = self.shards.iter().map(|shard| shard.busy).fold(0.0, f64::max);
        let sentence = format!("nothing to do: busiest shard {}, wait p99 {}", percent(busiest), millis(self.longest_wait()));
        Advice::new("nothing_to_do", sentence, None)
    }
}

fn hot_sku(shard: &ShardFrame, HotSku { sku, partition, .. }: &HotSku, share: f64) -> Advice {
    let sentence = format!(
        "shard {}: wait p99 {}, {} busy, {} of the lines are for {sku} in partition {partition}. More shards will not help {sku}: give partition \
         {partition} a shard of its own (1 move), or let in fewer buyers at a time",
        shard.shard,
        millis(shard.wait_p99_ms),
        percent(shard.busy),
        percent(share)
    );
    Advice::new("hot_sku", sentence, Some(Action::Isolate { partition: *partition }))
}

/// The shard with what it did on average; its depth and its wait are of now.
fn average<'a>(shard: &ShardFrame, frames: impl Iterator<Item = &'a Frame>) -> ShardFrame {
    let same = frames.flat_map(|frame| frame.shards.iter().filter(|other| other.shard == shard.shard));
    let (mut busy, mut requests, mut count) = (0.0, 0, 0_u64);
    for other in same {
        (busy, requests, count) = (busy + other.busy, requests + other.requests, count + 1);
    }
    ShardFrame { busy: busy / count.max(1) as f64, requests: requests / count.max(1), ..shard.clone() }
}

fn millis(millis: f64) -> String {
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

fn percent(part: f64) -> String {
    format!("{:.0} %", 100.0 * part)
}

#[cfg(test)]
mod tests;
