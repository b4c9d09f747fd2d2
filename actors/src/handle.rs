//! The only type the gateway sees: a command goes in, a reply or an honest "unknown" comes out.

use crate::admission::{ClientId, Clients, Permit};
use crate::counts::Counts;
use crate::inbox::{Inbox, ShardMessage, ShardReport};
use crate::placement::handover::Move;
use crate::placement::operations::{Goal, Operation, Operations, Refused};
use crate::probe::Seen;
use crate::replies::{Pending, ReplyQueues};
use crate::resharding::{Reserved, Resharding};
use crate::router::Router;
use crate::tuning::{Knobs, Tuning};
use crate::unanswered::Unanswered;
use futures_util::future::join_all;
use holdfast_engine::answer::Reply;
use holdfast_engine::command::Command;
use holdfast_engine::ids::PartitionId;
use holdfast_storage::sync_times::{SyncTimes, Syncs};
use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// Requests that a thread sends before it lets others have the processor.
const TURN: u32 = 16;

/// Where threads outnumber cores, one that reads a hundred requests in a row leaves the shard with all of them at once, and
/// then the disk with all of them at once while nobody has anything to do. With a core to itself it costs nothing.
fn give_way() {
    thread_local! {
        static SENT: Cell<u32> = const { Cell::new(0) };
    }
    let sent = SENT.get() + 1;
    SENT.set(sent % TURN);
    if sent == TURN {
        std::thread::yield_now();
    }
}

/// Where a command comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// Of whose share of the credits it takes. None: the server's own, which has no share of its own.
    pub client: Option<ClientId>,
    /// It is one of many: the shard reads it in turns with what comes alone.
    pub bulk: bool,
}

/// A command that was not executed.
#[derive(Debug)]
pub struct NotSent {
    pub why: Unanswered,
    /// The command, unless its shard ended while it was sent: whoever waits for room sends it again.
    pub command: Option<Box<Command>>,
}

impl From<NotSent> for Unanswered {
    fn from(not_sent: NotSent) -> Self {
        not_sent.why
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) router: Router,
    pub(crate) reply_queues: ReplyQueues,
    pub(crate) clients: Arc<Clients>,
    pub(crate) tuning: Arc<Tuning>,
    pub(crate) resharding: Resharding,
    pub(crate) sync_times: SyncTimes,
}

impl Handle {
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Sends a command of the server itself: see [`Self::send_from`].
    ///
    /// # Errors
    /// As [`Self::send_from`].
    pub fn send(&self, command: Command) -> Result<Pending, Unanswered> {
        Ok(self.send_from(Origin::default(), command)?)
    }

    /// Sends a command now and returns its reply to come. Must be called on a thread with a local task set.
    ///
    /// # Errors
    /// If the command was refused admission: it was not executed.
    pub fn send_from(&self, origin: Origin, command: Command) -> Result<Pending, NotSent> {
        let partition = command.partition(self.router.partitions);
        let (inbox, life) = self.router.route(partition);
        let permit = match self.admit(origin, command.is_of_operators(), &inbox) {
            Ok(permit) => permit,
            Err(why) => return Err(NotSent { why, command: Some(Box::new(command)) }),
        };
        let mut pending = self.reply_queues.register(partition, life, permit);
        let message = ShardMessage::request(pending.ticket(), command);
        let pushed = if origin.bulk { inbox.push_bulk(message) } else { inbox.push(message) };
        if !pushed {
            pending.withdraw();
            return Err(NotSent { why: Unanswered::Unavailable, command: None });
        }
        give_way();
        Ok(pending)
    }

