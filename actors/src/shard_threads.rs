//! The threads that shards run on: each an arbiter of its own, started and ended while others go on.
//!
//! Invariant: the table names a shard only while its thread is there.

use crate::inbox::{Inbox, ShardMessage};
use crate::rebuild::Rebuild;
use crate::shard::Shard;
use crate::shard::to_guardian::ToGuardian;
use actix::{Actor, Arbiter};
use actix_rt::ArbiterHandle;
use crossbeam::channel::bounded;
use holdfast_engine::partition::Partition;
use holdfast_storage::{Journal, LogSeq};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A thread was asked for and is not there.
#[derive(Debug, thiserror::Error)]
#[error("the thread that starts threads is gone")]
pub(crate) struct NotStarted;

pub(crate) struct ShardThreads {
    /// By shard.
    arbiters: Mutex<BTreeMap<usize, Arbiter>>,
    /// An arbiter can be made on the thread of another one alone.
    maker: ArbiterHandle,
    guardian: ToGuardian,
}

impl ShardThreads {
    pub(crate) fn new(maker: ArbiterHandle, guardian: ToGuardian) -> Self {
        Self { arbiters: Mutex::default(), maker, guardian }
    }

    pub(crate) fn guardian(&self) -> &ToGuardian {
        &self.guardian
    }

    fn arbiters(&self) -> MutexGuard<'_, BTreeMap<usize, Arbiter>> {
        self.arbiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a shard with the partitions that it is to have at first.
    ///
    /// # Errors
    /// If its thread did not start.
    pub(crate) fn start(&self, rebuild: &Rebuild, inbox: Arc<Inbox>, partitions: Vec<Partition>) -> Result<(), NotStarted> {
        let (made, arbiter) = bounded(1);
        self.maker.spawn_fn(move || drop(made.send(Arbiter::new())));
        let arbiter = arbiter.recv().map_err(|_| NotStarted)?;
        let (links, commits, shard) = (rebuild.links(self.guardian.clone()), ends(&*rebuild.journal), inbox.shard);
        arbiter.spawn_fn(move || {
            name_thread(shard);
            Shard::new(inbox, links, partitions, commits).start();
        });
        self.arbiters().insert(shard, arbiter);
        Ok(())
    }

    /// Adds a shard that has nothing yet, behind those there are.
    ///
    /// # Errors
    /// If its thread did not start.
    pub(crate) fn add(&self, rebuild: &Rebuild, shard: usize) -> Result<(), NotStarted> {
        let first = rebuild.router.table().inboxes[0].clone();
        let inbox = Arc::new(Inbox::new(shard, first.credits.limit()).timed(first.sight.timing()));
        self.start(rebuild, inbox.clone(), Vec::new())?;
        rebuild.router.add(inbox.clone());
        // It may have been changed while the thread started.
        inbox.credits.set_limit(rebuild.router.table().inboxes[0].credits.limit());
        Ok(())
    }

    /// Ends a shard that nobody can send anything any more, after it has read what there is.
    pub(crate) fn end(&self, inbox: &Inbox) {
        let (done, ended) = bounded(1);
        if inbox.push(ShardMessage::Retire(done)) {
            let _ = ended.recv();
        }
        let arbiter = self.arbiters().remove(&inbox.shard);
        arbiter.into_iter().for_each(join);
    }

    /// Ends all threads. Call when nobody starts one any more.
    pub(crate) fn end_all(&self) {
        let arbiters = std::mem::take(&mut *self.arbiters());
        arbiters.into_values().for_each(join);
    }
}

fn join(arbiter: Arbiter) {
    arbiter.stop();
    let _ = arbiter.join();
}

fn ends(journal: &dyn Journal) -> Vec<LogSeq> {
    journal.logs().into_iter().map(|log| journal.end(log)).collect()
}

/// So that an operator who looks at the threads sees which is which.
fn name_thread(shard: usize) {
    let name = std::ffi::CString::new(format!("shard-{shard}")).unwrap_or_default();
    if let Err(error) = rustix::thread::set_name(&name) {
        tracing::debug!(%error, "thread not named");
    }
}
