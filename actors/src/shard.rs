//! A shard: one actix actor on its own Arbiter that feeds the partitions it hosts and carries out their effects.
//!
//! Invariants: events are submitted to the journal before the messages they cause leave the shard; replies leave only
//! through the partitions' gates. After a panic or a failed commit the shard does nothing more: the guardian rebuilds it.

mod deadlines;
mod departures;
mod prefetch;
mod requests;
mod snapshots;

use crate::clock::Clock;
use crate::inbox::{Inbox, ShardMessage, ShardReport, Wake};
use crate::lookups::Lookups;
use crate::panics::{self, Suspect};
use crate::provider::ProviderDispatcher;
use crate::replies::ReplyQueues;
use crate::router::Router;
use crate::snapshot_writer::{PendingSnapshot, SnapshotWriter};
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message as ActixMessage, Recipient, SpawnHandle};
use departures::Departures;
use holdfast_engine::Causality;
use holdfast_engine::codec::Batch;
use holdfast_engine::command::Command;
use holdfast_engine::effect::Effects;
use holdfast_engine::ids::{KeyHash, OrderId, PartitionId, Seq};
use holdfast_engine::partition::{Input, Partition};
use holdfast_engine::protocol::{Body, Message};
use holdfast_engine::time::Timestamp;
use holdfast_storage::group_commit::{Committer, Notice, Notify};
use holdfast_storage::rows::Projector;
use holdfast_storage::{Journal, LogId, LogSeq};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A batch larger than this is submitted before the inbox is read on.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// Batches on their way to each log: one is written, one waits. What comes meanwhile gathers here, where it costs less.
const MAX_IN_FLIGHT: usize = 2;

/// A shard panicked and does nothing more.
#[derive(Debug, ActixMessage)]
#[rtype(result = "()")]
pub struct ShardDown {
    pub shard: usize,
    pub epoch: u64,
    pub reason: String,
    /// What it was given when it panicked.
    pub suspect: Option<Suspect>,
}

/// Everything a shard reaches outside itself.
#[derive(Clone)]
pub struct Links {
    pub journal: Arc<dyn Journal>,
    pub committer: Committer,
    pub projector: Projector,
    pub snapshot_writer: SnapshotWriter,
    pub lookups: Lookups,
    pub provider_dispatcher: ProviderDispatcher,
    pub router: Router,
    pub reply_queues: ReplyQueues,
    pub clock: Clock,
    pub guardian: Recipient<ShardDown>,
    /// Events of a partition between two snapshots, at least.
    pub snapshot_events: u64,
    /// What panicked earlier lives of the shard too often.
    pub refused: Vec<Suspect>,
}

struct Hosted {
    partition: Partition,
    /// Last sequence handed to the committer.
    submitted: Seq,
    /// Sequence of the newest snapshot.
    checkpoint: Seq,
    /// Events that must follow on it before the next is worth its cost.
    pause: u64,
    /// Listed in `dirty`.
    dirty: bool,
    /// What left memory for the store.
    departures: Departures,
}

/// A batch on its way to its log, with the sequences it brings.
struct InFlight {
    batch: u64,
    upto: Vec<(usize, Seq)>,
}

pub struct Shard {
    inbox: Arc<Inbox>,
    /// Taken out of the inbox and not read yet.
    opened: VecDeque<ShardMessage>,
    /// What is being stepped: blamed if that panics.
    suspect: Option<Suspect>,
    links: Links,
    hosted: Vec<Hosted>,
    /// Index in `hosted` by partition number.
    index_of: Vec<Option<usize>>,
    fx: Effects,
    /// Empty between turns, kept for its room.
    mail: Vec<Message>,
    /// Hosted partitions stepped since the last submission.
    dirty: Vec<usize>,
    /// Where the next turn of deadlines begins.
    first_due: usize,
    /// Earliest deadline of the partitions stepped since the timer was armed.
    soonest: Option<Timestamp>,
    /// By log.
    in_flight: BTreeMap<LogId, VecDeque<InFlight>>,
    /// Batches in flight to all logs.
    flying: usize,
    /// Last commit of each log known to be durable.
    commits: Vec<LogSeq>,
    /// Snapshots whose last record is not durable yet.
    snapshots: Vec<PendingSnapshot>,
    armed: Option<(Timestamp, SpawnHandle)>,
    notify: Notify,
    wait: metrics::Histogram,
    timer_lag: metrics::Histogram,
}

