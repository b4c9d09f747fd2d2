//! `loadtest peers`: Holdfast beside the bare handler and beside what a shop would build on Redis or PostgreSQL, all under the same load.
//!
//! Invariants: contenders take turns within a round, so that what a shared machine does to one it does to all, and only shares of the bare
//! handler of the same round are compared; after each load the stock and the orders of the store are added up, and one that does not add
//! up has no figure.

mod contender;
mod figures;
mod load;
mod process;

use clap::Args;
use contender::{ALL, Contender};
use figures::{Figure, table};
use std::path::{Path, PathBuf};

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Times that every contender is loaded.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Of one load.
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    #[arg(long, default_value_t = 256)]
    connections: u32,
    /// Connections of `holdfast-batch`. More than 68 batches of one client at once are refused.
    #[arg(long, default_value_t = 8)]
    batch_connections: u32,
    /// Reservations of one of its batches.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=4096))]
    items: u32,
    /// SKUs that orders are spread over; 1 is a hot SKU.
    #[arg(long, value_delimiter = ',', default_value = "1,10000")]
    skus: Vec<u32>,
    /// SKUs that Holdfast alone is loaded with besides; 0: none.
    #[arg(long, default_value_t = 1_000_000)]
    many: u32,
    /// Only these, by name (bare is always there).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the stores put their data: the disk that is measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Where holdfast, bare and peer are, if not beside this program.
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// A file for the figures of each load, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// One load of one contender.
struct Turn {
    contender: &'static Contender,
    skus: u32,
}

/// Runs all rounds. Returns the table.
///
/// # Errors
/// If wrk or the bare handler is missing, or a store does not add up.
pub(crate) fn run(options: &Options) -> Result<String, String> {
    load::is_there()?;
    let binaries = binaries(options)?;
    let turns = turns(options, &binaries);
    let mut figures = Vec::new();
    for round in 1..=options.rounds {
        for Turn { contender, skus } in &turns {
            let figure = measure(contender, *skus, round, options, &binaries)?;
            eprintln!("round {round}: {figure}");
            figures.push(figure);
        }
    }
    if let Some(path) = &options.out {
        figures::write(path, &figures)?;
    }
    Ok(table(&figures))
}

fn binaries(options: &Options) -> Result<PathBuf, String> {
    let own = || std::env::current_exe().map_err(|error| error.to_string());
    match &options.binaries {
        Some(dir) => Ok(dir.clone()),
        None => Ok(own()?.parent().map(Path::to_owned).unwrap_or_default()),
    }
}

/// Those that can run here, the bare handler first. What cannot is said.
fn turns(options: &Options, binaries: &Path) -> Vec<Turn> {
    let wanted = |contender: &&Contender| {
        let named = options.only.is_empty() || contender.name == "bare" || options.only.iter().any(|name| name == contender.name);
        named && contender.missing(binaries).inspect(|what| eprintln!("{} is left out: {what}", contender.name)).is_none()
    };
    let there: Vec<&'static Contender> = ALL.iter().filter(wanted).collect();
    let each = options.skus.iter().flat_map(|skus| there.iter().map(|contender| Turn { contender, skus: *skus }));
    let many = there.iter().filter(|contender| contender.name == "holdfast" && options.many > 0);
    each.chain(many.map(|contender| Turn { contender, skus: options.many })).collect()
}

fn measure(contender: &Contender, skus: u32, round: u32, options: &Options, binaries: &Path) -> Result<Figure, String> {
    let dir = tempfile::tempdir_in(&options.dir).map_err(|error| format!("a directory in {}: {error}", options.dir.display()))?;
    let running = contender.start(binaries, dir.path(), skus)?;
    let loaded = load::run(&running.url, contender.sends, skus, options)?;
    let stored = running.added_up(loaded.answered)?;
    Ok(Figure {
        contender: contender.name.to_owned(),
        skus,
        round,
        orders_per_second: loaded.rate,
        p99_ms: loaded.p99_ms,
        stored,
    })
}
