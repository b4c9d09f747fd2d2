//! The guardian: starts shards, and after a panic rebuilds one from the journal.
//!
//! Invariant: a rebuilt shard folds only what is durable, and nothing of its former life reaches the journal after that.
//! actix's own supervisor keeps the broken value, so the rebuilding is ours.

use crate::engine::Rebuild;
use crate::inbox::Letter;
use actix::{Actor, Arbiter, AsyncContext, Context, Handler, Message as ActixMessage};
use std::sync::Arc;

/// A shard panicked and does nothing more.
#[derive(Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct ShardDown {
    pub shard: usize,
    pub epoch: u64,
    pub reason: String,
}

/// What the guardian needs, once the engine that it guards is put together.
#[derive(ActixMessage)]
#[rtype(result = "()")]
pub struct Guard(pub Arc<Rebuild>);

#[derive(Default)]
pub struct Guardian {
    rebuild: Option<Arc<Rebuild>>,
    /// Threads of former lives: stopped with the process.
    arbiters: Vec<Arbiter>,
}

impl Actor for Guardian {
    type Context = Context<Self>;
}

impl Handler<Guard> for Guardian {
    type Result = ();

    fn handle(&mut self, Guard(rebuild): Guard, _: &mut Self::Context) {
        self.rebuild = Some(rebuild);
    }
}

impl Handler<ShardDown> for Guardian {
    type Result = ();

    fn handle(&mut self, down: ShardDown, context: &mut Self::Context) {
        metrics::counter!("shard_rebuilds_total").increment(1);
        tracing::error!(shard = down.shard, epoch = down.epoch, reason = down.reason, "a shard went down");
        let Some(rebuild) = self.rebuild.clone() else { return };
        if rebuild.journal_failed() {
            return rebuild.give_up(down.reason);
        }
        let arbiter = Arbiter::new();
        let links = rebuild.links(context.address());
        let epoch = down.epoch + 1;
        arbiter.spawn_fn(move || {
            crate::engine::name_thread(down.shard);
            match rebuild.shard(down.shard, epoch, links) {
                Ok(inbox) => {
                    tracing::warn!(shard = down.shard, epoch, "the shard is rebuilt from the journal");
                    rebuild.router().replace(&inbox);
                    // Whoever sent between the panic and the swap was told it is unavailable.
                    inbox.push(Letter::Peer(Vec::new()));
                }
                Err(error) => rebuild.give_up(error.to_string()),
            }
        });
        self.arbiters.push(arbiter);
    }
}
