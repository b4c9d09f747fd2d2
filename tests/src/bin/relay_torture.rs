//! `relay_torture`: kills real Kafka brokers and the real binary under load, then compares the topic with the journal.
//!
//! Prints one line and exits with 1 if an event is missing, invented or out of order, or the journal breaks an invariant.

use clap::Parser;
use holdfast_tests::relay_torture::{self, Options};
use std::process::ExitCode;

/// Kill the brokers that Holdfast publishes to, and Holdfast, again and again.
#[derive(Parser)]
#[command(
    after_help = "Example:\n  cargo run --release -p holdfast-tests --bin relay_torture -- --broker-kills 20 --stops 3 --stop-seconds 30 --engine-kills 5"
)]
struct Args {
    /// How often one broker of three is killed.
    #[arg(long, default_value_t = 20)]
    broker_kills: u64,
    /// How often all three are killed at once.
    #[arg(long, default_value_t = 3)]
    stops: u64,
    /// For how long.
    #[arg(long, default_value_t = 30)]
    stop_seconds: u64,
    /// How often Holdfast is killed.
    #[arg(long, default_value_t = 5)]
    engine_kills: u64,
    /// Where the order and the choices come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let Args { broker_kills, stops, stop_seconds, engine_kills, seed } = Args::parse();
    let Some(tally) = relay_torture::run(&Options { broker_kills, stops, stop_seconds, engine_kills, seed }) else {
        return ExitCode::FAILURE;
    };
    println!("{}", tally.line());
    if let Some(first) = tally.first() {
        eprintln!("first: {first}");
    }
    if tally.clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
