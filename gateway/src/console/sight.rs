//! What a server shows of itself at one moment, and the seconds before it.
//!
//! Invariant: all numbers of a page are of one sight, so that they fit each other; a shard that did not answer is named.

use super::readings::Readings;
use crate::live::Frame;
use crate::telemetry::tally::OrderAnswers;
use holdfast_actors::inbox::ShardReport;
use holdfast_actors::placement::operations::Operation;
use holdfast_actors::probe::Seen;
use holdfast_engine::time::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Seconds that are remembered.
pub const SECONDS: usize = 300;

/// Whether orders are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Taken,
    /// But no new ones: an operator has paused them.
    Paused,
    /// Balancers are told, and everything is served still.
    Draining,
    /// No new requests: the server stops.
    Closing,
    /// There is no engine, for this reason.
    Down(String),
}

/// A server at one moment.
#[derive(Clone, Debug)]
pub struct Sight {
    pub at: Timestamp,
    pub health: Health,
    /// Of the shards that answered.
    pub shards: Vec<ShardReport>,
    /// What is seen of each shard from outside, whether it answers or not.
    pub seen: Vec<Seen>,
    /// What was asked last of the placement of partitions.
    pub operation: Option<Operation>,
    /// Of the last minute, the oldest first.
    pub frames: Vec<Arc<Frame>>,
    pub readings: Readings,
    /// The oldest first.
    pub seconds: Arc<[Second]>,
}

/// What happened in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Second {
    /// Orders that were placed.
    pub placed: f64,
    pub refused: f64,
}

/// The last seconds, by what was counted at the end of each.
#[derive(Debug, Default)]
pub struct History(Mutex<Seconds>);

#[derive(Debug, Default)]
struct Seconds {
    last: Option<OrderAnswers>,
    seconds: VecDeque<Second>,
}

impl History {
    /// Another second has gone by.
    pub fn push(&self, now: OrderAnswers) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(now);
    }

    pub fn seconds(&self) -> Arc<[Second]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seconds.iter().copied().collect()
    }
}

impl Seconds {
    fn push(&mut self, now: OrderAnswers) {
        let last = self.last.replace(now).unwrap_or(now);
        let grown = |now: u64, last: u64| now.saturating_sub(last) as f64;
        if self.seconds.len() == SECONDS {
            self.seconds.pop_front();
        }
        self.seconds.push_back(Second { placed: grown(now.placed, last.placed), refused: grown(now.refused, last.refused) });
    }
}

impl Sight {
    /// Requests in hand, and how many there may be.
    pub fn depth(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(depth, limit), shard| (depth + shard.depth, limit + shard.limit))
    }

    /// Whether every shard answered.
    pub fn is_whole(&self) -> bool {
        self.shards.len() >= self.seen.len()
    }

    /// A second, over the last `seconds`.
    pub fn rate(&self, seconds: usize, of: impl Fn(&Second) -> f64) -> f64 {
        let last = &self.seconds[self.seconds.len().saturating_sub(seconds)..];
        if last.is_empty() { 0.0 } else { last.iter().map(of).sum::<f64>() / last.len() as f64 }
    }
}

/// What half and what all but one in a hundred of the probes of the last minute waited at most. `None`: there were none.
pub fn waits(seen: &Seen) -> Option<(Duration, Duration)> {
    let mut waits = seen.waits.clone();
    waits.sort_unstable();
    let at = |percent: usize| waits.get((waits.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    Some((at(50)?, at(99)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_shown_by_the_middle_and_the_end_of_them() {
        let seen = |waits: &[u64]| Seen {
            waits: waits.iter().map(|millis| Duration::from_millis(*millis)).collect(),
            ..Seen::default()
        };
        let shown = |millis: &[u64]| waits(&seen(millis)).map(|(half, most)| (half.as_millis(), most.as_millis()));
        assert_eq!((shown(&[]), shown(&[7])), (None, Some((7, 7))));
        let ladder: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(shown(&ladder), Some((100, 198)));
    }

    #[test]
    fn a_second_has_what_was_counted_in_it_and_no_more_seconds_are_kept_than_there_are_room_for() {
        let history = History::default();
        let count = |placed: u64| history.push(OrderAnswers { placed, refused: 1 });
        // The first look is no second.
        [5, 8, 8].into_iter().for_each(count);
        let placed: Vec<f64> = history.seconds().iter().map(|second| second.placed).collect();
        assert_eq!(placed, [0.0, 3.0, 0.0]);
        (0..1000).for_each(count);
        assert_eq!(history.seconds().len(), SECONDS);
    }
}