    fn admit(&self, origin: Origin, of_operators: bool, inbox: &Inbox) -> Result<Option<Permit>, Unanswered> {
        if inbox.closed() {
            return Err(Unanswered::Unavailable);
        }
        // Few ask so, and who wants more credits must be able to say it when they are used up.
        if of_operators {
            inbox.credits.take_over(1);
            return Ok(None);
        }
        let refused = |why| {
            // Bulk takes what room there is and comes again: it tells nothing of what others want.
            if !origin.bulk {
                // Where nobody would find a credit, more of them help, whatever this client is told.
                self.router.counts.refuse(if inbox.credits.are_out() { Unanswered::Overloaded } else { why });
            }
            Err(why)
        };
        let permit = match origin.client.map(|client| self.clients.take(client, inbox.shard)) {
            Some(None) => return refused(Unanswered::ShareTaken),
            Some(taken) => taken,
            None => None,
        };
        if inbox.credits.take() { Ok(permit) } else { refused(Unanswered::Overloaded) }
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// See [`Unanswered`]: only `Lost` leaves open whether the command was executed.
    pub fn execute(&self, command: Command) -> impl Future<Output = Result<Reply, Unanswered>> + use<> {
        let sent = self.send(command);
        async move { sent?.await }
    }

    /// Lets other values count from now on. What is in hand keeps its credits, and what was decided its times.
    pub fn tune(&self, knobs: &Knobs) {
        self.tuning.set(knobs);
        self.clients.set_share(knobs.credits, knobs.client_percent);
        for inbox in &self.router.table().inboxes {
            inbox.credits.set_limit(knobs.credits);
            inbox.push(ShardMessage::Policy);
        }
    }

    /// Requests in hand at each shard, in the order of shards.
    pub fn depths(&self) -> Vec<usize> {
        self.router.table().inboxes.iter().map(|inbox| inbox.credits.taken()).collect()
    }

    /// Requests in hand at each shard, and how many there may be.
    pub fn credits(&self) -> Vec<(usize, usize)> {
        self.router.table().inboxes.iter().map(|inbox| (inbox.credits.taken(), inbox.credits.limit())).collect()
    }

    /// What was counted since the engine started.
    pub fn counts(&self) -> &Counts {
        &self.router.counts
    }

    /// The commits of the last seconds.
    pub fn syncs(&self) -> Syncs {
        self.sync_times.last(Instant::now())
    }

    /// Sends each shard a probe, unless it has one.
    pub fn probe(&self) {
        for inbox in &self.router.table().inboxes {
            if let Some(now) = inbox.sight.begin() {
                inbox.push(ShardMessage::Probe(now));
            }
        }
    }

    /// What is seen of each shard, in the order of shards, without asking it.
    pub fn seen(&self) -> Vec<Seen> {
        self.router.table().inboxes.iter().map(|inbox| inbox.sight.seen()).collect()
    }

    /// Partitions that each shard hosts, in the order of shards.
    pub fn hosted(&self) -> Vec<usize> {
        let table = self.router.table();
        let mut counts = vec![0; table.inboxes.len()];
        table.shard_of.iter().for_each(|shard| counts[*shard] += 1);
        counts
    }

    /// Has a snapshot of a partition taken and written, soon. Whoever needs it asks again where it does not come.
    pub fn snapshot(&self, partition: PartitionId) {
        self.router.inbox(partition).push(ShardMessage::Snapshot(partition));
    }

    /// The moves that [`Self::reshard`] would make now.
    ///
    /// # Errors
    /// If there cannot be so many shards.
    pub async fn plan_reshard(&self, shards: usize) -> Result<Vec<Move>, Refused> {
        self.resharding.check_shards(shards)?;
        Ok(self.resharding.plan(shards, &self.reports().await))
    }

    /// Has so many shards, with level loads, from when the operation is done. Requests go on meanwhile.
    ///
    /// # Errors
    /// If there cannot be so many, another operation runs, or the engine stops.
    pub async fn reshard(&self, shards: usize) -> Result<Operation, Refused> {
        self.begin_reshard(self.reserve_reshard(shards)?).await
    }

    /// The turn of [`Self::reshard`], for a caller who has something to do before it begins.
    ///
    /// # Errors
    /// If there cannot be so many, or another operation runs.
    pub fn reserve_reshard(&self, shards: usize) -> Result<Reserved, Refused> {
        Reserved::new(&self.resharding, shards)
    }

    /// Has as many shards as were reserved, with what is hot now levelled.
    ///
    /// # Errors
    /// If the engine stops.
    pub async fn begin_reshard(&self, reserved: Reserved) -> Result<Operation, Refused> {
        reserved.begin(&self.reports().await)
    }

    /// Shards there are; while their number changes, as many as there are to be.
    pub fn shards(&self) -> usize {
        match self.operations().running() {
            Some(Operation { goal: Goal::Shards(shards), .. }) => shards,
            Some(_) | None => self.router.table().inboxes.len(),
        }
    }

    /// Moves a partition to a shard, where it stays when others are levelled.
    ///
    /// # Errors
    /// If there is no such partition or shard, another operation runs, or the engine stops.
    pub fn move_partition(&self, partition: PartitionId, shard: usize) -> Result<Operation, Refused> {
        self.resharding.move_partition(partition, shard)
    }

    /// Operations that were begun here, and how far each is.
    pub fn operations(&self) -> &Operations {
        &self.resharding.operations
    }

    /// What each shard has in hand. Shards that do not answer are left out.
    pub async fn reports(&self) -> Vec<ShardReport> {
        let asked = self.router.table().inboxes.clone().into_iter().map(|inbox| async move {
            let (answer, report) = oneshot::channel();
            inbox.push(ShardMessage::Report(answer)).then_some(())?;
            report.await.ok()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}
