//! The command line, as `--help` teaches it.
//!
//! Invariant: the exit code says whether a run may be believed: 0 yes, 1 no (audit or limit), 2 it did not run, 4 its figures are not valid.

use crate::fairness;
use crate::http::Target;
use crate::run::{self, Place};
use crate::scenario::{Scenario, Shape};
use crate::summary::Summary;
use crate::{diff, peers, report, reshard, told};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

const FAILED: u8 = 1;
const NOT_RUN: u8 = 2;
const INVALID: u8 = 4;

/// Load tests for Holdfast.
///
/// Each ends with an audit: stock and orders of the API against what was acknowledged. One unit sold twice or one lost acknowledgement
/// fails the run, however fast it was.
#[derive(Parser)]
#[command(
    version,
    after_help = "Start here:\n  loadtest list                                   what there is\n  loadtest run smoke                              starts a server of its own, some seconds\n  loadtest run average --out before               with report.html, summary.json and .hgrm files\n  loadtest run spike --url http://127.0.0.1:8080 --rate 500\n\nThe server that is started is the `holdfast` beside this program; build both with `cargo build --release --workspace`.\n\nExit codes:\n  0  the audit holds, no limit of the scenario is broken, the figures are valid\n  1  something is lost, oversold or too slow: the lines above say what\n  2  it did not run\n  4  the audit holds, but the generator was late: its figures say nothing about the server"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Show the scenarios.
    #[command(after_help = "A scenario is a TOML file. To make one of your own, begin with `loadtest show average > mine.toml`.")]
    List,
    /// Print a scenario as the TOML file that it is.
    #[command(after_help = "Example:\n  loadtest show spike > mine.toml\n  loadtest run mine.toml")]
    Show {
        /// A scenario or a file.
        scenario: String,
    },
    /// Run a scenario, then audit the server.
    #[command(
        after_help = "Latency counts from when an order was due, not from when it was sent: a server that stalls cannot hide it.\n\nExample:\n  loadtest run smoke\n  loadtest run average --rate 2000 --seconds 30 --out before\n  loadtest run mine.toml --url http://10.0.0.7:8080 --key hf_…"
    )]
    Run(Box<RunArgs>),
    /// Make the page of a run again from its summary.
    #[command(after_help = "Example:\n  loadtest report before > before.html")]
    Report {
        /// A directory of `--out`, or its summary.json.
        run: PathBuf,
    },
    /// Compare two runs, or two directories of several: ratios with intervals, or "no difference".
    #[command(
        after_help = "Machines differ from minute to minute: make several runs of each, in turns, and compare the directories.\n\nExample:\n  for n in 1 2 3 4 5; do\n    loadtest run average --seconds 20 --server old/holdfast --out old/$n\n    loadtest run average --seconds 20 --server new/holdfast --out new/$n\n  done\n  loadtest diff old new\n\nExit code 0, whatever it says."
    )]
    Diff {
        /// A directory of `--out`, its summary.json, or a directory with several of them.
        before: PathBuf,
        after: PathBuf,
    },
    /// Compare Holdfast with the bare handler, Redis and PostgreSQL under the same load.
    ///
    /// Each is started on a port and a directory of its own, loaded by wrk with orders of one line each under a new key, added up, and stopped.
    /// They take turns in each round, and shares are of the bare handler of the same round. What is not installed is said and left out.
    /// `holdfast-batch` is Holdfast loaded with batches of reservations; its figure is reservations, not requests.
    #[command(
        after_help = "Build and install first:\n  cargo build --profile dist -p holdfast -p holdfast-loadtest --features holdfast-loadtest/peers\n  apt-get install wrk redis-server postgresql\n\nExample:\n  target/dist/loadtest peers --rounds 3 --dir /var/tmp\n  target/dist/loadtest peers --only holdfast,redis-always --skus 1\n  target/dist/loadtest peers --only holdfast-batch"
    )]
    Peers(peers::Options),
    /// Change the number of shards again and again under load: what fails, what is lost, how long orders wait.
    ///
    /// First the same load is put on each number of shards standing still, so that there is something to compare with. Then the shards
    /// change, step by step, while orders come by the clock, and everything is audited.
    #[command(
        after_help = "  failed         orders with an answer that is a failure, or none\n  lost_holds     what was acknowledged and is not there\n  unknown        orders of which the server did not say what became of them (202)\n  retryable_503  orders that were not executed\n  pause_p99_ms   from the moment a partition was to move until it was there\n  commit_p99_ms  a commit, sync included\n  p99_ms         orders that were accepted, from when they were due\n  p99_ratio      of the worst of the same load standing still\n\nThe load is 60 % of what is measured first with the first number of shards. Machines differ: compare what is of one run.\n\nExample:\n  loadtest reshard --steps 1,4,16,8,1 --seconds 60\n  loadtest reshard --rate 2000 --url http://127.0.0.1:8080 --key hf_…\n\nExit codes: as of `loadtest run`."
    )]
    Reshard(reshard::Options),
    /// A modest client beside a greedy one: how many of its orders are answered, and how fast.
    #[command(after_help = "Example:\n  loadtest fairness --key hf_modest --greedy-key hf_greedy --pid $(pidof holdfast)")]
    Fairness(Box<fairness::Options>),
}

