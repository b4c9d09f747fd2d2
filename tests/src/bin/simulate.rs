//! `simulate`: runs seeds of the deterministic simulation, each twice, and says which invariant broke, if any.
//!
//! Exit code 1 on any violation, with the seed to replay it.

use clap::Parser;
use holdfast_tests::simulation::{self, Counts, Outcome};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Deterministic simulation of Holdfast.
#[derive(Parser)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Replays one seed and prints its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads, each with seeds of its own.
    #[arg(long)]
    threads: Option<usize>,
    /// Prints the summary as JSON.
    #[arg(long)]
    json: bool,
    /// Plants a bug, or each of them in turn with `all`, and looks for it.
    #[cfg(feature = "plant")]
    #[arg(long)]
    plant: Option<String>,
}

/// A run of fewer seeds need not reach every fact.
const SEEDS_FOR_COVERAGE: u64 = 200;

fn main() -> ExitCode {
    let options = Options::parse();
    // A panic of a seed is a violation like any other: it is reported with its seed, not as it happens.
    if options.seed.is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    #[cfg(feature = "plant")]
    if let Some(name) = &options.plant {
        return planted::hunt(name, options.seed);
    }
    match options.seed {
        Some(seed) => replay(seed),
        None => run_all(&options),
    }
}

fn replay(seed: u64) -> ExitCode {
    let outcome = simulation::run(seed, true);
    println!("seed={seed} hash={:016x}", outcome.hash);
    report_breach(&outcome)
}

fn report_breach(outcome: &Outcome) -> ExitCode {
    let Some(breach) = &outcome.breach else { return ExitCode::SUCCESS };
    println!("seed {} broke: {}\n  {}\n  replay: simulate -- --seed {}", outcome.seed, breach.rule, breach.what, outcome.seed);
    ExitCode::FAILURE
}

fn run_all(options: &Options) -> ExitCode {
    let (total, mut broken) = run_seeds(options);
    broken.sort_by_key(|outcome| outcome.seed);
    for outcome in broken.iter().take(20) {
        report_breach(outcome);
    }
    let missing = total.never_produced();
    let covered = options.seeds < SEEDS_FOR_COVERAGE || missing.is_empty();
    if !covered {
        println!("never produced: {}", missing.join(", "));
    }
    let violations = broken.len() + usize::from(!covered);
    if options.json {
        println!("{}", serde_json::json!({ "seeds": options.seeds, "violations": violations, "counts": total }))
    } else {
        println!(
            "seeds={} operations={} crashes={} faults={} violations={violations}",
            options.seeds,
            total.operations,
            total.crashes,
            total.faults()
        )
    }
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Deals the seeds out to the threads; each run stays in one thread.
fn run_seeds(options: &Options) -> (Counts, Vec<Outcome>) {
    let threads = options.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let next = AtomicU64::new(options.from);
    let end = options.from + options.seeds;
    let results = Mutex::new((Counts::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let outcome = simulation::run_twice(seed);
                    let Ok(mut results) = results.lock() else { break };
                    results.0.add(&outcome.counts);
                    if outcome.breach.is_some() {
                        results.1.push(outcome);
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_default()
}

#[cfg(feature = "plant")]
mod planted {
    //! Each planted bug is hunted from seed 1 on.

    use holdfast_engine::plant::{Bug, plant};
    use holdfast_tests::simulation;
    use std::process::ExitCode;

    const MOST_SEEDS: u64 = 2_000;

    pub(super) fn hunt(name: &str, seed: Option<u64>) -> ExitCode {
        let bugs: Vec<Bug> = Bug::ALL.into_iter().filter(|bug| name == "all" || name == format!("{bug:?}")).collect();
        if bugs.is_empty() {
            println!("no bug is called {name}; there are {:?}", Bug::ALL);
            return ExitCode::FAILURE;
        }
        println!("{:<22} {:>13}  invariant", "bug", "found_at_seed");
        let found = bugs.into_iter().filter(|bug| hunt_one(*bug, seed));
        let missed = if name == "all" { Bug::ALL.len() } else { 1 } - found.count();
        if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn hunt_one(bug: Bug, seed: Option<u64>) -> bool {
        plant(Some(bug));
        let mut seeds = seed.map_or(1..=MOST_SEEDS, |seed| seed..=seed);
        let found = seeds.find_map(|n| simulation::run(n, seed.is_some()).breach.map(|breach| (n, breach)));
        plant(None);
        let name = format!("{bug:?}");
        match &found {
            Some((seed, breach)) => println!("{name:<22} {seed:>13}  {}", breach.rule),
            None => println!("{name:<22} {:>13}  -", "not found"),
        }
        found.is_some()
    }
}
