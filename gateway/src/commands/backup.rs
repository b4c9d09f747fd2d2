//! `holdfast backup`: a backup of data that no server uses.

use super::{Outcome, output};
use crate::backend;
use crate::backups::{self, Made, Plan, Watch};
use crate::cli::BackupArgs;
use crate::progress::{self, Bar};
use crate::settings::Backend;
use crate::wire::times::Rfc3339;
use holdfast_actors::clock;
use holdfast_engine::time::Policy;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

pub(super) const ON_A_CLUSTER: &str = "the journal is on a cluster\n  back it up with the tools of the cluster: every node at one \
     moment, as `nodetool snapshot` does, and restore every table of the keyspace from one snapshot";

pub(super) fn run(args: &BackupArgs, as_json: bool) -> Outcome {
    let settings = super::settings_of(&args.data)?;
    if settings.journal.backend != Backend::Embedded {
        return Err(ON_A_CLUSTER.into());
    }
    let journal = backend::observe(&settings)?;
    let dir = settings.data.dir.as_path();
    let plan = Plan { to: &args.to, data_dir: Some(dir), reserve: 0, with_secrets: args.with_secrets, now: clock::wall() };
    let watch = Arc::new(Bars { copied: progress::bar("copying", true), verified: progress::bar("verifying", true) });
    let made = backups::make(journal, &plan, &Policy::default(), &watch);
    watch.finish();
    output::print(shown(&args.to, &made?, as_json))?;
    Ok(ExitCode::SUCCESS)
}

/// On the terminal of whoever waits.
struct Bars {
    copied: Bar,
    verified: Bar,
}

impl Bars {
    fn finish(&self) {
        self.copied.finish();
        self.verified.finish();
    }
}

impl Watch for Bars {
    fn copied(&self, done: u64, all: u64) {
        self.copied.at(done, all);
    }

    fn verified(&self, done: u64, all: u64) {
        self.copied.finish();
        self.verified.at(done, all);
    }

    fn stops(&self) -> bool {
        false
    }
}

fn shown(to: &Path, made: &Made, as_json: bool) -> String {
    let Made { manifest, report } = made;
    let (commit, events, secrets) = (manifest.tip.commit, manifest.events, manifest.secrets);
    let (to, bytes) = (to.display(), manifest.bytes());
    if as_json {
        let shown: Value = json!({"backup": to.to_string(), "made_at": Rfc3339(manifest.made_at), "commit": commit, "events": events,
            "bytes": bytes, "secrets": secrets, "orders": report.orders, "reservations": report.reservations, "skus": report.skus});
        return shown.to_string();
    }
    let left_out = if secrets { "" } else { "\nAPI keys and secrets are not in it: --with-secrets takes them along" };
    format!("{to}: {events} events up to commit {commit}, {bytes} bytes, verified{left_out}")
}
