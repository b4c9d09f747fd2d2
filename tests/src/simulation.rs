//! Deterministic simulation: several partitions on a simulated disk, network, clock and provider, in one thread, from a seed.
//!
//! [`world`] moves everything by one agenda, [`workload`] makes commands, [`oracle`] and [`ledger`] check each step with
//! rules of their own, [`faults`] says what goes wrong and how often, [`report`] counts. The machine under test is
//! `holdfast_engine::Partition`, the same that production runs.
//!
//! Invariant: a seed is one run. It is run twice, and the two traces have the same hash.

mod agenda;
mod client;
mod commit;
mod crash;
mod disk;
mod ending;
mod faults;
mod guardian;
mod ledger;
mod moves;
mod network;
mod oracle;
mod provider;
mod random;
mod report;
mod shard;
mod trace;
mod workload;
mod world;

pub use ledger::Breach;
pub use report::Counts;

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// What one run of a seed came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    pub hash: u64,
    pub counts: Counts,
    pub breach: Option<Breach>,
}

/// Runs a seed once. `printing` writes the readable trace to the standard output.
pub fn run(seed: u64, printing: bool) -> Outcome {
    let mut world = World::new(seed, printing);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let breach = match ended {
        Ok(checked) => checked.err(),
        Err(panic) => Some(Breach::new("panic", message_of(&*panic))),
    };
    let (hash, counts) = world.summary();
    Outcome { seed, hash, counts: counts.clone(), breach }
}

/// Runs a seed twice and adds the breach of determinism, if that is one.
pub fn run_twice(seed: u64) -> Outcome {
    let first = run(seed, false);
    let second = run(seed, false);
    let differs = first.hash != second.hash && first.breach.is_none();
    let breach = differs.then(|| {
        let what = format!("{:016x}, then {:016x}", first.hash, second.hash);
        Breach::new("a seed is one run", what)
    });
    Outcome { breach: first.breach.or(breach), ..second }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
