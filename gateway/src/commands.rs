//! One function a command. Each prints text, or with `--json` one JSON value.

mod backup;
mod bench;
mod config;
mod export;
mod healthcheck;
mod inspect;
#[cfg(feature = "kafka")]
mod kafka;
mod key;
mod load;
pub mod output;
mod restore;
mod size;
mod table;
mod tune;
mod verify;

#[cfg(feature = "scylla")]
use crate::cli::SchemaCommand;
use crate::cli::{Cli, Command, DataArgs, ServeArgs};
use crate::http::openapi;
use crate::process::{descriptors, memory};
use crate::settings::{self, Loaded, Log, Settings};
use crate::telemetry::logs;
use crate::{backend, serve};
use clap::CommandFactory;
#[cfg(feature = "scylla")]
use holdfast_storage::cql;
use holdfast_storage::{Journal, private};
#[cfg(feature = "scylla")]
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

pub type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// # Errors
/// Whatever the command failed with, in words for the terminal.
pub fn run(cli: Cli) -> Outcome {
    let json = cli.json;
    private::only_ours();
    if !matches!(cli.command, None | Some(Command::Serve(_))) {
        // What a server would log of files and data is of interest here too; the rest is what was asked for.
        logs::start(&Log { level: "warn".to_owned(), ..Log::default() })?;
    }
    descriptors::raise();
    match cli.command {
        None => serve(&cli.serve),
        Some(Command::Serve(args)) => serve(&args),
        Some(Command::Verify(data)) => verify::run(&data, json),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Backup(args)) => backup::run(&args, json),
        Some(Command::Restore(args)) => restore::run(&args, json),
        Some(Command::Inspect { what }) => inspect::run(what, json),
        #[cfg(feature = "kafka")]
        Some(Command::Kafka { what }) => kafka::run(what, json),
        Some(Command::Bench(args)) => bench::run(&args, json),
        Some(Command::Size(args)) => size::run(&args, json),
        Some(Command::Tune { what }) => tune::run(&what, json),
        Some(Command::Config { what }) => config::run(what, json),
        #[cfg(feature = "scylla")]
        Some(Command::Schema { what: SchemaCommand::Cql { config } }) => schema(config.as_deref(), json),
        Some(Command::Key { what }) => key::run(what, json),
        Some(Command::Openapi) => {
            output::print(openapi::json())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Healthcheck { address }) => healthcheck::run(&address, json),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "holdfast", &mut script);
            output::print(String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn serve(args: &ServeArgs) -> Outcome {
    let loaded = settings::load_to_serve(args.config.as_deref(), settings::environment(), |loaded| apply(args, loaded))?;
    let settings = &loaded.settings;
    if settings.engine.memory_ahead_mb > 0 {
        memory::keep_freed();
    }
    logs::start(&settings.log)?;
    warn_of_strays();
    settings::warn_of_open_secrets(settings);
    use_small_pages();
    actix_web::rt::System::new().block_on(serve::serve(loaded, args.accept_clock))?;
    Ok(ExitCode::SUCCESS)
}

/// The settings that say where the data is. A directory that is named is one of the embedded journal.
fn settings_of(data: &DataArgs) -> Result<Settings, settings::Mistakes> {
    if let Some(dir) = &data.data_dir {
        let mut settings = Settings::default();
        settings.data.dir.clone_from(dir);
        return Ok(settings);
    }
    Ok(settings::load(data.config.as_deref(), settings::environment())?.settings)
}

/// Opens the data to look at it.
fn observe(data: &DataArgs) -> Result<Arc<dyn Journal>, Box<dyn std::error::Error>> {
    Ok(backend::observe(&settings_of(data)?)?)
}

#[cfg(feature = "scylla")]
fn schema(config: Option<&Path>, json: bool) -> Outcome {
    let settings = settings::load(config, settings::environment())?.settings;
    let options = backend::options(&settings)?;
    output::print(if json {
        serde_json::json!({"statements": cql::schema::statements(&options)}).to_string()
    } else {
        cql::schema::cql(&options)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The command line wins over file and environment.
fn apply(args: &ServeArgs, loaded: &mut Loaded) {
    let settings = &mut loaded.settings;
    if let Some(dir) = &args.data_dir {
        settings.data.dir.clone_from(dir);
    }
    if let Some(listen) = &args.listen {
        settings.server.listen.clone_from(listen);
    }
    if let Some(shards) = args.shards {
        settings.engine.shards = shards;
    }
    settings.data.demo = (settings.data.demo || args.demo) && !args.no_demo;
    settings.data.ephemeral |= args.ephemeral;
    settings.server.insecure |= args.insecure;
    let named = [
        (args.data_dir.is_some(), "data.dir", "--data-dir"),
        (args.listen.is_some(), "server.listen", "--listen"),
        (args.shards.is_some(), "engine.shards", "--shards"),
    ];
    named.into_iter().filter(|(given, ..)| *given).for_each(|(_, key, argument)| loaded.from_argument(key, argument));
}

/// In one line, as a system that makes such variables makes many.
fn warn_of_strays() {
    let strays = settings::strays(settings::environment().map(|(name, _)| name));
    if !strays.is_empty() {
        tracing::warn!("variables that mean nothing here: {}; settings are HOLDFAST__SECTION__KEY", strays.join(", "));
    }
}

/// Each order touches new memory, and a huge page is zeroed whole at its first touch. Measured at 256 connections on
/// virtual hardware: 31.6 µs of CPU an order without huge pages, 35.7 µs with them.
fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}
