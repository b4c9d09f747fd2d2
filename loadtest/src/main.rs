//! Load on a running server, over HTTP and nothing else. Each scenario ends with an audit: a fast answer that sold a unit
//! twice is no answer. Exit code 1 on any violation.

mod audit;
mod crowd;
mod fairness;
mod flash;
mod http;
mod pace;
mod report;
mod smoke;

use clap::{Args, Parser, Subcommand};
use http::Target;
use report::Report;
use std::process::ExitCode;

/// Load scenarios for Holdfast.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  loadtest smoke --url http://127.0.0.1:8080 --rate 2000 --seconds 10\n  loadtest flash --units 1 --buyers 10000"
)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Scenario {
    /// Orders at a constant rate over some SKUs, until some are sold out.
    #[command(after_help = "Example:\n  loadtest smoke --url http://127.0.0.1:8080 --rate 500 --seconds 5 --json")]
    Smoke(smoke::Options),
    /// One SKU, a few units, and a crowd that wants them at the same moment.
    #[command(after_help = "Example:\n  loadtest flash --url http://127.0.0.1:8080 --units 7 --buyers 10000")]
    Flash(flash::Options),
    /// A modest client beside a greedy one: how many of its orders are answered, and how fast.
    #[command(after_help = "Example:\n  loadtest fairness --key hf_modest --greedy-key hf_greedy --pid $(pidof holdfast)")]
    Fairness(fairness::Options),
}

/// Where the server is.
#[derive(Args, Clone)]
struct ServerArgs {
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// API key, if the server wants one.
    #[arg(long, env = "HOLDFAST_KEY")]
    key: Option<String>,
}

impl ServerArgs {
    fn url(&self) -> &str {
        &self.url
    }

    fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn target(&self) -> Result<Target, String> {
        Target::parse(&self.url, self.key.as_deref())
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.scenario) {
        Ok(report) => {
            println!("{}", if cli.json { report.json() } else { report.text() });
            if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(scenario: &Scenario) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    match scenario {
        Scenario::Smoke(options) => runtime.block_on(smoke::run(options)),
        Scenario::Flash(options) => runtime.block_on(flash::run(options)),
        Scenario::Fairness(options) => fairness::run(options),
    }
}
