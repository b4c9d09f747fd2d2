//! Fairness: a modest client that places orders at a constant rate, beside a greedy one that sends full batches on many connections,
//! opens event streams that it never reads, and asks for audits.
//!
//! Invariant: what is said of the modest client is from the time its orders were due; the greedy one never waits for it.

mod greedy;
mod memory;

use crate::buyer::Shop;
use crate::cli::ServerArgs;
use crate::drive;
use crate::http::Target;
use crate::ledger::Ledger;
use crate::pool::Pool;
use crate::record::{Class, Operation};
use crate::run::raise_file_limit;
use crate::scenario::Scenario;
use crate::stock;
use crate::workload::Workload;
use clap::Args;
use greedy::Greed;
use memory::Watched;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Units of each SKU: nobody runs out.
const UNITS: u64 = 2_000_000_000;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    /// API key of the greedy client, of an admin, as it asks for audits too; left out, both are one client.
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

    /// What the modest client does.
    fn scenario(&self) -> Result<Scenario, String> {
        let (rate, seconds) = (self.rate, self.seconds);
        Scenario::parse(&format!(
            "name = \"fairness\"\nabout = \"\"\nseconds = {seconds}\n[load]\nshape = \"constant\"\nrate = {rate}\n[stock]\nskus = 64\n"
        ))
    }

    fn greedy(&self) -> Result<Target, String> {
        let key = self.greedy_key.as_deref().or(self.server.key.as_deref());
        Target::parse(&self.server.url, key)?.with_operators(self.server.admin.as_deref(), key)
    }
}

/// What the modest client got, and what the greedy one.
pub(crate) struct Fairness {
    requests: u64,
    seconds: f64,
    answers: BTreeMap<String, u64>,
    /// In milliseconds.
    p50: f64,
    p99: f64,
    greedy: Vec<(String, u64)>,
    pub(crate) violations: Vec<String>,
}

impl Fairness {
    pub(crate) fn json(&self) -> String {
        let greedy: BTreeMap<&str, u64> = self.greedy.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let shown: Value = json!({
            "scenario": "fairness",
            "ok": self.violations.is_empty(),
            "requests": self.requests,
            "seconds": self.seconds,
            "outcomes": self.answers,
            "latency_ms": {"p50": self.p50, "p99": self.p99},
            "beside": greedy,
            "violations": self.violations,
        });
        shown.to_string()
    }

    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("fairness: {} requests in {:.2} s", self.requests, self.seconds)];
        lines.extend(self.answers.iter().map(|(name, count)| format!("  {count:>9}  {name}")));
        lines.push(format!("  latency from the time due, ms: p50 {:.2}  p99 {:.2}", self.p50, self.p99));
        lines.extend(self.greedy.iter().map(|(name, count)| format!("  {count:>9}  {name}")));
        match self.violations.as_slice() {
            [] => lines.push("  every client had its share".to_owned()),
            violations => lines.extend(violations.iter().map(|violation| format!("  VIOLATION {violation}"))),
        }
        lines.join("\n")
    }
}

pub(crate) fn run(options: &Options) -> Result<Fairness, String> {
    let runtime = |threads| tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    // A thread each: the greedy client may not slow the measurement of the other down.
    let (modest, greedy) = (runtime(1), runtime(1));
    let (modest, greedy) = (modest.map_err(|error| error.to_string())?, greedy.map_err(|error| error.to_string())?);
    let (target, scenario) = (options.server.target()?, options.scenario()?);
    raise_file_limit();
    let workload = Workload::new(&scenario, &crate::run::name());
    let skus = workload.skus.clone();
    modest.block_on(stock::put(&target, &skus, UNITS))?;
    let watched = options.pid.map(|pid| Watched::start(pid, target.clone(), options.hold_bytes)).transpose()?;
    let greed = Arc::new(Greed::new(options.greedy()?, skus, options.ttl));
    greedy.block_on(greed.open_streams(options.streams))?;
    greed.clone().start(&greedy, options.batches, options.audits);
    let ledger = Ledger::new(workload.skus.len(), scenario.seed);
    let shop = Arc::new(Shop::new(Pool::new(target, options.connections.max(1)), workload, ledger));
    modest.block_on(drive::run(shop.clone(), &scenario, Arc::default()))?;
    let seconds = shop.start.elapsed().as_secs_f64();
    let mut beside = greed.told();
    let growth = watched.map(Watched::stop);
    beside.extend(growth.iter().flat_map(memory::Growth::told));
    // What the greedy client has in hand is given up with its thread.
    greedy.shutdown_background();
    Ok(judged(options, &shop, seconds, beside, growth.map(|growth| growth.beyond_holds)))
}

fn judged(options: &Options, shop: &Shop, seconds: f64, greedy: Vec<(String, u64)>, growth: Option<u64>) -> Fairness {
    let record = shop.record();
    let answers = record.answers.get(&Operation::Place).cloned().unwrap_or_default();
    let (requests, accepted) = (answers.values().sum(), record.count(Class::Accepted));
    let percentile = |percentile| record.percentile(Class::Accepted, percentile).unwrap_or_default();
    let (p50, p99) = (percentile(50.0), percentile(99.0));
    let batches = greedy.iter().find(|(what, _)| what == "batch 200").map_or(0, |(_, count)| *count);
    let violations = unfair(options, (accepted, p99), batches, growth);
    Fairness { requests, seconds, answers, p50, p99, greedy, violations }
}

/// Everything that the modest client may not be made to bear, in words.
fn unfair(options: &Options, (answered, p99): (u64, f64), batches: u64, growth: Option<u64>) -> Vec<String> {
    let asked = options.rate * options.seconds;
    let wrong = [
        (answered * 1000 < asked * Options::ANSWERED).then(|| format!("{answered} of {asked} orders were accepted")),
        (p99 > Options::P99_MS).then(|| format!("p99 of an order is {p99:.0} ms")),
        // Where the greedy client got nothing, nothing is shown.
        (options.batches > 0 && batches == 0).then(|| "no batch was answered".to_owned()),
        growth.filter(|growth| *growth > Options::GROWTH).map(|growth| format!("{} MiB beyond open holds", growth >> 20)),
    ];
    wrong.into_iter().flatten().collect()
}
