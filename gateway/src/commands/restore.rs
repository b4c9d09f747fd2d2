//! `holdfast restore`: a data directory from a backup, with all that a start would otherwise have to make again.
//!
//! Invariant: it says that it is done once the directory verifies and opens; whatever fails before leaves the directory empty.

use super::{Outcome, output};
use crate::cli::RestoreArgs;
use crate::keys::MARK;
use crate::progress;
use crate::settings::{Backend, Settings};
use crate::wire::times::Rfc3339;
use holdfast_actors::clock;
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use holdfast_engine::time::Policy;
use holdfast_storage::audit::{Report, audit};
use holdfast_storage::backup::{self, Manifest, Restoration};
use holdfast_storage::rows::{self, Projector};
use holdfast_storage::{Error, Journal, LogId, Snapshot, background, recovery};
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;

type Failure = Box<dyn std::error::Error>;

pub(super) fn run(args: &RestoreArgs, as_json: bool) -> Outcome {
    let settings = super::settings_of(&args.data)?;
    if settings.journal.backend != Backend::Embedded {
        return Err(super::backup::ON_A_CLUSTER.into());
    }
    let restored = restore(args, &settings)?;
    output::print(restored.shown(&settings, as_json))?;
    Ok(ExitCode::SUCCESS)
}

/// What was put together.
struct Restored {
    manifest: Manifest,
    report: Report,
    next_number: u64,
}

fn restore(args: &RestoreArgs, settings: &Settings) -> Result<Restored, Failure> {
    let (dir, policy) = (&settings.data.dir, Policy::default());
    let bar = progress::bar_of_bytes("copying");
    let restoration = Restoration::begin(&args.from, dir, settings.data.reserve_bytes(), &mut |done, all| bar.at(done, all));
    bar.finish();
    let restoration = restoration?;
    let journal = restoration.journal();
    let next_number = fill_tables(&journal, &restoration.manifest, &policy)?;
    let bar = progress::bar("verifying", true);
    let report = audit(&*journal, &policy, &mut |done, all| bar.at(done, all));
    bar.finish();
    let report = report?;
    if let Some(first) = report.violations.first() {
        return Err(format!("what was restored does not verify, so it was thrown away: {first}\n  restore another backup").into());
    }
    drop(journal);
    Ok(Restored { manifest: restoration.finish()?, report, next_number })
}

/// What follows from the log, and the gap in the numbers.
fn fill_tables(journal: &Arc<dyn Journal>, manifest: &Manifest, policy: &Policy) -> Result<u64, Failure> {
    let bar = progress::bar("replaying", true);
    let ids: Vec<PartitionId> = journal.partitions().all().collect();
    let partitions = recovery::restore(&**journal, &ids, policy, &mut |done, all| bar.at(done, all));
    bar.finish();
    let mut partitions = partitions?;
    let next = backup::leave_out_numbers(&**journal, &mut partitions, manifest.made_at, clock::wall())?;
    partitions.iter().try_for_each(|partition| save(&**journal, partition))?;
    project_movements(journal)?;
    Ok(next)
}

fn save(journal: &dyn Journal, partition: &Partition) -> Result<(), Error> {
    let after = journal.end(LogId(0));
    let snapshot = Snapshot { partition: partition.id, seq: partition.seq(), after, state: partition.snapshot() };
    rows::save_snapshot(journal, &snapshot)
}

fn project_movements(journal: &Arc<dyn Journal>) -> Result<(), Failure> {
    let (projector, thread) = Projector::start(journal.clone(), rows::Options::default(), Box::new(|_| {}))?;
    let (flushed, done) = mpsc::channel();
    projector.flush(Box::new(move |outcome| drop(flushed.send(outcome))));
    let outcome = done.recv().unwrap_or_else(|_| Err(Arc::new(Error::Stopped)));
    drop(projector);
    background::join(thread);
    outcome.map_err(|error| error.to_string().into())
}

impl Restored {
    fn shown(&self, settings: &Settings, as_json: bool) -> String {
        let Self { manifest, report, next_number } = self;
        let (dir, events, secrets) = (settings.data.dir.display().to_string(), manifest.events, manifest.secrets);
        if as_json {
            let shown = json!({"data_dir": dir, "made_at": Rfc3339(manifest.made_at), "commit": manifest.tip.commit,
                "events": events, "orders": report.orders, "reservations": report.reservations, "skus": report.skus,
                "next_order_number": next_number, "secrets": secrets});
            return shown.to_string();
        }
        let keys = if !secrets && settings.data.dir.join(MARK).exists() {
            "\nThere have been API keys, and they are not in the backup: no server starts before they are made again, under the same \
             names and scopes: `holdfast key new --name … --scope …`"
        } else {
            ""
        };
        let Report { orders, reservations, skus, .. } = report;
        format!(
            "{dir}: {events} events, {orders} orders, {reservations} reservations, {skus} SKUs, verified\n\
             Numbers of orders go on from {next_number}.{keys}"
        )
    }
}