impl Shard {
    /// `commits` is the last durable commit of each log of the journal.
    pub fn new(inbox: Arc<Inbox>, links: Links, partitions: Vec<Partition>, commits: Vec<LogSeq>) -> Self {
        let mut index_of = vec![None; usize::from(links.router.partitions.count())];
        let hosted: Vec<Hosted> = partitions
            .into_iter()
            .enumerate()
            .map(|(index, partition)| {
                index_of[usize::from(partition.id.0)] = Some(index);
                let seq = partition.seq();
                let pause = snapshots::pause_after(&partition, links.snapshot_events);
                Hosted { partition, submitted: seq, checkpoint: seq, pause, dirty: false, departures: Departures::after(seq) }
            })
            .collect();
        let own = inbox.clone();
        let notify: Notify = Arc::new(move |notice| {
            own.push(ShardMessage::Committed(notice));
        });
        let labels = [("shard", inbox.shard.to_string())];
        Self {
            wait: metrics::histogram!("shard_mailbox_wait_seconds", &labels),
            timer_lag: metrics::histogram!("shard_timer_lag_seconds", &labels),
            inbox,
            opened: VecDeque::new(),
            suspect: None,
            links,
            hosted,
            index_of,
            fx: Effects::default(),
            mail: Vec::new(),
            dirty: Vec::new(),
            first_due: 0,
            soonest: None,
            in_flight: BTreeMap::new(),
            flying: 0,
            commits,
            snapshots: Vec::new(),
            armed: None,
            notify,
        }
    }

    /// Reads the inbox until it is empty, then hands on everything that follows from it.
    fn drain(&mut self) {
        if let Some(waited) = self.inbox.waited() {
            self.wait.record(waited.as_secs_f64());
        }
        loop {
            while let Some(message) = self.next_message() {
                self.read(message);
                self.suspect = None;
                if self.fx.batch.entries.len() > MAX_BATCH_BYTES {
                    self.flush();
                }
            }
            self.flush();
            if self.flying > 0 {
                // Under load messages are on their way: letting their senders run is cheaper than being woken by each.
                std::thread::yield_now();
            }
            if self.inbox.sleep() {
                return;
            }
        }
    }

    fn read(&mut self, message: ShardMessage) {
        match message {
            ShardMessage::Place { ticket, order, placed } => self.request(ticket, Command::Place { order, placed }),
            ShardMessage::Request { ticket, command } => self.request(ticket, *command),
            ShardMessage::Peer(messages) => messages.into_iter().for_each(|message| self.message(message)),
            ShardMessage::Provider(result) => {
                let attempt = match &result {
                    holdfast_engine::ProviderResult::Opened { attempt, .. } => attempt,
                    holdfast_engine::ProviderResult::Outcome { attempt, .. } => attempt,
                };
                if self.may_step(Suspect::of_result(&result)) {
                    self.step(attempt.order.partition(), Input::Provider(result));
                }
            }
            ShardMessage::Loaded { ticket, command, loaded, asked } => self.loaded(ticket, *command, *loaded, asked),
            ShardMessage::Unread { ticket, error } => self.unread(ticket, &error),
            ShardMessage::Archived { partition, orders, keys } => self.archived(partition, orders, keys),
            ShardMessage::Committed(notice) => self.committed(notice),
            ShardMessage::Report(answer) => answer.send(self.report()).unwrap_or_default(),
            ShardMessage::Drain(done) => {
                self.snapshot_all();
                done.send(()).unwrap_or_default();
            }
            ShardMessage::Panic => panic!("asked to panic"),
        }
    }

