//! What a running engine does, once a second: one frame for all who look.
//!
//! Invariants: all numbers of a frame are of one moment; a shard that did not answer is named and not left out in silence; the frames of
//! a minute are kept, however many look at them.

mod framer;

pub use framer::Framer;

use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use utoipa::ToSchema;

/// Frames that are kept: a minute.
const KEPT: usize = 60;

/// The engine at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Frame {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub cores: u64,
    /// Cores that this process did not use in the last second.
    pub idle_cores: f64,
    pub shards: Vec<ShardFrame>,
    /// Shards that did not say what they have.
    pub silent: Vec<usize>,
    /// Of the last ten seconds: 99 of 100 commits took no longer.
    pub sync_p99_ms: f64,
    /// The share of the time in which a commit was under way.
    pub sync_busy: f64,
    /// Requests that were refused in the last second for want of a credit.
    pub overloaded: u64,
    /// Those that were refused because their client had its share of the credits in hand.
    pub over_share: u64,
    /// Lines of orders that were looked at in the last second, one order in eight.
    pub lines_sampled: u64,
    /// The SKUs of most of them.
    pub hot: Vec<HotSku>,
}

impl Frame {
    /// How long orders for a partition would wait that went to another shard now, in milliseconds: what says so waits behind all that its
    /// shard has to read, what that shard wrote becomes durable, and a mark of the other behind it.
    pub fn pause_estimate_ms(&self) -> f64 {
        let slowest = self.shards.iter().map(|shard| shard.wait_p99_ms).fold(0.0, f64::max);
        slowest + 2.0 * self.sync_p99_ms
    }
}

/// A shard at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct ShardFrame {
    pub shard: usize,
    /// Requests in hand, and how many there may be.
    pub depth: usize,
    pub limit: usize,
    /// The share of a processor that it had, 0 to 1.
    pub busy: f64,
    /// Of the last minute: 99 of 100 messages waited no longer.
    pub wait_p99_ms: f64,
    pub partitions: usize,
    /// Requests that came in the last second.
    pub requests: u64,
}

/// A SKU that many orders are for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct HotSku {
    pub sku: String,
    pub partition: u16,
    /// The shard that hosts its partition.
    pub shard: usize,
    pub count: u64,
}

/// The last frames.
#[derive(Debug, Default)]
pub struct Frames(Mutex<VecDeque<Arc<Frame>>>);

impl Frames {
    pub fn push(&self, frame: Frame) {
        let mut frames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if frames.len() == KEPT {
            frames.pop_front();
        }
        frames.push_back(Arc::new(frame));
    }

    pub fn last(&self) -> Option<Arc<Frame>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).back().cloned()
    }

    /// The oldest first.
    pub fn last_minute(&self) -> Vec<Arc<Frame>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_waits_for_the_slowest_shard_and_two_commits() {
        let shard = |wait_p99_ms| ShardFrame { wait_p99_ms, ..ShardFrame::default() };
        let frame = Frame { shards: vec![shard(0.5), shard(30.0), shard(2.0)], sync_p99_ms: 4.0, ..Frame::default() };
        assert_eq!((frame.pause_estimate_ms(), Frame::default().pause_estimate_ms()), (38.0, 0.0));
    }
}
