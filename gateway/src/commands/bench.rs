//! `holdfast bench`: what the engine and its disk take without HTTP, in this process, on a directory that is gone afterwards.
//!
//! Invariants: what is counted was answered, and answered means on disk; each load ends with the audit that `holdfast verify` makes, and
//! has no figure if that finds anything.

mod floor;

use super::load::{self, Load, Measured, settings_at};
use super::{Outcome, output, table};
use crate::cli::{BenchArgs, BenchWork};
use crate::progress;
use crate::settings::Settings;
use crate::wire::figures::grouped;
use floor::Floor;
use holdfast_engine::time::Policy;
use holdfast_storage::audit::audit;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// One load, with what the disk takes of the same bytes in the same minute.
struct Figure {
    work: BenchWork,
    skus: u64,
    measured: Measured,
    floor: Floor,
}

/// # Errors
/// If the directory cannot be written, the engine does not start, or what it wrote does not add up.
pub(super) fn run(args: &BenchArgs, as_json: bool) -> Outcome {
    let works = if args.work.is_empty() { BenchWork::ALL.to_vec() } else { args.work.clone() };
    let loads = works.iter().flat_map(|work| args.skus.iter().map(|skus| (*work, *skus)));
    let figures = loads.map(|(work, skus)| figure(args, work, skus)).collect::<Result<Vec<_>, _>>()?;
    output::print(if as_json { json_of(args, &figures) } else { text(args, &figures) })?;
    Ok(ExitCode::SUCCESS)
}

fn figure(args: &BenchArgs, work: BenchWork, skus: u64) -> Result<Figure, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(&args.dir).map_err(|error| format!("{}: {error}", args.dir.display()))?;
    let (windows, time) = ([args.batch as usize], Duration::from_secs(args.seconds));
    let load = Load { work, skus, shards: args.shards, windows: &windows, time };
    let settings = settings_at(&dir.path().join("data"));
    let mut measured = actix_web::rt::System::new().block_on(load::run(&load, &settings))?;
    let measured = measured.pop().ok_or("nothing was measured")?;
    verify(&settings)?;
    let floor = Floor::of(dir.path(), measured.bytes, measured.commits)?;
    Ok(Figure { work, skus, measured, floor })
}

fn verify(settings: &Settings) -> Result<(), Box<dyn std::error::Error>> {
    let journal = load::let_go(settings)?;
    let bar = progress::bar("verifying", true);
    let report = audit(&*journal, &Policy::default(), &mut |done, all| bar.at(done, all));
    bar.finish();
    match report?.violations.first() {
        Some(first) => Err(format!("what was written does not add up, so there is no figure: {first}").into()),
        None => Ok(()),
    }
}

impl Figure {
    /// Time that the same bytes take in as many synced writes, of the time of the engine.
    fn of_the_disk(&self) -> f64 {
        self.floor.seconds / self.measured.seconds
    }
}

fn text(args: &BenchArgs, figures: &[Figure]) -> String {
    let row = |figure: &Figure| {
        let Figure { work, skus, measured, .. } = figure;
        let [p50, p99] = [50, 99].map(|percent| format!("{:.1}", f64::from(measured.percentile(percent)) / 1000.0));
        let size = measured.commits.max(1);
        vec![
            work.name().to_owned(),
            grouped(*skus),
            grouped(measured.per_second()),
            p50,
            p99,
            grouped(measured.done / size),
            format!("{:.2}", figure.of_the_disk()),
        ]
    };
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    let headings = ["WORK", "SKUS", "PER SECOND", "P50 MS", "P99 MS", "A COMMIT", "OF THE DISK"];
    format!(
        "{}\n\n{} in hand at once, each answered when it is on disk; every load was audited and adds up.\nOF THE DISK: the time in which the same bytes are written in as many synced writes, of the time it took.",
        table::lines(&headings, &rows),
        grouped(args.batch.into())
    )
}

fn json_of(args: &BenchArgs, figures: &[Figure]) -> String {
    let one = |figure: &Figure| {
        let Figure { work, skus, measured, floor } = figure;
        json!({"work": work.name(), "skus": skus, "done": measured.done, "seconds": measured.seconds,
            "per_second": measured.per_second(), "p50_us": measured.percentile(50), "p99_us": measured.percentile(99),
            "commits": measured.commits, "bytes": measured.bytes, "disk_seconds": floor.seconds, "of_the_disk": figure.of_the_disk()})
    };
    json!({"batch": args.batch, "loads": figures.iter().map(one).collect::<Vec<_>>()}).to_string()
}
