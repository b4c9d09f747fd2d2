//! The `holdfast` binary: reads the command line and runs one command.

use clap::Parser;
use holdfast_gateway::{cli, commands, telemetry};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let ran = commands::run(cli);
    telemetry::logs::flush();
    match ran {
        Ok(code) => code,
        Err(error) if commands::output::is_closed(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::logs::last_words(&format!("holdfast: {error}"));
            ExitCode::FAILURE
        }
    }
}
