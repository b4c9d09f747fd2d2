//! The guardian: after a panic it rebuilds a shard from the journal.
//!
//! Invariants: a rebuilt shard folds only what is durable, and nothing of its former life reaches the journal after that; all lives of a
//! shard have one thread, on which the state of one is dropped before the next is folded: a rebuild leaves nothing behind. What panics
//! a shard again and again is kept from it, or ends the engine.
//! actix's own supervisor keeps the broken value, so the rebuilding is ours.

use crate::inbox::ShardMessage;
use crate::panics::{self, Panics, Suspect};
use crate::rebuild::Rebuild;
use crate::shard::ShardDown;
use actix::{Actor, Addr, ArbiterHandle, AsyncContext, Context, Handler, Message as ActixMessage};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct Guardian {
    rebuild: Arc<Rebuild>,
    /// The thread of each shard.
    threads: Vec<ArbiterHandle>,
    /// By shard.
    panics: BTreeMap<usize, Panics>,
}

impl Guardian {
    pub fn new(rebuild: Arc<Rebuild>, threads: Vec<ArbiterHandle>) -> Self {
        Self { rebuild, threads, panics: BTreeMap::new() }
    }
}

impl Actor for Guardian {
    type Context = Context<Self>;
}

impl Handler<ShardDown> for Guardian {
    type Result = ();

    fn handle(&mut self, down: ShardDown, context: &mut Self::Context) {
        metrics::counter!("shard_rebuilds_total").increment(1);
        let ShardDown { shard, epoch, reason, suspect } = down;
        let Self { rebuild, threads, .. } = self;
        let panics = self.panics.entry(shard).or_default();
        suspect.into_iter().for_each(|suspect| panics.blame(suspect));
        if rebuild.journal_failed() {
            rebuild.give_up(reason.clone());
        } else if panics.may_rebuild(Instant::now()) {
            let next = Next { shard, epoch: epoch + 1, refused: panics.refused() };
            start(rebuild.clone(), &threads[shard], next, context.address());
        } else {
            rebuild.give_up(format!("shard {shard} cannot go on: {}, at last with: {reason}", Panics::words()));
        }
        // Acted on first: a log line is never what a rebuilding waits for.
        tracing::error!(shard, epoch, reason, "a shard went down");
    }
}

/// A fold of a shard's partitions is over.
#[derive(Debug, ActixMessage)]
#[rtype(result = "()")]
struct Folded {
    shard: usize,
    took: Duration,
}

impl Handler<Folded> for Guardian {
    type Result = ();

    fn handle(&mut self, Folded { shard, took }: Folded, _: &mut Self::Context) {
        self.panics.entry(shard).or_default().folded(took);
    }
}

/// A life of a shard that is to begin.
struct Next {
    shard: usize,
    epoch: u64,
    refused: Vec<Suspect>,
}

/// Has the next life begin on the thread of the last, which is done with it by then.
fn start(rebuild: Arc<Rebuild>, thread: &ArbiterHandle, next: Next, guardian: Addr<Guardian>) {
    let Next { shard, epoch, refused } = next;
    let links = rebuild.links(guardian.clone().recipient(), refused);
    let begin = move || {
        let from = Instant::now();
        let begun = catch_unwind(AssertUnwindSafe(|| rebuild.shard(shard, epoch, links)));
        // Before the new life can panic: it begins when this is over.
        if guardian.try_send(Folded { shard, took: from.elapsed() }).is_err() {
            tracing::error!(shard, "the guardian is gone");
        }
        match begun {
            Ok(Ok(inbox)) => {
                rebuild.router().replace(&inbox);
                // Whoever sent between the panic and the swap was told it is unavailable.
                inbox.push(ShardMessage::Peer(Vec::new()));
                tracing::warn!(shard, epoch, "the shard is rebuilt from the journal");
            }
            Ok(Err(error)) => rebuild.give_up(format!("shard {shard} cannot be rebuilt: {error}")),
            Err(panic) => rebuild.give_up(format!("shard {shard} cannot be rebuilt: {}", panics::text(&*panic))),
        }
    };
    if !thread.spawn_fn(begin) {
        tracing::debug!(shard, "not rebuilt: its thread is told to stop");
    }
}
