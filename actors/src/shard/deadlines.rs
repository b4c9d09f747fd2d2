//! The deadlines of a shard's partitions, under one timer.
//!
//! Invariant: the timer is armed for the first deadline that is not met; each turn meets those of one partition at least.

use super::Shard;
use actix::{AsyncContext, Context};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Input;
use std::time::Duration;

/// Deadlines that have more to write than this are met in several turns, with requests in between.
const MAX_TICK_BYTES: usize = 128 * 1024;

impl Shard {
    /// Meets the deadlines of one partition after the other. Those of whom it is not the turn any more are due still, and next.
    pub(super) fn tick(&mut self) {
        let now = self.links.clock.now();
        self.hosting.soonest = None;
        let (count, first, begun) = (self.links.router.partitions.count(), self.first_due, self.fx.batch.entries.len());
        let mut skipped = None;
        for id in (first..count).chain(0..first).map(PartitionId) {
            let Some(due) = self.hosting.get(id).and_then(|hosted| hosted.partition.next_deadline()) else { continue };
            let full = self.fx.batch.entries.len() - begun > MAX_TICK_BYTES;
            if due <= now && !full {
                self.timer_lag.record(Duration::from_millis(now.since(due)).as_secs_f64());
                self.hosting.step(now, id, Input::Tick, &mut self.fx);
                self.deliver_here(now);
            } else {
                skipped = skipped.or((due <= now).then_some(id.0));
                self.hosting.due(Some(due));
            }
        }
        self.first_due = skipped.unwrap_or_default();
        self.flush();
    }

    /// One armed deadline a shard: the first of all its partitions.
    pub(super) fn arm(&mut self, context: &mut Context<Self>) {
        let Some(first) = self.hosting.soonest.take() else { return };
        if self.armed.as_ref().is_some_and(|(at, _)| *at <= first) {
            return;
        }
        if let Some((_, timer)) = self.armed.take() {
            context.cancel_future(timer);
        }
        let timer = context.run_later(self.links.clock.until(first), |shard, context| {
            shard.armed = None;
            shard.guarded(context, Shard::tick);
        });
        self.armed = Some((first, timer));
    }
}
