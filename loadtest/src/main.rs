//! The load tests as a program.

use holdfast_loadtest::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
