//! `takeover`: one server pauses under load, another takes its journal over, the first goes on and must not be believed.
//!
//! Prints one line and exits with 1 if anything acknowledged is lost, anything is sold twice, the server that was taken
//! over from acknowledges anything new, or any other promise is broken.

use clap::Parser;
use holdfast_tests::cassandra::Cassandra;
use holdfast_tests::takeover::{self, Tally};
use std::process::ExitCode;

/// Pause Holdfast under load and let another process take over, again and again.
#[derive(Parser)]
#[command(after_help = "The cluster is the one that HOLDFAST__SCYLLA__NODES names, else one of Cassandra nodes of its own.\n\n\
    Example:\n  cargo run --release -p holdfast-tests --bin takeover -- --rounds 50")]
struct Options {
    /// How often the journal is taken over.
    #[arg(long, default_value_t = 50)]
    rounds: u64,
    /// Where the choices come from; the timing is the server's own.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Cassandra nodes to start, 1 or 3, where HOLDFAST__SCYLLA__NODES is not set.
    #[arg(long, default_value_t = 1)]
    nodes: u16,
}

fn main() -> ExitCode {
    let Options { rounds, seed, nodes } = Options::parse();
    let cassandra = Cassandra::named().unwrap_or_else(|| Cassandra::start(nodes, false));
    report(&takeover::run(&takeover::Options { rounds, seed, nodes: cassandra.addresses().to_vec() }))
}

/// What is broken goes to the standard error, the numbers to the standard output.
fn report(tally: &Tally) -> ExitCode {
    for breach in tally.breaches.iter().take(20) {
        eprintln!("\n{:?}: {}", breach.kind, breach.what);
    }
    println!("{}", tally.line());
    if tally.sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
