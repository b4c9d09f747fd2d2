//! `holdfast verify`: the proof. Replays the journal and checks every invariant.

use super::{Outcome, output};
use crate::cli::DataArgs;
use crate::settings::Backend;
use crate::{backend, progress};
use holdfast_engine::time::Policy;
use holdfast_storage::Journal;
use holdfast_storage::audit::{Report, audit};
use holdfast_storage::backup::{BackupJournal, Manifest};
use std::sync::Arc;

pub(super) fn run(data: &DataArgs, json: bool) -> Outcome {
    let report = match verify(data) {
        Ok(report) => report,
        Err(error) if json => {
            return output::verdict(false, serde_json::json!({"ok": false, "error": error.to_string(), "violations": []}));
        }
        Err(error) => return Err(error),
    };
    output::verdict(report.violations.is_empty(), shown(&report, json))
}

/// The data, or a backup of it whose files are as they were written.
fn open(data: &DataArgs) -> Result<Arc<dyn Journal>, Box<dyn std::error::Error>> {
    let settings = super::settings_of(data)?;
    if !Manifest::is_in(&settings.data.dir) || settings.journal.backend != Backend::Embedded {
        return Ok(backend::observe(&settings)?);
    }
    let bar = progress::bar_of_bytes("comparing checksums");
    let backup = BackupJournal::check(&settings.data.dir, &mut |done, all| bar.at(done, all));
    bar.finish();
    Ok(Arc::new(backup?))
}

fn verify(data: &DataArgs) -> Result<Report, Box<dyn std::error::Error>> {
    let journal = open(data)?;
    let bar = progress::bar("verifying", true);
    let report = audit(&*journal, &Policy::default(), &mut |done, all| bar.at(done, all));
    bar.finish();
    let report = report?;
    if journal.remote() && !report.violations.is_empty() {
        tracing::warn!("a server that writes meanwhile can look like this: stop it, or ask it with POST /admin/v1/audit");
    }
    Ok(report)
}

fn shown(report: &Report, json: bool) -> String {
    let Report { events, orders, reservations, skus, purged, violations } = report;
    let ok = violations.is_empty();
    if json {
        let shown = serde_json::json!({"ok": ok, "events": events, "orders": orders, "reservations": reservations, "skus": skus,
            "purged_commits": purged, "violations": violations});
        return shown.to_string();
    }
    let counts = format!("{events} events, {orders} orders, {reservations} reservations, {skus} SKUs\n");
    let violations: String = violations.iter().map(|violation| format!("VIOLATION {violation}\n")).collect();
    let begins = match purged {
        0 => String::new(),
        purged => format!("{purged} commits before these were deleted: it begins with the oldest snapshots\n"),
    };
    [counts.as_str(), &begins, &violations, if ok { "every invariant holds" } else { "the data is not consistent" }].concat()
}
