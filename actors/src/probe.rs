//! What a shard shows of itself without being asked: how long a message waits in its inbox, how long until what it causes is durable, how
//! busy its thread is, and how late its deadlines are.
//!
//! Invariants: requests carry no time stamp for it: a probe waits in the inbox as they do, a few times a second; of each shard one
//! probe is under way at a time, so that one which stands still gathers none.

use crate::sketch::HotSkus;
use crossbeam::atomic::AtomicCell;
use holdfast_storage::LogId;
use metrics::Histogram;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Waits that are kept: of a minute, at ten a second.
const KEPT: usize = 600;
/// Between two looks at the processor's clock.
const LOOK: Duration = Duration::from_secs(1);

/// What probes are timed by. A test has time that it moves by hand.
pub trait Timing: Debug + Send + Sync {
    fn now(&self) -> Instant;
    /// Time that the calling thread had a processor. `None`: nobody says.
    fn processor(&self) -> Option<Duration>;
}

/// The clocks of the system.
#[derive(Debug)]
pub struct SystemTiming;

impl Timing for SystemTiming {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn processor(&self) -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }
}

/// What is seen of a shard from outside.
#[derive(Debug)]
pub struct Sight {
    timing: Arc<dyn Timing>,
    /// When the probe under way was sent.
    under_way: AtomicCell<Option<Instant>>,
    waits: Mutex<VecDeque<Duration>>,
    busy_permille: AtomicU64,
    overdue_millis: AtomicU64,
    requests: AtomicU64,
    hot: Mutex<HotSkus>,
}

/// A shard at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// How long the probe under way waits already.
    pub unread: Duration,
    /// Of the last minute, in their order.
    pub waits: Vec<Duration>,
    /// The share of one processor that its thread had, 0 to 1.
    pub busy: f64,
    /// How late the oldest deadline is that is due and not met.
    pub overdue: Duration,
    /// Requests that it was sent since the engine started, as of the last look.
    pub requests: u64,
    /// What orders were for in the second before the last look.
    pub hot: HotSkus,
}

impl Default for Sight {
    fn default() -> Self {
        Self::new(Arc::new(SystemTiming))
    }
}

impl Sight {
    pub(crate) fn new(timing: Arc<dyn Timing>) -> Self {
        let (busy_permille, overdue_millis, requests) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let (under_way, waits, hot) = (AtomicCell::new(None), Mutex::default(), Mutex::default());
        Self { timing, under_way, waits, busy_permille, overdue_millis, requests, hot }
    }

    /// What another shard of the engine is to be timed by.
    pub(crate) fn timing(&self) -> &Arc<dyn Timing> {
        &self.timing
    }

    fn since(&self, before: Instant) -> Duration {
        self.timing.now().saturating_duration_since(before)
    }

    /// The moment of a probe, if one is to be sent now.
    pub(crate) fn begin(&self) -> Option<Instant> {
        if self.under_way.load().is_some() {
            return None;
        }
        let now = self.timing.now();
        self.under_way.store(Some(now));
        Some(now)
    }

    fn read(&self, waited: Duration) {
        self.under_way.store(None);
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if waits.len() == KEPT {
            waits.pop_front();
        }
        waits.push_back(waited);
    }

    /// What was sent to the shard, at a look.
    pub(crate) fn sent(&self, requests: u64, hot: HotSkus) {
        self.requests.store(requests, Ordering::Relaxed);
        *self.hot.lock().unwrap_or_else(PoisonError::into_inner) = hot;
    }

