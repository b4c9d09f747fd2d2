//! How a partition comes back to life: what all shards share, and the fold of the journal.
//!
//! Invariant: a partition is folded after everything that its former life submitted is durable.

use crate::clock::Clock;
use crate::failure::{Failure, Failures};
use crate::lookups::Lookups;
use crate::provider::ProviderDispatcher;
use crate::replies::ReplyQueues;
use crate::router::Router;
use crate::shard::Links;
use crate::shard::moves::Passages;
use crate::shard::to_guardian::ToGuardian;
use crate::snapshot_writer::SnapshotWriter;
use crate::tuning::Tuning;
use holdfast_engine::codec::Batch;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use holdfast_storage::group_commit::{Committer, Notice, Notify};
use holdfast_storage::recovery::recover;
use holdfast_storage::rows::Projector;
use holdfast_storage::stoppable::Stoppable;
use holdfast_storage::{Error as StorageError, Journal, LogId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What all shards share, and how to bring a partition back to life.
pub struct Rebuild {
    pub(crate) tuning: Arc<Tuning>,
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
    pub(crate) passages: Passages,
}

impl Rebuild {
    pub fn links(&self, guardian: ToGuardian) -> Links {
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
            passages: self.passages.clone(),
            guardian,
            tuning: self.tuning.clone(),
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

    /// Folds partitions from the journal, after everything their former lives submitted is durable, for as long as nobody says stop.
    ///
    /// # Errors
    /// If the journal cannot be read, or once `stop` says so.
    pub fn fold(
        &self,
        ids: &[PartitionId],
        stop: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Vec<Partition>, StorageError> {
        let logs: BTreeSet<LogId> = ids.iter().map(|id| self.journal.log_of(*id)).collect();
        self.settle(logs)?;
        recover(&Stoppable::new(self.journal.clone(), stop), ids, &self.tuning.policy(), &mut |_, _| {})
    }

    /// Waits until everything submitted to these logs so far is durable.
    pub(crate) fn settle(&self, logs: impl IntoIterator<Item = LogId>) -> Result<(), StorageError> {
        let barrier = |log: LogId| {
            let (answer, settled) = crossbeam::channel::bounded(1);
            let notify: Notify = Arc::new(move |notice| drop(answer.send(notice)));
            self.committer.submit(log, Batch::default(), notify);
            settled
        };
        let barriers: Vec<_> = logs.into_iter().map(barrier).collect();
        let settled = |barrier: crossbeam::channel::Receiver<Notice>| match barrier.recv() {
            Ok(Notice::Durable { .. }) => Ok(()),
            Ok(Notice::Failed(_)) | Err(_) => Err(StorageError::Stopped),
        };
        barriers.into_iter().try_for_each(settled)
    }
}
