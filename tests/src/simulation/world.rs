//! The simulated world: partitions on shards, logs on disks, a network, a provider and clients, moved by one agenda.
//!
//! Invariant: everything that happens is drawn from the seed. There is no clock, thread or unordered map in here.

use super::agenda::{Agenda, Happening, Life, Micros};
use super::client::Clients;
use super::disk::Disk;
use super::faults::{MILLI, Plan, SECOND};
use super::guardian::Guardian;
use super::ledger::{Breach, Checked, Ledger};
use super::oracle::Oracle;
use super::provider::RemoteProvider;
use super::random::Random;
use super::report::Counts;
use super::shard::{Mail, Shard};
use super::trace::Trace;
use holdfast_engine::codec::Batch;
use holdfast_engine::event::{Record, StoredResponse};
use holdfast_engine::ids::{Fingerprint, KeyHash, OrderId, PartitionId, Seq};
use holdfast_engine::partition::Partition;
use holdfast_engine::time::Timestamp;
use holdfast_storage::Snapshot;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Where simulated clocks begin.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// Most that a jump of one clock takes it away from the others.
const MOST_SKEW_MS: u64 = 20_000;
/// A run that has not come to its end after this many happenings never will.
const MOST_HAPPENINGS: u64 = 400_000;
/// After the faults have stopped, everything ends within this.
const LONGEST_CALM: Micros = 48 * 3_600 * SECOND;

/// One log with its commit process.
pub(super) struct Log {
    pub(super) disk: Disk,
    /// With their numbers.
    pub(super) queue: VecDeque<(u64, Batch)>,
    /// Number of the last batch that was handed over, and of the last that is in a frame.
    pub(super) submitted: u64,
    pub(super) written: u64,
    pub(super) committing: bool,
    /// Every frame ever written, as the writer knew it: what recovery may find.
    pub(super) attempted: Vec<Vec<u8>>,
    /// How many of them are durable.
    pub(super) durable: usize,
}

/// The projections: durable, written late, never lost once written.
#[derive(Default)]
pub(super) struct Store {
    pub(super) orders: BTreeMap<OrderId, Vec<u8>>,
    pub(super) keys: BTreeMap<KeyHash, (Fingerprint, Arc<StoredResponse>)>,
    /// When the last row asked for so far is written.
    pub(super) busy_until: Micros,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) random: Random,
    pub(super) now: Micros,
    agenda: Agenda,
    pub(super) up: bool,
    pub(super) life: Life,
    pub(super) shards: Vec<Shard>,
    /// The shard that hosts each partition, or is to.
    pub(super) shard_of: Vec<usize>,
    pub(super) guardian: Guardian,
    /// The moment a tick is on the agenda for, per partition.
    pub(super) armed: Vec<Option<Micros>>,
    pub(super) submitted: Vec<Seq>,
    pub(super) durable: Vec<Seq>,
    pub(super) logs: Vec<Log>,
    pub(super) snapshots: Vec<Vec<Snapshot>>,
    pub(super) store: Store,
    pub(super) provider: RemoteProvider,
    pub(super) clients: Clients,
    pub(super) oracle: Oracle,
    pub(super) ledger: Ledger,
    pub(super) trace: Trace,
    pub(super) counts: Counts,
    pub(super) calm: bool,
}

pub(super) fn id_of(partition: usize) -> PartitionId {
    PartitionId(partition as u16)
}

/// A record with the partition it belongs to, between its step and its submission.
pub(super) type Fresh = (usize, Record);