    pub(crate) fn seen(&self) -> Seen {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        Seen {
            unread: self.under_way.load().map(|sent| self.since(sent)).unwrap_or_default(),
            waits,
            busy: count(&self.busy_permille) as f64 / 1000.0,
            overdue: Duration::from_millis(count(&self.overdue_millis)),
            requests: count(&self.requests),
            hot: self.hot.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// The side of it that the shard has.
#[derive(Debug)]
pub(crate) struct Probes {
    wait: Histogram,
    durable: Histogram,
    /// The probe that was read since the last batch was handed over.
    read: Option<Instant>,
    /// Those whose batch is on its way.
    flying: Vec<(LogId, u64, Instant)>,
    /// Wall clock and processor time at the last look.
    looked: Option<(Instant, Duration)>,
}

impl Probes {
    pub(crate) fn new(shard: usize) -> Self {
        let labels = [("shard", shard.to_string())];
        let wait = metrics::histogram!("holdfast_shard_probe_wait_seconds", &labels);
        let durable = metrics::histogram!("holdfast_shard_durable_seconds", &labels);
        Self { wait, durable, read: None, flying: Vec::new(), looked: None }
    }

    /// A probe was read. True if it is time for [`Self::look`].
    pub(crate) fn read(&mut self, sent: Instant, sight: &Sight) -> bool {
        let waited = sight.since(sent);
        self.wait.record(waited.as_secs_f64());
        sight.read(waited);
        self.read = Some(sent);
        self.looked.is_none_or(|(at, _)| sight.since(at) >= LOOK)
    }

    /// How much of the processor this thread had since the last look, and how late its deadlines are.
    pub(crate) fn look(&mut self, overdue: Duration, sight: &Sight) {
        sight.overdue_millis.store(u64::try_from(overdue.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let now = sight.timing.now();
        let Some(used) = sight.timing.processor() else { return };
        if let Some((at, before)) = self.looked.replace((now, used)) {
            let (used, passed) = (used.saturating_sub(before).as_secs_f64(), now.duration_since(at).as_secs_f64());
            sight.busy_permille.store((1000.0 * (used / passed).clamp(0.0, 1.0)) as u64, Ordering::Relaxed);
        }
    }

    /// What was read before is on its way to the journal as this batch.
    pub(crate) fn fly(&mut self, log: LogId, batch: u64) {
        if let Some(sent) = self.read.take() {
            self.flying.push((log, batch, sent));
        }
    }

    /// What was read before wrote nothing.
    pub(crate) fn wrote_nothing(&mut self) {
        self.read = None;
    }

    /// A log is durable up to this batch.
    pub(crate) fn landed(&mut self, log: LogId, batch: u64, sight: &Sight) {
        let Self { durable, flying, .. } = self;
        flying.retain(|(of, number, sent)| {
            let flies = *of != log || *number > batch;
            if !flies {
                durable.record(sight.since(*sent).as_secs_f64());
            }
            flies
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probe_is_under_way_at_a_time_and_its_wait_is_kept_for_a_minute() {
        let sight = Sight::default();
        assert!(sight.begin().is_some());
        assert!(sight.begin().is_none(), "the first was not read");
        (0..KEPT as u64 + 1).for_each(|millis| sight.read(Duration::from_millis(millis)));
        let seen = sight.seen();
        assert_eq!((seen.waits.len(), seen.waits[0], seen.unread), (KEPT, Duration::from_millis(1), Duration::ZERO));
        assert!(sight.begin().is_some());
    }

    #[test]
    fn a_probe_is_durable_with_the_batch_behind_it_and_not_before() {
        let mut probes = Probes::new(0);
        let sight = Sight::default();
        assert!(probes.read(Instant::now(), &sight), "nothing was looked at yet");
        probes.fly(LogId(0), 7);
        probes.landed(LogId(0), 6, &sight);
        probes.landed(LogId(1), 7, &sight);
        assert_eq!(probes.flying.len(), 1);
        probes.landed(LogId(0), 8, &sight);
        assert!(probes.flying.is_empty());
        probes.read(Instant::now(), &sight);
        probes.wrote_nothing();
        probes.fly(LogId(0), 9);
        assert!(probes.flying.is_empty(), "it waited for a batch of others");
    }

    #[test]
    fn a_thread_that_works_is_busy() {
        let (mut probes, sight) = (Probes::new(0), Sight::default());
        probes.look(Duration::from_millis(20), &sight);
        let worked = || SystemTiming.processor().unwrap();
        let begun = worked();
        while worked() < begun + Duration::from_millis(20) {}
        probes.look(Duration::ZERO, &sight);
        let seen = sight.seen();
        assert!(seen.busy > 0.0 && seen.busy <= 1.0, "{seen:?}");
        assert_eq!(seen.overdue, Duration::ZERO);
    }
}
