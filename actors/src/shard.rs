//! A shard: one actix actor on its own Arbiter that feeds the partitions it hosts and carries out their effects.
//!
//! Invariants: events are submitted to the journal before the messages they cause leave the shard; replies leave only
//! through the partitions' gates. A panic in a step takes its partition out and no other, one anywhere else takes all of them out: the
//! guardian rebuilds them. After a failed commit the shard does nothing more.

mod deadlines;
mod departures;
mod forward;
pub mod hosting;
mod losses;
pub mod moves;
mod requests;
mod snapshots;
pub mod to_guardian;
mod trail;

use crate::clock::Clock;
use crate::inbox::{Inbox, ShardMessage, ShardReport, Wake};
use crate::lookups::Lookups;
use crate::placement::stash::Stash;
use crate::probe::Probes;
use crate::provider::ProviderDispatcher;
use crate::replies::ReplyQueues;
use crate::router::Router;
use crate::sketch::Sketch;
use crate::snapshot_writer::{PendingSnapshot, SnapshotWriter};
use crate::tuning::Tuning;
use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};
use crossbeam::channel::Sender;
use holdfast_engine::command::Command;
use holdfast_engine::effect::{Effects, EndedAttempts};
use holdfast_engine::ids::{KeyHash, OrderId, PartitionId};
use holdfast_engine::partition::{Input, Partition};
use holdfast_engine::protocol::Message;
use holdfast_engine::time::{Policy, Timestamp};
use holdfast_storage::group_commit::{Committer, Notice, Notify};
use holdfast_storage::rows::Projector;
use holdfast_storage::{Journal, LogSeq};
use hosting::{Hosting, Stepped, Submission};
use moves::Passages;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use to_guardian::ToGuardian;
use trail::Trail;

/// Messages taken out of the inbox at once, with a share of those that came in bulk: neither ever waits for all of the other.
const OPENED: usize = 8;

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
    pub passages: Passages,
    pub guardian: ToGuardian,
    pub tuning: Arc<Tuning>,
}

pub struct Shard {
    inbox: Arc<Inbox>,
    /// Taken out of the inbox and not read yet.
    opened: VecDeque<ShardMessage>,
    links: Links,
    hosting: Hosting,
    /// What is for partitions that are on their way here.
    stash: Stash<ShardMessage>,
    /// Who waits for this shard to end.
    retiring: Option<Sender<()>>,
    /// Partitions that came back.
    rebuilds: u64,
    fx: Effects,
    /// The partition with which the next turn of deadlines begins.
    first_due: u16,
    /// Last commit of each log known to be durable.
    commits: Vec<LogSeq>,
    /// Snapshots whose last record is not durable yet.
    snapshots: Vec<PendingSnapshot>,
    armed: Option<(Timestamp, SpawnHandle)>,
    notify: Notify,
    probes: Probes,
    trail: Trail,
    sketch: Sketch,
    /// Requests read.
    requests: u64,
    wait: metrics::Histogram,
    timer_lag: metrics::Histogram,
}

impl Shard {
    /// `commits` is the last durable commit of each log of the journal.
    pub fn new(inbox: Arc<Inbox>, links: Links, partitions: Vec<Partition>, commits: Vec<LogSeq>) -> Self {
        let mut hosting = Hosting::new(links.router.partitions, links.journal.causality());
        for partition in partitions {
            hosting.host(partition, 0, Vec::new());
        }
        let own = inbox.clone();
        let notify: Notify = Arc::new(move |notice| {
            own.push(ShardMessage::Committed(notice));
        });
        let labels = [("shard", inbox.shard.to_string())];
        Self {
            wait: metrics::histogram!("holdfast_shard_mailbox_wait_seconds", &labels),
            timer_lag: metrics::histogram!("holdfast_shard_timer_lag_seconds", &labels),
            probes: Probes::new(inbox.shard),
            trail: Trail::default(),
            sketch: Sketch::default(),
            requests: 0,
            inbox,
            opened: VecDeque::new(),
            links,
            hosting,
            stash: Stash::default(),
            retiring: None,
            rebuilds: 0,
            fx: Effects::default(),
            first_due: 0,
            commits,
            snapshots: Vec::new(),
            armed: None,
            notify,
        }
    }

    fn next_message(&mut self) -> Option<ShardMessage> {
        if self.opened.is_empty() {
            self.inbox.take(OPENED, &mut self.opened);
        }
        self.opened.pop_front()
    }