impl World {
    pub(super) fn new(seed: u64, printing: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random);
        let count = usize::from(plan.partitions.count());
        // Shards of one process share its clock; what they differ by is the order in which they read it, and some slack.
        let common = random.below(2 * plan.jump_ms) as i64 - plan.jump_ms as i64;
        let skews = (0..plan.shards).map(|_| common + random.below(MOST_SKEW_MS) as i64);
        let shards = skews.map(|skew_ms| Shard::new(plan.hosting(), skew_ms)).collect();
        let log = |_| Log {
            disk: Disk::new(plan.sector),
            queue: VecDeque::new(),
            submitted: 0,
            written: 0,
            committing: false,
            attempted: Vec::new(),
            durable: 0,
        };
        let mut world = Self {
            now: 0,
            agenda: Agenda::default(),
            up: true,
            life: 0,
            shards,
            shard_of: plan.shards_of_all(),
            guardian: Guardian::default(),
            armed: vec![None; count],
            submitted: vec![0; count],
            durable: vec![0; count],
            logs: (0..plan.logs()).map(log).collect(),
            snapshots: vec![Vec::new(); count],
            store: Store::default(),
            provider: RemoteProvider::default(),
            clients: Clients::default(),
            oracle: Oracle::default(),
            ledger: Ledger::new(count, true),
            trace: Trace::new(printing),
            counts: Counts::default(),
            calm: false,
            random,
            plan,
        };
        let partitions = world.plan.partitions;
        for id in partitions.all() {
            let fresh = Partition::new(id, partitions, world.plan.causality, world.plan.policy.clone());
            world.host(fresh, 0);
        }
        world
    }

    /// A partition, if a shard has it.
    pub(super) fn here(&self, partition: usize) -> Option<&Partition> {
        let hosted = self.shards.iter().find_map(|shard| shard.hosting.get(id_of(partition)));
        hosted.map(|hosted| &hosted.partition)
    }

    /// The shard that has a partition.
    pub(super) fn host_of(&self, partition: usize) -> Option<usize> {
        self.shards.iter().position(|shard| shard.hosting.get(id_of(partition)).is_some())
    }

    /// Those that no panic has taken, by number.
    pub(super) fn all_here(&self) -> Vec<&Partition> {
        (0..self.count()).filter_map(|partition| self.here(partition)).collect()
    }

    pub(super) fn count(&self) -> usize {
        usize::from(self.plan.partitions.count())
    }

    pub(super) fn host(&mut self, partition: Partition, life: Life) {
        let shard = self.shard_of[usize::from(partition.id.0)];
        self.shards[shard].hosting.host(partition, life, Vec::new());
    }

    /// Runs to the end. The first breach ends it.
    pub(super) fn run(&mut self) -> Checked {
        self.trace.note(0, || format!("{:#?}", self.plan));
        self.open_shop();
        self.plan_faults();
        let mut happenings = 0;
        let mut calm_since = 0;
        while let Some((at, happening)) = self.agenda.pop() {
            self.now = at;
            self.trace.mix_number(at);
            happenings += 1;
            self.happen(happening)?;
            if !self.calm {
                calm_since = at;
            }
            if happenings > MOST_HAPPENINGS || at - calm_since > LONGEST_CALM {
                return Err(Breach::new("I10 everything comes to its end", self.open_work()));
            }
        }
        self.finish()
    }

    pub(super) fn after(&mut self, delay: Micros, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    pub(super) fn at(&mut self, at: Micros, happening: Happening) {
        let tie = self.random.word();
        self.agenda.push(at, tie, happening);
    }

    fn plan_faults(&mut self) {
        let span = u64::from(self.plan.operations) * self.plan.pause / 2 + SECOND;
        for (count, make) in [
            (self.plan.crashes, (|_: &mut Random, _: usize| Happening::Crash) as fn(&mut Random, usize) -> Happening),
            (self.plan.panics, |random, partitions| {
                Happening::PartitionPanics(PartitionId(random.below(partitions as u64) as u16))
            }),
            (self.plan.clock_jumps, |_, _| Happening::ClockJump),
            (self.plan.snapshots, |_, _| Happening::TakeSnapshot),
            (self.plan.moves, |random, partitions| {
                let (partition, to) = (PartitionId(random.below(partitions as u64) as u16), random.below(3) as usize);
                Happening::MovePartition { partition, to }
            }),
        ] {
            for _ in 0..count {
                let at = self.random.below(span);
                let count = self.count();
                let happening = make(&mut self.random, count);
                self.at(at, happening);
            }
        }
    }

    fn happen(&mut self, happening: Happening) -> Checked {
        match happening {
            Happening::NextOperation => self.next_operation(),
            Happening::Send(asked) => self.send(*asked),
            Happening::RequestArrives(ticket) => self.request_arrives(ticket),
            Happening::ClientGivesUp(ticket) => self.client_gives_up(ticket),
            Happening::ReplyArrives(reply) => return self.reply_arrives(*reply),
            Happening::Deliver { life, to, body, basis } => self.deliver(life, to, *body, basis),
            Happening::Turn { shard, life } => return self.turn(shard, life),
            Happening::Tick(partition) => self.tick(usize::from(partition.0)),
            Happening::Synced { log, life } => self.synced(log, life)?,
            Happening::SyncFailed { life } => self.sync_failed(life),
            Happening::Crash if self.calm => {}
            Happening::Crash => self.crash("the process"),
            Happening::Recover { life } => return self.recover(life),
            Happening::PartitionPanics(id) => self.post(usize::from(id.0), Mail::Poison),
            Happening::PartitionRebuilt { process, partition, life } => return self.rebuilt(process, partition, life),
            Happening::MovePartition { partition, to } => self.ask_for_move(partition, to),
            Happening::GuardianTurn { process } => return self.guardian_turn(process),
            Happening::TakeSnapshot => self.take_snapshot(),
            Happening::SaveSnapshot { life, taken } => self.save_snapshot(life, *taken),
            Happening::ClockJump => self.clock_jump(),
            Happening::CallArrives(call) => return self.call_arrives(*call),
            Happening::CallAnswered { life, result } => self.call_answered(life, *result),
            Happening::BuyerDecides { attempt, approves } => self.buyer_decides(attempt, approves),
            Happening::Webhook { attempt, outcome, tries } => self.webhook(attempt, outcome, tries),
            Happening::Archived { life, archive } => self.archived(life, *archive),
            Happening::Calm => self.become_calm(),
        }
        Ok(())
    }

    /// What the clock of a shard shows.
    pub(super) fn clock(&self, shard: usize) -> Timestamp {
        let true_ms = EPOCH_MS + self.now / MILLI;
        Timestamp::new(true_ms.saturating_add_signed(self.shards[shard].skew_ms))
    }

    /// When the clock of a shard will show `at`.
    fn moment_of(&self, shard: usize, at: Timestamp) -> Micros {
        let true_ms = at.millis().saturating_add_signed(-self.shards[shard].skew_ms);
        (true_ms.saturating_sub(EPOCH_MS) * MILLI).max(self.now)
    }

    /// Puts the next tick of a partition on the agenda, unless an earlier one is.
    pub(super) fn arm(&mut self, partition: usize) {
        let Some(deadline) = self.here(partition).and_then(Partition::next_deadline) else { return };
        let Some(host) = self.host_of(partition) else { return };
        let at = self.moment_of(host, deadline);
        if self.armed[partition].is_none_or(|armed| at < armed) {
            self.armed[partition] = Some(at);
            self.at(at, Happening::Tick(id_of(partition)));
        }
    }

    fn clock_jump(&mut self) {
        if self.calm {
            return;
        }
        self.counts.clock_jumps += 1;
        let reach = self.plan.jump_ms;
        let one = self.random.below(2 * self.plan.shards as u64) as usize;
        let reach = if one < self.plan.shards { reach.min(MOST_SKEW_MS) } else { reach };
        let by = self.random.below(2 * reach) as i64 - reach as i64;
        for (index, shard) in self.shards.iter_mut().enumerate() {
            if one >= self.plan.shards || one == index {
                shard.skew_ms += by;
            }
        }
        self.trace.note(self.now, || format!("clock jumps by {by} ms"));
        for partition in 0..self.count() {
            self.armed[partition] = None;
            self.arm(partition);
        }
    }

    fn become_calm(&mut self) {
        self.trace.note(self.now, || "faults stop".to_owned());
        self.calm = true;
        self.plan.rates.calm();
        self.plan.network.1 = self.plan.network.1.min(5 * MILLI);
    }

    /// What is still open, for the report of a run that does not end.
    pub(super) fn open_work(&self) -> String {
        let here = self.all_here();
        let open = here.iter().flat_map(|partition| partition.orders()).filter(|order| !order.archivable());
        let open: Vec<String> = open.map(|order| format!("{} {:?}", order.id, order.status)).collect();
        let waiting = self.clients.pending.values().filter(|one| !one.over).count();
        format!("{} orders open, {waiting} clients waiting: {}", open.len(), open.join(", "))
    }

    /// Hash of everything that happened, and what was counted.
    pub(super) fn summary(&self) -> (u64, &Counts) {
        (self.trace.hash(), &self.counts)
    }
}