#[derive(Args)]
struct RunArgs {
    /// One of `loadtest list`, or a file.
    scenario: String,
    /// A server that runs already. Left out, one is started on data of its own, and its journal is verified at the end.
    #[arg(long)]
    url: Option<String>,
    /// Where its operators are, if it has an address for them (`[admin] listen`): /admin and /metrics are there.
    #[arg(long, value_name = "URL", requires = "url")]
    admin: Option<String>,
    /// API key, if that server wants one: of an admin, as the audit asks under /admin.
    #[arg(long, env = "HOLDFAST_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The program to start; left out, the `holdfast` beside this one.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    server: Option<PathBuf>,
    /// Where its data is made, on the disk to be measured; gone at the end. Left out, the temporary directory.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data_in: Option<PathBuf>,
    /// Orders a second; the peak of the scenario goes with it.
    #[arg(long)]
    rate: Option<f64>,
    /// How long.
    #[arg(long)]
    seconds: Option<f64>,
    /// Instead of a rate, so many buyers, each as soon as the one before is answered: what the server takes, not how long orders wait.
    #[arg(long, value_name = "BUYERS", conflicts_with = "rate")]
    closed: Option<usize>,
    /// Another seed for arrivals and buyers.
    #[arg(long)]
    seed: Option<u64>,
    /// Write summary.json, report.html and .hgrm files there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Exit with 0 although the generator was late, where only the audit matters.
    #[arg(long)]
    allow_late: bool,
}

/// Where a running server is.
#[derive(Args, Clone)]
pub struct ServerArgs {
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Where its operators are, if it has an address for them (`[admin] listen`): /admin and /metrics are there.
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// API key, if the server wants one: of an admin, as the shards are read under /admin.
    #[arg(long, env = "HOLDFAST_KEY", hide_env_values = true)]
    pub key: Option<String>,
}

impl ServerArgs {
    /// # Errors
    /// If the URL is none.
    pub fn target(&self) -> Result<Target, String> {
        Target::parse(&self.url, self.key.as_deref())?.with_operators(self.admin.as_deref(), self.key.as_deref())
    }
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.run().unwrap_or_else(|error| {
        eprintln!("loadtest: {error}");
        ExitCode::from(NOT_RUN)
    })
}

impl Cli {
    fn run(&self) -> Result<ExitCode, String> {
        match &self.command {
            Command::List => print!("{}", list()),
            Command::Show { scenario } => {
                print!("{}", toml::to_string(&Scenario::find(scenario)?).map_err(|error| error.to_string())?)
            }
            Command::Run(args) => return args.run(self.json),
            Command::Report { run } => print!("{}", report::page(&Summary::read(run)?)),
            Command::Diff { before, after } => {
                let diff = diff::compare(&diff::runs(before)?, &diff::runs(after)?)?;
                print!(
                    "{}",
                    if self.json {
                        format!("{}\n", serde_json::to_string(&diff).map_err(|error| error.to_string())?)
                    } else {
                        diff.text()
                    }
                );
            }
            Command::Peers(options) => print!("{}", peers::run(options)?),
            Command::Reshard(options) => {
                let outcome = reshard::run(options)?;
                println!("{}", if self.json { outcome.json() } else { outcome.text() });
                return Ok(exit(outcome.is_ok(), outcome.invalid.is_empty() || options.allow_late));
            }
            Command::Fairness(options) => {
                let fair = fairness::run(options)?;
                println!("{}", if self.json { fair.json() } else { fair.text() });
                return Ok(if fair.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) });
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list() -> String {
    let all = Scenario::built_in();
    all.iter().map(|Scenario { name, about, seconds, .. }| format!("{name:<14} {seconds:>5.0} s  {about}\n")).collect()
}

impl RunArgs {
    fn run(&self, json: bool) -> Result<ExitCode, String> {
        let mut scenario = Scenario::find(&self.scenario)?;
        scenario.scale(self.rate, self.seconds);
        if let Some(buyers) = self.closed {
            (scenario.load.shape, scenario.load.connections, scenario.load.times_capacity) = (Shape::Closed, buyers, 0.0);
        }
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        let (url, admin, key) = (self.url.clone(), self.admin.clone(), self.key.clone());
        let place = Place { url, admin, key, binary: self.server.clone(), dir: self.data_in.clone() };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
        let run = runtime.block_on(run::run(&scenario, &place))?;
        if let Some(out) = &self.out {
            run.write(out)?;
        }
        println!("{}", if json { told::json(&run.summary) } else { told::text(&run.summary) });
        if let Some(out) = self.out.as_ref().filter(|_| !json) {
            println!("  report: {}", out.join("report.html").display());
        }
        Ok(exit(run.summary.is_ok(), run.summary.invalid.is_empty() || self.allow_late))
    }
}

fn exit(is_ok: bool, is_valid: bool) -> ExitCode {
    match (is_ok, is_valid) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(INVALID),
        (false, _) => ExitCode::from(FAILED),
    }
}