    /// Reads the inbox until it is empty, then hands on everything that follows from it.
    fn drain(&mut self) {
        if let Some(waited) = self.inbox.waited() {
            self.wait.record(waited.as_secs_f64());
        }
        loop {
            while let Some(message) = self.next_message() {
                self.read(message);
                if self.batch_is_full() || self.hosting.has_fallen() {
                    self.flush();
                }
            }
            self.flush();
            if self.hosting.flying() > 0 {
                // Under load messages are on their way: letting their senders run is cheaper than being woken by each.
                std::thread::yield_now();
            }
            if self.inbox.sleep() {
                return self.end_if_retiring();
            }
        }
    }

    fn read(&mut self, message: ShardMessage) {
        match message {
            ShardMessage::Place { ticket, order, placed } => {
                self.requests += 1;
                self.sketch.placed(placed.lines.iter().map(|line| &line.sku));
                self.trail.read(order);
                self.request(ticket, Command::Place { order, placed });
            }
            ShardMessage::Request { ticket, command } => {
                self.requests += 1;
                self.trail.read_command(&command, self.links.router.partitions);
                self.request(ticket, *command);
            }
            ShardMessage::Peer(messages) => messages.into_iter().for_each(|one| self.step(one.to, Input::Message(one.body))),
            ShardMessage::Waited { partition, came, input } => self.waited(partition, came, *input),
            ShardMessage::Provider(result) => self.step(result.attempt().order.partition(), Input::Provider(result)),
            ShardMessage::Loaded { ticket, command, loaded, asked, life } => self.loaded(ticket, command, loaded, asked, life),
            ShardMessage::Unread { ticket, partition, life, error } => self.unread_there(ticket, partition, life, error),
            ShardMessage::Archived { partition, orders, keys } => self.archived(partition, orders, keys),
            ShardMessage::Committed(notice) => self.committed(notice),
            ShardMessage::Report(answer) => {
                let _ = answer.send(self.report());
            }
            ShardMessage::Probe(sent) => self.probed(sent),
            ShardMessage::Policy => self.take_policy(),
            ShardMessage::Snapshot(partition) => self.snapshot_asked(partition),
            ShardMessage::Drain(done) => {
                self.snapshot_all();
                let _ = done.send(());
            }
            ShardMessage::Host { partition, life, refused } => self.host(*partition, life, refused),
            ShardMessage::Depart(partition) => self.depart(partition),
            ShardMessage::Arrive(partition) => self.arrive(partition),
            ShardMessage::Retire(done) => self.retire(done),
        }
    }

    /// Has every partition here act by the newest policy.
    fn take_policy(&mut self) {
        let ids: Vec<PartitionId> = self.hosting.iter().map(|hosted| hosted.partition.id).collect();
        ids.into_iter().for_each(|id| self.give_policy(id));
    }

    pub(super) fn give_policy(&mut self, id: PartitionId) {
        let policy = Box::new(Policy::clone(&self.links.tuning.policy()));
        self.step(id, Input::Policy(policy));
    }

    fn archived(&mut self, id: PartitionId, orders: Vec<(OrderId, usize)>, keys: Vec<KeyHash>) {
        // A store beside us answers in the turn that asks: nothing leaves memory meanwhile.
        let left = self.links.journal.remote().then(|| (orders.clone(), keys.clone()));
        self.step(id, Input::Archived { orders, keys });
        if let (Some((orders, keys)), Some(hosted)) = (left, self.hosting.get_mut(id)) {
            let seq = hosted.partition.seq();
            hosted.departures.note(seq, &orders, &keys);
        }
    }

    /// Gives an input to its partition, and the messages that follow to those that are here.
    fn step(&mut self, id: PartitionId, input: Input) {
        let now = self.links.clock.now();
        let stepped = self.hosting.step(now, id, input, &mut self.fx);
        self.deliver_here(now);
        match stepped {
            Stepped::Done | Stepped::Panicked => {}
            Stepped::Refused(ticket) => self.poisoned(id, ticket),
            Stepped::Later(ticket) => self.unavailable(id, ticket),
            Stepped::Elsewhere(input) => self.forward_input(id, *input),
        }
    }

    fn deliver_here(&mut self, now: Timestamp) {
        self.hosting.deliver(now, &mut self.fx, requests::refused_again);
    }

    /// Carries out the effects gathered: the journal first, then everything that may only follow it. Last go the partitions that
    /// panicked: what they made before is on its way to the journal then, and to whoever waits for it.
    fn flush(&mut self) {
        let urgent = !self.fx.messages.is_empty() || self.batch_is_full() || self.hosting.has_fallen();
        if urgent || self.hosting.flying() < self.links.tuning.commits_in_flight() * self.commits.len() {
            self.submit();
        }
        self.release();
        if self.hosting.has_fallen() {
            self.lose();
        }
    }

