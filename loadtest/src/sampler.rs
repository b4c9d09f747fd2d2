//! What the server says of itself once a second while it is under load: shards, commits, stock, memory.
//!
//! Invariant: a sample that does not come is left out; it never holds the load up.

use crate::http::Target;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

const EVERY: Duration = Duration::from_secs(1);
/// SKUs whose stock is followed: the first ones are the hot ones.
pub const FOLLOWED: usize = 20;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Since the start of the run.
    pub second: f64,
    /// Requests in hand, by shard.
    pub depth: Vec<u64>,
    pub holds: u64,
    pub orders: u64,
    /// Of the followed SKUs.
    pub available: u64,
    pub held: u64,
    pub committed: u64,
    /// Since the start of the server.
    pub commits: f64,
    pub commit_events: f64,
    pub sync_seconds: f64,
    /// Commits with at most so many events, by that number; likewise since the start.
    pub sizes: Vec<(f64, f64)>,
    /// Of the process, if it runs here.
    pub resident: Option<u64>,
    pub cpu_seconds: Option<f64>,
}

/// Samples so far.
#[derive(Clone, Default)]
pub struct Samples(Arc<Mutex<Vec<Sample>>>);

impl Samples {
    pub fn all(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn last(&self) -> Option<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }
}

pub struct Sampler {
    pub target: Target,
    pub skus: Vec<String>,
    pub start: Instant,
    /// Of a server that runs here; another after it was killed and started again.
    pub pid: Arc<Mutex<Option<u32>>>,
}

impl Sampler {
    pub async fn run(self, samples: Samples, over: Arc<AtomicBool>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !over.load(Ordering::Relaxed) {
            ticks.tick().await;
            if let Ok(Ok(sample)) = timeout(EVERY * 5, self.look()).await {
                samples.0.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
        }
    }

    async fn look(&self) -> std::io::Result<Sample> {
        let mut sample = Sample { second: self.start.elapsed().as_secs_f64(), ..Sample::default() };
        let operators = self.target.operators();
        let mut connection = operators.connect().await?;
        let metrics = connection.send(&operators.request("GET", "/metrics", "", "")).await?;
        read_metrics(&mut sample, &String::from_utf8_lossy(&metrics.body));
        read_shards(&mut sample, &connection.send(&operators.request("GET", "/admin/v1/shards", "", "")).await?.json());
        let mut connection = self.target.connect().await?;
        let get = |path: &str| self.target.request("GET", path, "", "");
        for sku in self.skus.iter().take(FOLLOWED) {
            let stock = connection.send(&get(&format!("/v1/inventory/{sku}"))).await?.json();
            let count = |bucket: &str| stock[bucket].as_u64().unwrap_or_default();
            sample.available += count("available");
            sample.held += count("held") + count("pinned");
            sample.committed += count("committed");
        }
        if let Some(pid) = *self.pid.lock().unwrap_or_else(PoisonError::into_inner) {
            (sample.resident, sample.cpu_seconds) = (resident(pid), cpu_seconds(pid));
        }
        Ok(sample)
    }
}

fn read_shards(sample: &mut Sample, shards: &Value) {
    for shard in shards["shards"].as_array().into_iter().flatten() {
        let count = |name: &str| shard[name].as_u64().unwrap_or_default();
        sample.depth.push(count("depth"));
        sample.holds += count("holds");
        sample.orders += count("orders");
    }
}

fn read_metrics(sample: &mut Sample, text: &str) {
    let values: BTreeMap<&str, f64> = text.lines().filter_map(|line| line.rsplit_once(' ')).filter_map(number).collect();
    let value = |name: &str| values.get(name).copied().unwrap_or_default();
    (sample.commits, sample.commit_events) = (value("journal_commit_events_count"), value("journal_commit_events_sum"));
    sample.sync_seconds = value("journal_sync_seconds_sum");
    let sizes = values.iter().filter_map(|(name, count)| {
        let least = name.strip_prefix("journal_commit_events_bucket{le=\"")?.strip_suffix("\"}")?;
        least.parse::<f64>().ok().filter(|least| least.is_finite()).map(|least| (least, *count))
    });
    sample.sizes = sizes.collect();
    sample.sizes.sort_by(|one, other| one.0.total_cmp(&other.0));
}

/// Builds of before call their metrics by the same names without the prefix.
fn number<'a>((name, value): (&'a str, &str)) -> Option<(&'a str, f64)> {
    Some((name.strip_prefix("holdfast_").unwrap_or(name), value.parse().ok()?))
}

/// Bytes of memory that a process has touched.
pub fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10)
}

/// Of the kernel's clock as programs see it, a second.
const TICKS: f64 = 100.0;

/// Processor time that a process has used.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may have spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_and_their_sizes_are_read_from_the_metrics() {
        let mut sample = Sample::default();
        let text = "# TYPE holdfast_journal_commit_events histogram\nholdfast_journal_commit_events_bucket{le=\"1\"} 3\n\
            holdfast_journal_commit_events_bucket{le=\"16\"} 5\nholdfast_journal_commit_events_bucket{le=\"+Inf\"} 5\nholdfast_journal_commit_events_sum 21\n\
            holdfast_journal_commit_events_count 5\nholdfast_journal_sync_seconds_sum 0.25\n";
        read_metrics(&mut sample, text);
        assert_eq!((sample.commits, sample.commit_events, sample.sync_seconds), (5.0, 21.0, 0.25));
        assert_eq!(sample.sizes, [(1.0, 3.0), (16.0, 5.0)]);
    }
}
