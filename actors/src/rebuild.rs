//! How a shard comes back to life: what all lives of the shards share, and the fold of what one of them hosts.
//!
//! Invariant: a shard is folded after everything that its former life submitted is durable.

use crate::clock::Clock;
use crate::failure::{Failure, Failures};
use crate::inbox::Inbox;
use crate::lookups::Lookups;
use crate::panics::Suspect;
use crate::provider::ProviderDispatcher;
use crate::replies::ReplyQueues;
use crate::router::Router;
use crate::shard::{Links, Shard, ShardDown};
use crate::snapshot_writer::SnapshotWriter;
use actix::{Actor, Recipient};
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::time::Policy;
use holdfast_storage::group_commit::{Committer, Notice, Notify};
use holdfast_storage::recovery::recover;
use holdfast_storage::rows::Projector;
use holdfast_storage::{Error as StorageError, Journal, LogId, LogSeq};
use std::sync::Arc;

/// How to bring a shard back to life.
pub struct Rebuild {
    pub(crate) credits: usize,
    pub(crate) snapshot_events: u64,
    pub(crate) policy: Policy,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) committer: Committer,
    pub(crate) projector: Projector,
    pub(crate) snapshot_writer: SnapshotWriter,
    pub(crate) lookups: Lookups,
    pub(crate) provider_dispatcher: ProviderDispatcher,
    pub(crate) router: Router,
    pub(crate) reply_queues: ReplyQueues,
    pub(crate) clock: Clock,
    pub(crate) failures: Failures,
}

impl Rebuild {
    pub fn links(&self, guardian: Recipient<ShardDown>, refused: Vec<Suspect>) -> Links {
        Links {
            journal: self.journal.clone(),
            committer: self.committer.clone(),
            projector: self.projector.clone(),
            snapshot_writer: self.snapshot_writer.clone(),
            lookups: self.lookups.clone(),
            provider_dispatcher: self.provider_dispatcher.clone(),
            router: self.router.clone(),
            reply_queues: self.reply_queues.clone(),
            clock: self.clock,
            guardian,
            snapshot_events: self.snapshot_events,
            refused,
        }
    }

    pub fn router(&self) -> &Router {
        &self.router
    }

    pub fn journal_failed(&self) -> bool {
        self.failures.of_journal()
    }

    /// The engine as a whole cannot go on: whoever runs it hears why.
    pub fn give_up(&self, reason: String) {
        self.failures.report(Failure::Shard(reason));
    }

    /// Folds the partitions of a shard from the journal, after everything its former life submitted is durable, and
    /// starts it on the current Arbiter.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn shard(&self, shard: usize, epoch: u64, links: Links) -> Result<Arc<Inbox>, StorageError> {
        let commits = self.settle()?;
        let ids: Vec<PartitionId> = self.router.hosted_by(shard);
        let partitions = recover(&*self.journal, &ids, &self.policy, &mut |_, _| {})?;
        let inbox = Arc::new(Inbox::new(shard, epoch, self.credits));
        Shard::new(inbox.clone(), links, partitions, commits).start();
        Ok(inbox)
    }

    /// Waits until everything submitted so far is durable, and says up to which commit of each log.
    pub(crate) fn settle(&self) -> Result<Vec<LogSeq>, StorageError> {
        let barrier = |log: LogId| {
            let (answer, settled) = crossbeam::channel::bounded(1);
            let notify: Notify = Arc::new(move |notice| answer.send(notice).unwrap_or_default());
            self.committer.submit(log, Batch::default(), notify);
            settled
        };
        let barriers: Vec<_> = self.journal.logs().into_iter().map(barrier).collect();
        let settled = |barrier: crossbeam::channel::Receiver<Notice>| match barrier.recv() {
            Ok(Notice::Durable { commit, .. }) => Ok(commit),
            Ok(Notice::Failed(_)) | Err(_) => Err(StorageError::Stopped),
        };
        barriers.into_iter().map(settled).collect()
    }
}
