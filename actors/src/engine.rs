//! Puts journal, threads and shards together, and takes them down in order.

use crate::admission::Clients;
use crate::clock::{self, Clock};
use crate::failure::{Failure, Failures};
use crate::guardian::Guardian;
use crate::handle::Handle;
use crate::inbox::{Inbox, ShardMessage};
use crate::lookups::Lookups;
use crate::probe::{SystemTiming, Timing};
use crate::provider::{MakeProvider, ProviderDispatcher};
use crate::rebuild::Rebuild;
use crate::replies::ReplyQueues;
use crate::resharding::Resharding;
use crate::router::Router;
use crate::shard::moves::Passages;
use crate::shard::to_guardian::{GuardianMessage, ToGuardian};
use crate::shard_threads::ShardThreads;
use crate::snapshot_writer::SnapshotWriter;
use crate::tuning::{Knobs, Tuning};
use actix::Arbiter;
use crossbeam::channel::unbounded;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_storage::group_commit::{Committer, Notice, Notify};
use holdfast_storage::recovery::restore;
use holdfast_storage::rows::{self, Archived, Projector};
use holdfast_storage::{Journal, background};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Knobs of the engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that host partitions. More help only when several cores are free and the load is spread over SKUs.
    pub shards: usize,
    /// Requests a shard may have in hand; beyond it callers get `overloaded`. Higher absorbs bursts and costs latency.
    pub credits: usize,
    /// Percent of a shard's credits that one client may have in hand.
    pub client_percent: u8,
    /// Events of a partition between two snapshots. Lower restarts faster and writes more.
    pub snapshot_events: u64,
    /// Bytes of events after which a batch is submitted before the inbox is read on.
    pub batch_bytes: usize,
    /// Batches on their way to each log: one is written, the others wait.
    pub commits_in_flight: usize,
    /// How long a provider call may take before its outcome is unknown.
    pub provider_timeout: Duration,
    pub policy: Policy,
    /// The clock of an earlier engine of this process, to be carried on.
    pub clock: Option<Clock>,
    /// What probes of shards are timed by.
    pub timing: Arc<dyn Timing>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 1,
            credits: 32_768,
            client_percent: 50,
            snapshot_events: 100_000,
            batch_bytes: 1024 * 1024,
            commits_in_flight: 2,
            provider_timeout: Duration::from_secs(5),
            policy: Policy::default(),
            clock: None,
            timing: Arc::new(SystemTiming),
        }
    }
}

impl Options {
    /// With these values, and what else there is as by default.
    pub fn of(knobs: Knobs) -> Self {
        let Knobs { credits, client_percent, snapshot_events, batch_bytes, commits_in_flight, provider_timeout, policy } = knobs;
        let defaults = Self::default();
        Self { credits, client_percent, snapshot_events, batch_bytes, commits_in_flight, provider_timeout, policy, ..defaults }
    }

