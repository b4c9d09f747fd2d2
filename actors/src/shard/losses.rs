//! Partitions that panic: how they leave the shard, and how they come back. The table of docs/adr/0014, as code.
//!
//! Invariant: the guardian hears of a partition after everything it made is submitted, and after whoever waits for it was told.

use super::Shard;
use super::hosting::Place;
use super::to_guardian::GuardianMessage;
use crate::inbox::Wake;
use crate::panics::{self, Suspect};
use actix::{AsyncContext, Context};
use holdfast_engine::effect::Effects;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Shard {
    /// Parts with the partitions that panicked: their requests in hand are lost, and whoever is sent to them from now on finds that they are
    /// being rebuilt.
    pub(super) fn lose(&mut self) {
        let fallen = self.hosting.take_fallen();
        let lives: Vec<(PartitionId, u64)> = fallen.iter().map(|fallen| (fallen.partition.id, fallen.life)).collect();
        self.snapshots.retain(|snapshot| lives.iter().all(|(id, _)| *id != snapshot.partition));
        // First, so that what is sent to the next life is none of those that are lost with this one.
        self.links.router.lives_end(&lives);
        self.inbox.credits.give_back(fallen.iter().map(|fallen| fallen.in_hand).sum());
        self.links.reply_queues.lost(lives);
        fallen.into_iter().for_each(|fallen| self.tell_guardian(GuardianMessage::Fallen(fallen)));
    }

    /// The shard itself panicked, outside any step: nobody knows what of the effects of its partitions is left.
    fn lose_all(&mut self, reason: &str) {
        self.inbox.credits.give_back(self.fx.replies.len());
        self.fx = Effects::default();
        self.hosting.fall_all(reason);
        self.lose();
    }

    /// The journal takes no more writes: nothing is answered any more and nothing rebuilt.
    pub(super) fn end(&mut self) {
        self.inbox.close();
        self.opened.clear();
        self.stash.clear();
        self.fx = Effects::default();
        self.snapshots.clear();
        self.hosting.end();
        let mine = self.links.router.hosted_by(self.inbox.shard);
        self.links.reply_queues.lost(mine.into_iter().map(|id| (id, u64::MAX)));
    }

    /// A partition is back.
    pub(super) fn host(&mut self, partition: Partition, life: u64, refused: Vec<Suspect>) {
        let id = partition.id;
        let now = self.links.clock.now();
        // It panicked on its way here.
        let comes = self.hosting.place(id) == Place::Away && self.is_coming(id);
        let waiting = if comes { Some(Vec::new()) } else { self.hosting.take_waiting(now, id, life) };
        // None: the shard has ended meanwhile.
        let Some(waiting) = waiting else { return };
        self.hosting.host(partition, life, refused);
        // It was folded by one that may have been changed since.
        self.give_policy(id);
        self.rebuilds += 1;
        tracing::warn!(partition = id.0, life, "a partition is rebuilt from the journal");
        self.hosting.resume(now, id, &mut self.fx);
        self.deliver_here(now);
        waiting.into_iter().for_each(|input| self.step(id, input));
        if comes {
            self.tell_guardian(GuardianMessage::Arrived(id));
        }
        self.read_what_waited(id);
    }

    /// Runs one turn.
    pub(super) fn guarded(&mut self, context: &mut Context<Self>, turn: impl FnOnce(&mut Self)) {
        let turned = catch_unwind(AssertUnwindSafe(|| turn(self)));
        if let Err(panic) = turned {
            self.lose_all(&panics::text(&*panic));
            // The turn has not read everything that woke it.
            context.notify(Wake);
        }
        self.arm(context);
    }
}
