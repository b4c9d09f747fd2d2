//! Fairness: a modest client that places orders at a constant rate, beside a greedy one that sends full batches on many connections,
//! opens event streams that it never reads, and asks for audits.
//!
//! Invariant: what is said of the modest client is from the time its orders were due; the greedy one never waits for it.

mod greedy;
mod memory;

use crate::audit::{order, run_name, stock};
use crate::http::Target;
use crate::pace::Pace;
use crate::report::{Outcomes, Report};
use crate::{ServerArgs, crowd};
use clap::Args;
use greedy::Greed;
use memory::Watched;
use std::sync::Arc;

/// Units of each SKU: nobody runs out.
const UNITS: u64 = 2_000_000_000;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    /// API key of the greedy client; left out, both are one client.
    #[arg(long, env = "HOLDFAST_GREEDY_KEY")]
    greedy_key: Option<String>,
    /// Orders a second of the modest client.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Open connections of the modest client at most.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Connections on which the greedy client sends batches of 4,096 reservations, one after the other.
    #[arg(long, default_value_t = 64)]
    batches: usize,
    /// Seconds that a reservation of a batch holds.
    #[arg(long, default_value_t = 5)]
    ttl: u64,
    /// Event streams that are never read.
    #[arg(long, default_value_t = 1000)]
    streams: usize,
    /// Connections on which audits are asked for.
    #[arg(long, default_value_t = 24)]
    audits: usize,
    /// Process of the server, to tell how its memory grows.
    #[arg(long)]
    pid: Option<u32>,
    /// Bytes that an open hold takes of the server's memory, which are not counted as growth.
    #[arg(long, default_value_t = 2048)]
    hold_bytes: u64,
}

impl Options {
    /// Orders a thousand that must be answered, the latency of the slowest hundredth, and growth beyond open holds.
    const ANSWERED: u64 = 800;
    const P99_MS: f64 = 250.0;
    const GROWTH: u64 = 512 << 20;

    fn greedy(&self) -> Result<Target, String> {
        Target::parse(self.server.url(), self.greedy_key.as_deref().or(self.server.key()))
    }
}

pub(crate) fn run(options: &Options) -> Result<Report, String> {
    let runtime = |threads| tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    // A thread each: the greedy client may not slow the measurement of the other down.
    let (modest, greedy) = (runtime(1), runtime(1));
    let (modest, greedy) = (modest.map_err(|error| error.to_string())?, greedy.map_err(|error| error.to_string())?);
    let (target, name) = (options.server.target()?, run_name());
    crowd::raise_file_limit();
    let skus: Vec<String> = (0..64).map(|index| format!("fair-{name}-{index}")).collect();
    modest.block_on(stock(&target, &skus, UNITS))?;
    let watched = options.pid.map(|pid| Watched::start(pid, target.clone(), options.hold_bytes)).transpose()?;
    let greed = Arc::new(Greed::new(options.greedy()?, skus.clone(), options.ttl));
    greedy.block_on(greed.open_streams(options.streams))?;
    greed.clone().start(&greedy, options.batches, options.audits);
    let pace = Pace { rate: options.rate, seconds: options.seconds, connections: options.connections.max(1) };
    let make = |number: u64| {
        let label = (number % skus.len() as u64) as usize;
        let key = format!("Idempotency-Key: fair-{name}-{number}\r\n");
        (label, target.request("POST", "/v1/orders", &key, &order(&skus[label])))
    };
    let outcomes = modest.block_on(pace.run(&target, make));
    let mut beside = greed.told();
    let batches = beside.iter().find(|(what, _)| what == "batch 200").map_or(0, |(_, count)| *count);
    let growth = watched.map(Watched::stop);
    beside.extend(growth.iter().flat_map(memory::Growth::told));
    let violations = unfair(options, &outcomes, batches, growth.map(|growth| growth.beyond_holds));
    // What the greedy client has in hand is given up with its thread.
    greedy.shutdown_background();
    Ok(Report { scenario: "fairness", outcomes, beside, violations })
}

/// Everything that the modest client may not be made to bear, in words.
fn unfair(options: &Options, outcomes: &Outcomes, batches: u64, growth: Option<u64>) -> Vec<String> {
    let (answered, asked) = (outcomes.accepted.values().sum::<u64>(), options.rate * options.seconds);
    let p99 = outcomes.percentile(99.0);
    let wrong = [
        (answered * 1000 < asked * Options::ANSWERED).then(|| format!("{answered} of {asked} orders were accepted")),
        (p99 > Options::P99_MS).then(|| format!("p99 of an order is {p99:.0} ms")),
        // Where the greedy client got nothing, nothing is shown.
        (options.batches > 0 && batches == 0).then(|| "no batch was answered".to_owned()),
        growth.filter(|growth| *growth > Options::GROWTH).map(|growth| format!("{} MiB beyond open holds", growth >> 20)),
    ];
    wrong.into_iter().flatten().collect()
}