    /// Lets out what is free to leave.
    fn release(&mut self) {
        self.send_away();
        if !self.fx.replies.is_empty() {
            self.inbox.credits.give_back(self.fx.replies.len());
            self.links.reply_queues.deliver(&mut self.fx.replies);
        }
        self.fx.calls.drain(..).for_each(|call| self.links.provider_dispatcher.call(call));
        for archive in self.fx.archive.drain(..) {
            self.links.projector.archive(archive);
        }
        if self.fx.ended != EndedAttempts::default() {
            self.links.router.counts.ended(std::mem::take(&mut self.fx.ended));
        }
        for alarm in self.fx.alarms.drain(..) {
            metrics::counter!("holdfast_alarms_total").increment(1);
            tracing::error!(alarm, "something impossible happened");
        }
    }

    fn batch_is_full(&self) -> bool {
        self.fx.batch.entries.len() > self.links.tuning.batch_bytes()
    }

    fn submit(&mut self) {
        if self.fx.batch.is_empty() {
            self.trail.wrote_nothing();
            return self.probes.wrote_nothing();
        }
        let spare = self.links.committer.spare();
        let batch = std::mem::replace(&mut self.fx.batch, spare);
        for Submission { log, batch, upto } in self.hosting.submit(batch) {
            let batch = self.links.committer.submit(log, batch, self.notify.clone());
            self.hosting.fly(log, batch, upto);
            self.probes.fly(log, batch);
            self.trail.fly(log, batch, |partition| self.links.journal.log_of(partition));
        }
        self.snapshot_one();
    }

    fn send_away(&mut self) {
        if self.fx.messages.is_empty() {
            return;
        }
        let table = self.links.router.table();
        let mut mail: Vec<Vec<Message>> = vec![Vec::new(); table.inboxes.len()];
        for message in self.fx.messages.drain(..) {
            match table.shard_of.get(usize::from(message.to.0)) {
                Some(shard) => mail[*shard].push(message),
                None => forward::nowhere(message.to),
            }
        }
        for (shard, messages) in mail.into_iter().enumerate().filter(|(_, messages)| !messages.is_empty()) {
            // A closed inbox is one of an engine that ends: it loses the message, which is sent again after the next start.
            table.inboxes[shard].push(ShardMessage::Peer(messages));
        }
    }

    fn committed(&mut self, notice: Notice) {
        let (log, batch, commit) = match notice {
            Notice::Durable { log, batch, commit } => (log, batch, commit),
            // Whoever runs the engine hears of it from the commit thread.
            Notice::Failed(_) => return self.end(),
        };
        let known = &mut self.commits[usize::from(log.0)];
        *known = commit.max(*known);
        self.probes.landed(log, batch, &self.inbox.sight);
        self.trail.landed(log, batch);
        while let Some(upto) = self.hosting.landed(log, batch) {
            let now = self.links.clock.now();
            for (id, seq) in upto {
                // Of one that panicked meanwhile the journal tells the next life.
                self.hosting.step(now, id, Input::Durable(seq), &mut self.fx);
                self.deliver_here(now);
                self.checkpoint(id, seq);
            }
        }
    }

    fn probed(&mut self, sent: Instant) {
        if self.probes.read(sent, &self.inbox.sight) {
            let now = self.links.clock.now();
            let due = self.hosting.iter().filter_map(|hosted| hosted.partition.next_deadline()).min();
            let overdue = Duration::from_millis(due.map_or(0, |due| now.since(due)));
            self.probes.look(overdue, &self.inbox.sight);
            self.inbox.sight.sent(self.requests, self.sketch.take());
        }
    }

    fn report(&self) -> ShardReport {
        let mut report = ShardReport {
            shard: self.inbox.shard,
            epoch: self.rebuilds,
            depth: self.inbox.credits.taken(),
            limit: self.inbox.credits.limit(),
            ..ShardReport::default()
        };
        for hosted in self.hosting.iter() {
            let (orders, skus) = hosted.partition.counts();
            report.partitions.push(hosted.partition.id.0);
            report.requests.push(hosted.requests());
            report.heat.push(hosted.heat());
            report.orders += orders;
            report.skus += skus;
            report.holds += hosted.partition.live_holds();
        }
        report
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.guarded(context, |shard| {
            let now = shard.links.clock.now();
            let ids: Vec<PartitionId> = shard.hosting.iter().map(|hosted| hosted.partition.id).collect();
            for id in ids {
                shard.hosting.resume(now, id, &mut shard.fx);
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