    fn archived(&mut self, id: PartitionId, orders: Vec<(OrderId, usize)>, keys: Vec<KeyHash>) {
        self.step(id, Input::Archived { orders: orders.clone(), keys: keys.clone() });
        if let Some(index) = self.index_of[usize::from(id.0)] {
            let Hosted { partition, departures, .. } = &mut self.hosted[index];
            departures.note(partition.seq(), &orders, &keys);
        }
    }

    fn message(&mut self, message: Message) {
        if self.may_step(Suspect::of_message(&message.body)) {
            self.step(message.to, Input::Message(message.body));
        }
        self.suspect = None;
    }

    fn step(&mut self, id: PartitionId, input: Input) {
        let now = self.links.clock.now();
        if let Some(index) = self.index_of[usize::from(id.0)] {
            self.step_hosted(now, index, input);
            self.deliver_here(now);
        }
    }

    fn step_hosted(&mut self, now: Timestamp, index: usize, input: Input) {
        let hosted = &mut self.hosted[index];
        hosted.partition.step(now, input, &mut self.fx);
        if !hosted.dirty {
            hosted.dirty = true;
            self.dirty.push(index);
        }
        if let Some(due) = hosted.partition.next_deadline() {
            self.soonest = Some(self.soonest.map_or(due, |soonest| soonest.min(due)));
        }
    }

    /// Delivers messages between partitions of this shard until only those to other shards are left.
    fn deliver_here(&mut self, now: Timestamp) {
        let (mut away, mut mail) = (Vec::new(), std::mem::take(&mut self.mail));
        while !self.fx.messages.is_empty() {
            std::mem::swap(&mut mail, &mut self.fx.messages);
            for message in mail.drain(..) {
                match self.index_of[usize::from(message.to.0)] {
                    Some(index) => self.deliver(now, index, message.body),
                    None => away.push(message),
                }
            }
        }
        self.fx.messages.append(&mut away);
        self.mail = mail;
    }

    /// A message that follows from a request or from another message is part of that, as none of it is in the journal yet.
    fn deliver(&mut self, now: Timestamp, index: usize, body: Body) {
        let cause = self.suspect;
        if cause.is_some() || self.may_step(Suspect::of_message(&body)) {
            self.step_hosted(now, index, Input::Message(body));
        }
        self.suspect = cause;
    }

    /// Carries out the effects gathered: the journal first, then everything that may only follow it.
    fn flush(&mut self) {
        let urgent = !self.fx.messages.is_empty() || self.fx.batch.entries.len() > MAX_BATCH_BYTES;
        if urgent || self.flying < MAX_IN_FLIGHT * self.commits.len() {
            self.submit();
        }
        self.send_away();
        if !self.fx.replies.is_empty() {
            self.inbox.credits.give_back(self.fx.replies.len());
            self.links.reply_queues.deliver(&mut self.fx.replies);
        }
        self.fx.calls.drain(..).for_each(|call| self.links.provider_dispatcher.call(call));
        for archive in self.fx.archive.drain(..) {
            self.links.projector.archive(archive);
        }
        for alarm in self.fx.alarms.drain(..) {
            metrics::counter!("alarms_total").increment(1);
            tracing::error!(alarm, "something impossible happened");
        }
    }

    fn submit(&mut self) {
        if self.fx.batch.is_empty() {
            return;
        }
        let mut upto: BTreeMap<LogId, Vec<(usize, Seq)>> = BTreeMap::new();
        for index in self.dirty.drain(..) {
            let hosted = &mut self.hosted[index];
            hosted.dirty = false;
            let seq = hosted.partition.seq();
            if seq > hosted.submitted {
                hosted.submitted = seq;
                upto.entry(self.links.journal.log_of(hosted.partition.id)).or_default().push((index, seq));
            }
        }
        let spare = self.links.committer.spare();
        let batch = std::mem::replace(&mut self.fx.batch, spare);
        match self.links.journal.causality() {
            Causality::OneLog => self.submit_to(LogId(0), batch, &mut upto),
            Causality::PerPartition => {
                let parts = batch.by_partition().into_iter();
                parts.for_each(|(partition, part)| self.submit_to(LogId(partition.0), part, &mut upto));
            }
        }
        self.snapshot_one();
    }

