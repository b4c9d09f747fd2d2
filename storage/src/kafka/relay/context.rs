//! What outlives the sessions of the relay and is used by each: the journal, how far it is published, what waits.
//!
//! Invariant: one thread has it, and lends it to one session at a time.

use super::backlog::Backlog;
use super::cursor::{Checkpoint, Session};
use super::{Encode, Published, load_checkpoints, partitions_of};
use crate::contract::{Journal, LogId};
use crate::kafka::session::Stop;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) struct Context {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) encode: Encode,
    /// What is not published by its deadline waits for the next start.
    pub(super) stop: Stop,
    /// Each log with the partitions whose facts it holds.
    pub(super) logs: Vec<(LogId, Vec<PartitionId>)>,
    pub(super) published: Published,
    pub(super) backlog: Backlog,
    pub(super) gauges: Gauges,
}

pub(super) struct Gauges {
    pub(super) lag_events: metrics::Gauge,
    pub(super) lag_seconds: metrics::Gauge,
    pub(super) published: metrics::Counter,
    pub(super) restarts: metrics::Counter,
}

impl Context {
    pub(super) fn new(journal: Arc<dyn Journal>, encode: Encode, stop: Stop, published: Published) -> Self {
        let gauges = Gauges {
            lag_events: metrics::gauge!("holdfast_relay_lag_events"),
            lag_seconds: metrics::gauge!("holdfast_relay_lag_seconds"),
            published: metrics::counter!("holdfast_relay_published_total"),
            restarts: metrics::counter!("holdfast_relay_restarts_total"),
        };
        let backlog = Backlog::new(journal.partitions().count());
        let logs = journal.logs().into_iter().map(|log| (log, partitions_of(&*journal, log))).collect();
        Self { journal, encode, stop, logs, published, backlog, gauges }
    }

    /// The lag while there is no session: measured from what is kept.
    pub(super) fn show_waiting(&mut self) {
        let counted = self.backlog.count(&*self.journal);
        if let Err(error) = counted {
            tracing::debug!(%error, "the lag of the relay cannot be counted");
        }
        let checkpoints = load_checkpoints(&*self.journal).unwrap_or_default();
        let published = |partition: PartitionId| {
            let log = self.journal.log_of(partition);
            checkpoints.get(&log).and_then(|checkpoint| checkpoint.published.get(&partition.0)).copied().unwrap_or(0)
        };
        let events = self.backlog.events(published);
        self.gauges.lag_events.set(events as f64);
        self.gauges.lag_seconds.set(if events == 0 { 0.0 } else { age(self.backlog.oldest()) });
    }

    /// Whether the positions say so, without a look at the topic.
    pub(super) fn all_published(&self) -> bool {
        self.logs.iter().all(|(log, _)| self.published.of_log(*log) >= self.journal.end(*log))
    }

    /// Takes over what an earlier session kept.
    pub(super) fn resume(&mut self, checkpoints: &BTreeMap<LogId, Checkpoint>) {
        for (log, checkpoint) in checkpoints {
            self.published.reached(*log, checkpoint.commit);
            self.backlog.read(*log, checkpoint.commit);
            for (partition, seq) in &checkpoint.published {
                self.backlog.saw(PartitionId(*partition), *seq);
            }
        }
    }

    /// Events that wait, in a session.
    pub(super) fn lag(&self, session: &Session) -> u64 {
        self.backlog.events(|partition| session.published(partition))
    }
}

pub(super) fn age(of: Option<Timestamp>) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    of.map_or(0.0, |at| Timestamp::new(now).since(at) as f64 / 1000.0)
}