    pub fn knobs(&self) -> Knobs {
        Knobs {
            credits: self.credits,
            client_percent: self.client_percent,
            snapshot_events: self.snapshot_events,
            batch_bytes: self.batch_bytes,
            commits_in_flight: self.commits_in_flight,
            provider_timeout: self.provider_timeout,
            policy: self.policy.clone(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Storage(#[from] holdfast_storage::Error),
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("a shard did not start")]
    Shard,
    #[error(transparent)]
    Clock(#[from] clock::Implausible),
}

/// How long a stopping engine waits for the journal.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);
/// And for its threads, which somebody may still hold.
const ENDING_TIMEOUT: Duration = Duration::from_secs(1);

/// A running engine.
pub struct Engine {
    pub handle: Handle,
    journal: Arc<dyn Journal>,
    pub(crate) rebuild: Arc<Rebuild>,
    shards: Arc<ShardThreads>,
    guardian: ToGuardian,
    /// It starts shards and ends them, so it ends before they do.
    guarding: JoinHandle<()>,
    provider: Arbiter,
    committed: watch::Receiver<u64>,
    projector: Projector,
    /// Of the journal: they end when nobody can hand them anything any more.
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Recovers every partition and starts the shards. Must run inside an actix system.
    ///
    /// # Errors
    /// If the journal cannot be recovered, or a thread cannot be started.
    pub fn start(
        journal: Arc<dyn Journal>,
        reply_queues: ReplyQueues,
        provider: MakeProvider,
        options: Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, StartError> {
        let partitions = journal.partitions();
        let ids: Vec<PartitionId> = partitions.all().collect();
        let recovered = restore(&*journal, &ids, &options.policy, progress)?;
        let last = recovered.iter().map(Partition::at).max().unwrap_or(Timestamp::ZERO);
        let clock = options.clock.map_or_else(|| Clock::start(clock::wall(), last), |clock| clock.not_before(last));
        let shards = options.shards.clamp(1, usize::from(partitions.count()));
        let inbox = |shard| Arc::new(Inbox::new(shard, options.credits).timed(&options.timing));
        let inboxes = (0..shards).map(inbox).collect();
        let router = Router::new(partitions, inboxes);
        let tuning = Arc::new(Tuning::new(&options.knobs()));
        let clients = Arc::new(Clients::new(options.credits, options.client_percent));
        let failures = Failures::new();
        let (commits, committed) = watch::channel(0);
        let (projector, projecting) = start_projector(&journal, &router)?;
        let watcher = watch_commits(commits, projector.clone(), failures.clone());
        let (committer, mut ending) = Committer::start(&journal, &watcher)?;
        let sync_times = committer.times().clone();
        let (snapshot_writer, writing) = SnapshotWriter::start(journal.clone())?;
        let (lookups, looking) = Lookups::start(&journal)?;
        ending.extend(looking.into_iter().chain([writing, projecting]));
        let provider_arbiter = Arbiter::new();
        let provider_dispatcher = ProviderDispatcher::open(&provider_arbiter, router.clone(), provider, tuning.clone());
        let rebuild = Arc::new(Rebuild {
            tuning: tuning.clone(),
            journal: journal.clone(),
            committer,
            projector: projector.clone(),
            snapshot_writer,
            lookups,
            provider_dispatcher,
            router: router.clone(),
            reply_queues: reply_queues.clone(),
            clock,
            failures,
            passages: Passages::default(),
        });
        let (guardian, messages) = unbounded();
        let shards = Arc::new(ShardThreads::new(provider_arbiter.handle(), guardian.clone()));
        let resharding = Resharding::new(router.clone(), guardian.clone());
        let guarding = Guardian::start(rebuild.clone(), shards.clone(), resharding.operations.clone(), messages)?;
        let handle = Handle { router, reply_queues, clients, tuning, resharding, sync_times };
        let (provider, threads) = (provider_arbiter, ending);
        let engine = Self { handle, journal, rebuild, shards, guardian, guarding, provider, committed, projector, threads };
        engine.begin(recovered)
    }

    /// Lets the shards begin. Where one does not, no thread is left.
    fn begin(self, recovered: Vec<Partition>) -> Result<Self, StartError> {
        match start_shards(&self.rebuild, &self.shards, recovered) {
            Ok(()) => Ok(self),
            Err(error) => {
                let Self { shards, guardian, guarding, provider, .. } = self;
                end_guardian(&guardian, guarding);
                shards.end_all();
                provider.stop();
                let _ = provider.join();
                Err(error)
            }
        }
    }

    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    pub fn projector(&self) -> &Projector {
        &self.projector
    }

    pub fn clock(&self) -> Clock {
        self.rebuild.clock
    }

    /// Changes with each commit.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }

    /// Becomes `Some` when the engine cannot go on; it acknowledges nothing more.
    pub fn failed(&self) -> watch::Receiver<Option<Failure>> {
        self.rebuild.failures.watch()
    }

    /// Writes snapshots, syncs everything and stops the threads. Call when no request is in hand. False if the journal does
    /// not take, or does not answer for, what was still to be synced: nobody knows that it is durable.
    pub async fn stop(self) -> bool {
        // Moves that have begun end meanwhile, or go with the engine: nothing of them is stored.
        let _ = self.guardian.send(GuardianMessage::Stop);
        let synced = !self.rebuild.journal_failed() && self.settled().await;
        if synced {
            self.write_snapshots().await;
        }
        // Before the shards end: it may be about to start one.
        let (guardian, guarding) = (self.guardian.clone(), self.guarding);
        on_thread(move || end_guardian(&guardian, guarding)).await;
        let router = &self.handle.router;
        router.table().inboxes.iter().for_each(|inbox| inbox.close());
        self.handle.reply_queues.lost(router.partitions.all().map(|id| (id, u64::MAX)));
        self.shards.end_all();
        self.provider.stop();
        let _ = self.provider.join();
        // Nothing here can hand them anything any more.
        drop((self.rebuild, self.projector));
        let threads = self.threads;
        on_thread(move || {
            background::join_within(threads, ENDING_TIMEOUT);
        })
        .await;
        synced
    }

    async fn write_snapshots(&self) {
        for inbox in &self.handle.router.table().inboxes {
            let (done, finished) = oneshot::channel();
            if inbox.push(ShardMessage::Drain(done)) {
                let _ = finished.await;
            }
        }
        let rebuild = self.rebuild.clone();
        on_thread(move || rebuild.snapshot_writer.wait()).await;
    }

    /// Waits a while until everything is durable. A cluster that does not answer is not waited for any longer: what
    /// nobody knows of may be in the journal or not.
    async fn settled(&self) -> bool {
        let rebuild = self.rebuild.clone();
        let settled = actix_rt::task::spawn_blocking(move || rebuild.settle(rebuild.journal.logs()).is_ok());
        match tokio::time::timeout(SETTLE_TIMEOUT, settled).await {
            Ok(settled) => settled.unwrap_or(false),
            Err(_) => {
                self.journal.give_up();
                tracing::error!("the journal does not answer: stopping without it");
                false
            }
        }
    }
}

/// It holds what the journal's threads wait for, so it is waited for: it gives up what it folds.
fn end_guardian(guardian: &ToGuardian, guarding: JoinHandle<()>) {
    let _ = guardian.send(GuardianMessage::End);
    background::join(guarding);
}

async fn on_thread(work: impl FnOnce() + Send + 'static) {
    let _ = actix_rt::task::spawn_blocking(work).await;
}

fn start_projector(journal: &Arc<dyn Journal>, router: &Router) -> std::io::Result<(Projector, JoinHandle<()>)> {
    let router = router.clone();
    let notify = Box::new(move |notice| match notice {
        rows::Notice::Archived(Archived { partition, orders, keys }) => {
            // A shard that is being rebuilt archives again what it finds closed.
            router.inbox(partition).push(ShardMessage::Archived { partition, orders, keys });
        }
        rows::Notice::Failed(error) => {
            metrics::counter!("holdfast_alarms_total").increment(1);
            tracing::error!(%error, "closed orders stay in memory: the projector stopped");
        }
    });
    Projector::start(journal.clone(), rows::Options::default(), notify)
}

/// A journal that fails while nobody has anything in it is heard of too.
fn watch_commits(commits: watch::Sender<u64>, projector: Projector, failures: Failures) -> Notify {
    Arc::new(move |notice| match notice {
        Notice::Durable { log, commit, .. } => {
            commits.send_modify(|count| *count += 1);
            projector.committed(log, commit);
        }
        Notice::Failed(error) => failures.report(Failure::Journal(error)),
    })
}

fn start_shards(rebuild: &Rebuild, shards: &ShardThreads, recovered: Vec<Partition>) -> Result<(), StartError> {
    let table = rebuild.router.table();
    let mut dealt: Vec<Vec<Partition>> = table.inboxes.iter().map(|_| Vec::new()).collect();
    for partition in recovered {
        dealt[table.shard_of[usize::from(partition.id.0)]].push(partition);
    }
    for (inbox, partitions) in table.inboxes.iter().zip(dealt) {
        shards.start(rebuild, inbox.clone(), partitions).map_err(|_| StartError::Shard)?;
    }
    Ok(())
}
