//! The guardian: starts shards, and after a panic rebuilds one from the journal.
//!
//! Invariant: a rebuilt shard folds only what is durable, and nothing of its former life reaches the journal after that.
//! actix's own supervisor keeps the broken value, so the rebuilding is ours.

use crate::engine::Rebuild;
use crate::inbox::Letter;
use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Message as ActixMessage};
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
        let ShardDown { shard, epoch, reason } = down;
        let Some(rebuild) = self.rebuild.clone() else { return };
        match rebuild.journal_failed() {
            true => rebuild.give_up(reason.clone()),
            false => self.rebuild(rebuild, shard, epoch + 1, context.address()),
        }
        // Acted on first: a log line is never what a rebuilding waits for.
        tracing::error!(shard, epoch, reason, "a shard went down");
    }
}

impl Guardian {
    fn rebuild(&mut self, rebuild: Arc<Rebuild>, shard: usize, epoch: u64, guardian: Addr<Self>) {
        let arbiter = Arbiter::new();
        let links = rebuild.links(guardian);
        arbiter.spawn_fn(move || {
            crate::engine::name_thread(shard);
            match rebuild.shard(shard, epoch, links) {
                Ok(inbox) => {
                    rebuild.router().replace(&inbox);
                    // Whoever sent between the panic and the swap was told it is unavailable.
                    inbox.push(Letter::Peer(Vec::new()));
                    tracing::warn!(shard, epoch, "the shard is rebuilt from the journal");
                }
                Err(error) => rebuild.give_up(error.to_string()),
            }
        });
        self.arbiters.push(arbiter);
    }
}