    fn submit_to(&mut self, log: LogId, batch: Batch, upto: &mut BTreeMap<LogId, Vec<(usize, Seq)>>) {
        let batch = self.links.committer.submit(log, batch, self.notify.clone());
        let upto = upto.remove(&log).unwrap_or_default();
        self.in_flight.entry(log).or_default().push_back(InFlight { batch, upto });
        self.flying += 1;
    }

    fn send_away(&mut self) {
        if self.fx.messages.is_empty() {
            return;
        }
        let table = self.links.router.table();
        let mut mail: Vec<Vec<Message>> = vec![Vec::new(); table.inboxes.len()];
        for message in self.fx.messages.drain(..) {
            mail[table.shard_of[usize::from(message.to.0)]].push(message);
        }
        for (shard, messages) in mail.into_iter().enumerate().filter(|(_, messages)| !messages.is_empty()) {
            // A closed inbox loses the message: it is sent again until answered.
            table.inboxes[shard].push(ShardMessage::Peer(messages));
        }
    }

    fn committed(&mut self, notice: Notice) {
        let (log, batch, commit) = match notice {
            Notice::Durable { log, batch, commit } => (log, batch, commit),
            Notice::Failed(error) => panic!("the journal failed: {error}"),
        };
        let known = &mut self.commits[usize::from(log.0)];
        *known = commit.max(*known);
        while let Some(InFlight { upto, .. }) = self.landed(log, batch) {
            let now = self.links.clock.now();
            for (index, seq) in upto {
                self.step_hosted(now, index, Input::Durable(seq));
                self.deliver_here(now);
                self.checkpoint(index, seq);
            }
        }
    }

    /// The next batch in flight to `log` that is durable with `batch`.
    fn landed(&mut self, log: LogId, batch: u64) -> Option<InFlight> {
        let in_flight = self.in_flight.get_mut(&log)?;
        let landed = in_flight.pop_front_if(|first| first.batch <= batch)?;
        self.flying -= 1;
        Some(landed)
    }

    fn report(&self) -> ShardReport {
        let counts = self.hosted.iter().map(|hosted| hosted.partition.counts());
        let (orders, skus) = counts.fold((0, 0), |(orders, skus), (o, s)| (orders + o, skus + s));
        let holds = self.hosted.iter().map(|hosted| hosted.partition.live_holds()).sum();
        ShardReport {
            shard: self.inbox.shard,
            epoch: self.inbox.epoch,
            depth: self.inbox.credits.taken(),
            limit: self.inbox.credits.limit(),
            partitions: self.hosted.iter().map(|hosted| hosted.partition.id.0).collect(),
            orders,
            skus,
            holds,
        }
    }

    /// Runs one turn. A panic ends this life of the shard: nothing more is sent, the guardian builds the next.
    fn guarded(&mut self, context: &mut Context<Self>, turn: impl FnOnce(&mut Self)) {
        let turned = catch_unwind(AssertUnwindSafe(|| turn(self)));
        match turned {
            Ok(()) => self.arm(context),
            Err(panic) => {
                self.inbox.close();
                let reason = panics::text(&*panic);
                let (shard, epoch) = (self.inbox.shard, self.inbox.epoch);
                self.links.reply_queues.lost(shard, epoch);
                let down = ShardDown { shard, epoch, reason, suspect: self.suspect };
                if self.links.guardian.try_send(down).is_err() {
                    tracing::error!(shard, "the guardian is gone");
                }
                context.stop();
            }
        }
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.guarded(context, |shard| {
            let now = shard.links.clock.now();
            for index in 0..shard.hosted.len() {
                shard.hosted[index].partition.resume(now, &mut shard.fx);
                shard.step_hosted(now, index, Input::Tick);
                shard.deliver_here(now);
            }
            shard.flush();
        });
        self.inbox.attach(context.address().recipient());
    }
}

impl Handler<Wake> for Shard {
    type Result = ();

    fn handle(&mut self, Wake: Wake, context: &mut Self::Context) {
        self.guarded(context, Self::drain);
    }
}
