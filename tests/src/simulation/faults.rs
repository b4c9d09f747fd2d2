//! The plan of a run: its size, its latencies and how often each thing goes wrong, all drawn from the seed.
//!
//! Rates come from wide ranges and are often zero, so that some runs are calm and some are nothing but trouble.

use super::agenda::Micros;
use super::random::Random;
use holdfast_actors::shard::hosting::Hosting;
use holdfast_engine::ids::{Location, Partitions, Provider, Sku};
use holdfast_engine::time::{LatePayment, Policy};
use holdfast_engine::{Causality, limits};

pub(super) const MILLI: Micros = 1_000;
pub(super) const SECOND: Micros = 1_000_000;

/// The longest a message between partitions is on its way: what the transport guarantees, and less than the time a
/// resolved hold is remembered.
pub(super) const MESSAGE_LIFE: Micros = (limits::RESOLVED_MS - 5_000) * MILLI;

/// Rates per thousand.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    pub message_lost: u64,
    pub message_doubled: u64,
    /// Comes many seconds after it was sent.
    pub message_late: u64,
    pub request_lost: u64,
    pub reply_lost: u64,
    pub double_click: u64,
    pub other_body: u64,
    pub sync_fails: u64,
    /// The process dies between the write and the sync of a commit.
    pub crash_at_write: u64,
    pub panic_in_turn: u64,
    pub provider_times_out: u64,
    pub webhook_lost: u64,
    pub webhook_doubled: u64,
    pub webhook_late: u64,
    pub snapshot_lost: u64,
    pub pays_at_once: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub partitions: Partitions,
    pub shards: usize,
    pub causality: Causality,
    pub policy: Policy,
    pub rates: Rates,
    pub operations: u32,
    /// Between two operations, on average half of it.
    pub pause: Micros,
    pub skus: Vec<Sku>,
    pub locations: Vec<Location>,
    pub provider: Provider,
    pub stock: u64,
    pub longest_ttl_ms: u64,
    pub sync: (Micros, Micros),
    pub network: (Micros, Micros),
    pub sector: usize,
    pub crashes: u64,
    pub panics: u64,
    pub clock_jumps: u64,
    pub snapshots: u64,
    pub moves: u64,
    /// The longest that the guardian takes to read what it is told.
    pub slowness: Micros,
    /// Greatest jump of a clock, in milliseconds.
    pub jump_ms: u64,
    /// The longest a late message is on its way.
    pub lateness: Micros,
    /// Orders ask SKUs of their own shard by direct calls.
    pub at_once: bool,
}

impl Plan {
    pub(super) fn draw(random: &mut Random) -> Self {
        let count = random.between(2, 6) as u16;
        let (Some(partitions), Some(provider)) = (Partitions::new(count), Provider::new("paymaster")) else {
            unreachable!("both are constants in bounds")
        };
        let fast = random.chance(500);
        Self {
            partitions,
            shards: random.between(1, 3) as usize,
            causality: if random.chance(700) { Causality::OneLog } else { Causality::PerPartition },
            policy: policy(random),
            rates: Rates::draw(random),
            operations: random.between(150, 400) as u32,
            pause: random.between(10, 200) * MILLI,
            skus: names(random.between(1, 5), "sku", Sku::new),
            locations: names(random.between(1, 3), "place", Location::new),
            provider,
            stock: random.between(2, 30),
            longest_ttl_ms: random.between(1_500, 20_000),
            sync: if fast { (50, 2 * MILLI) } else { (2 * MILLI, 60 * MILLI) },
            network: (20, random.between(1, 40) * MILLI),
            sector: if random.chance(500) { 512 } else { 4096 },
            crashes: random.below(4),
            panics: random.below(4),
            clock_jumps: random.below(4),
            snapshots: random.below(12),
            moves: random.below(20),
            slowness: *random.pick(&[200, 5 * MILLI, 500 * MILLI]),
            lateness: *random.pick(&[300 * MILLI, 3 * SECOND, MESSAGE_LIFE]),
            jump_ms: *random.pick(&[500, 20_000, 7_200_000]),
            at_once: random.chance(500),
        }
    }

    /// A shard that has nothing yet.
    pub(super) fn hosting(&self) -> Hosting {
        let mut hosting = Hosting::new(self.partitions, self.causality);
        hosting.at_once &= self.at_once;
        hosting
    }

    /// Where partitions are when the process starts.
    pub(super) fn shards_of_all(&self) -> Vec<usize> {
        (0..usize::from(self.partitions.count())).map(|partition| partition % self.shards).collect()
    }

    /// The log that keeps the records of a partition.
    pub(super) fn log_of(&self, partition: usize) -> usize {
        match self.causality {
            Causality::OneLog => 0,
            Causality::PerPartition => partition,
        }
    }

    pub(super) fn logs(&self) -> usize {
        match self.causality {
            Causality::OneLog => 1,
            Causality::PerPartition => usize::from(self.partitions.count()),
        }
    }
}

impl Rates {
    fn draw(random: &mut Random) -> Self {
        let mut up_to = |most: u64| if random.chance(300) { 0 } else { random.below(most + 1) };
        Self {
            message_lost: up_to(300),
            message_doubled: up_to(300),
            message_late: up_to(40),
            request_lost: up_to(100),
            reply_lost: up_to(150),
            double_click: up_to(150),
            other_body: up_to(200),
            sync_fails: up_to(3),
            crash_at_write: up_to(5),
            panic_in_turn: up_to(3),
            provider_times_out: up_to(500),
            webhook_lost: up_to(600),
            webhook_doubled: up_to(300),
            webhook_late: up_to(300),
            snapshot_lost: up_to(500),
            pays_at_once: up_to(600),
        }
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        *self = Self { pays_at_once: self.pays_at_once, ..Self::none() };
    }

    fn none() -> Self {
        Self {
            message_lost: 0,
            message_doubled: 0,
            message_late: 0,
            request_lost: 0,
            reply_lost: 0,
            double_click: 0,
            other_body: 0,
            sync_fails: 0,
            crash_at_write: 0,
            panic_in_turn: 0,
            provider_times_out: 0,
            webhook_lost: 0,
            webhook_doubled: 0,
            webhook_late: 0,
            snapshot_lost: 0,
            pays_at_once: 0,
        }
    }
}

fn policy(random: &mut Random) -> Policy {
    let late_payment = if random.chance(700) { LatePayment::Rehold } else { LatePayment::Refund };
    Policy {
        pin_ms: random.between(1_000, 20_000),
        query_after_ms: random.between(100, 3_000),
        query_max_ms: random.between(1_000, 10_000),
        unknown_max_ms: random.between(500, 60_000),
        decline_grace_ms: random.between(100, 5_000),
        probe_grace_ms: random.between(100, 3_000),
        ask_every_ms: random.between(500, 5_000),
        resend_ms: random.between(50, 400),
        resend_max_ms: random.between(500, 4_000),
        reserve_timeout_ms: random.between(500, 20_000),
        late_payment,
        ..Policy::default()
    }
}

fn names<T>(count: u64, stem: &str, make: impl Fn(&str) -> Option<T>) -> Vec<T> {
    (0..count).filter_map(|n| make(&format!("{stem}-{n}"))).collect()
}
