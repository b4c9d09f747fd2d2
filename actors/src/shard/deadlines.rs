//! The deadlines of a shard's partitions, under one timer.
//!
//! Invariant: the timer is armed for the first deadline that is not met; each turn meets those of one partition at least.

use super::Shard;
use actix::{AsyncContext, Context};
use holdfast_engine::partition::Input;
use std::time::Duration;

/// Deadlines that have more to write than this are met in several turns, with requests in between.
const MAX_TICK_BYTES: usize = 128 * 1024;

impl Shard {
    /// Meets the deadlines of one partition after the other. Those of whom it is not the turn any more are due still, and next.
    pub(super) fn tick(&mut self) {
        let now = self.links.clock.now();
        self.soonest = None;
        let (count, first, begun) = (self.hosted.len(), self.first_due, self.fx.batch.entries.len());
        let mut skipped = None;
        for index in (0..count).map(|place| (first + place) % count) {
            let Some(due) = self.hosted[index].partition.next_deadline() else { continue };
            let full = self.fx.batch.entries.len() - begun > MAX_TICK_BYTES;
            if due <= now && !full {
                self.timer_lag.record(Duration::from_millis(now.since(due)).as_secs_f64());
                self.step_hosted(now, index, Input::Tick);
                self.deliver_here(now);
            } else {
                skipped = skipped.or((due <= now).then_some(index));
                self.soonest = Some(self.soonest.map_or(due, |soonest| soonest.min(due)));
            }
        }
        self.first_due = skipped.unwrap_or_default();
        self.flush();
    }

    /// One armed deadline a shard: the first of all its partitions.
    pub(super) fn arm(&mut self, context: &mut Context<Self>) {
        let Some(first) = self.soonest.take() else { return };
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
