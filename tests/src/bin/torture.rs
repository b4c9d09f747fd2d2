//! `torture`: kills the real binary under load and compares what comes back with a ledger of its own.
//!
//! Prints one line and exits with 1 if anything acknowledged is lost, anything is sold twice, or any promise is broken.

use clap::{Parser, ValueEnum};
use holdfast_tests::torture::cluster::Blows;
use holdfast_tests::torture::{self, Tally};
use std::path::PathBuf;
use std::process::ExitCode;

/// Kill Holdfast under load, again and again.
#[derive(Parser)]
#[command(after_help = "Examples:\n  cargo run --release -p holdfast-tests --bin torture -- --kills 200\n  \
    cargo run --release -p holdfast-tests --bin torture -- --backend cql --kills 50\n  \
    cargo run --release -p holdfast-tests --bin torture -- --kills 100 --reshard\n\n\
    The second starts three Cassandra nodes of its own.")]
struct Options {
    /// Where the journal is.
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    backend: Backend,
    /// How often one of three nodes of the cluster is killed.
    #[arg(long, default_value_t = 20)]
    node_kills: u64,
    /// How often one of them is paused for a while.
    #[arg(long, default_value_t = 20)]
    node_pauses: u64,
    /// Share of the replies to conditional updates that are lost, delayed or forged into time-outs.
    #[arg(long, default_value_t = 0.01)]
    faults: f64,
    /// How often it is killed.
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// Where the choices come from; the timing is the server's own.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server to kill; the one of this build if left out.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Move partitions between shards all the time.
    #[arg(long)]
    reshard: bool,
    /// Keep the data directory after the run and say where it is.
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backend {
    Embedded,
    Cql,
}

fn main() -> ExitCode {
    let Options { kills, seed, binary, keep, backend, node_kills, node_pauses, faults, reshard } = Options::parse();
    let cluster = (backend == Backend::Cql).then_some(Blows { node_kills, node_pauses, faults });
    let dir = match tempfile::tempdir() {
        Ok(dir) => dir,
        Err(error) => {
            eprintln!("torture: no temporary directory: {error}");
            return ExitCode::FAILURE;
        }
    };
    let data_dir = dir.path().join("data");
    let tally = torture::run(&torture::Options { kills, seed, binary, data_dir, cluster, reshard });
    if keep || !tally.breaches.is_empty() {
        eprintln!("\nthe data is kept in {}", dir.keep().display());
    }
    report(&tally)
}

/// What is broken goes to the standard error, the numbers to the standard output.
fn report(tally: &Tally) -> ExitCode {
    for breach in tally.breaches.iter().take(20) {
        eprintln!("\n{:?}: {}", breach.kind, breach.what);
    }
    println!("{}", tally.line());
    if tally.breaches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
