//! Backups of a running server, one at a time.
//!
//! Invariants: no shard waits for one; its thread runs only when nobody else wants to; it ends when the engine does, so that a
//! full disk or a stop never waits for it.

use super::resource::resource;
use super::{internal, live, whole_unread};
use crate::backups::{self, Error, Made, Plan, Watch};
use crate::http::problem::{Code, Problem};
use crate::state::{App, Live};
use crate::wire::scalars;
use crate::wire::times::Rfc3339;
use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig};
use holdfast_actors::clock;
use holdfast_engine::time::Timestamp;
use holdfast_storage::backup::{self, clear_unfinished};
use holdfast_storage::{Journal, background, private};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;
use utoipa::ToSchema;

pub fn configure(service: &mut ServiceConfig) {
    service.service(resource("/admin/v1/backups").on(Method::POST, make));
}

/// Free bytes beside the reserve that a backup leaves: the tables and the next file of the log may need them.
const ROOM_FOR_ORDERS: u64 = 128 << 20;

/// A backup that is whole and verified.
#[derive(Serialize, ToSchema)]
#[schema(as = Backup)]
pub struct BackupBody {
    /// Its directory in `backup.dir`.
    name: String,
    /// Every fact that was durable at this moment is in it.
    #[schema(value_type = scalars::Time)]
    made_at: Rfc3339,
    /// The last commit in it.
    commit: u64,
    events: u64,
    bytes: u64,
    /// Files beside its manifest.
    files: usize,
    verified: VerifiedBody,
}

/// What was looked at when the copy was verified.
#[derive(Serialize, ToSchema)]
#[schema(as = VerifiedBackup)]
pub struct VerifiedBody {
    orders: u64,
    reservations: u64,
    skus: u64,
}

/// Make a backup in `backup.dir` while orders go on.
///
/// Every order that was acknowledged before this request is in it. It is verified before the answer, which takes about as long as
/// `POST /admin/v1/audit`. `holdfast restore` makes a data directory of it. API keys and secrets are not in it.
#[utoipa::path(post, path = "/admin/v1/backups", tag = "admin", operation_id = "make_backup",
    responses((status = 201, description = "It is whole, verified and on disk.", body = BackupBody)))]
pub async fn make(app: Data<App>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Created().json(made(&app).await?))
}

async fn made(app: &Data<App>) -> Result<BackupBody, Problem> {
    let live = live(app)?;
    let dir = directory(app, &live)?;
    let turn = Turn::take(app)?;
    let (done, made) = oneshot::channel();
    let work = move || {
        background::yield_to_the_hot_path();
        // Whoever asked may have gone: the backup is made all the same.
        let _ = done.send(turn.run(live, &dir));
    };
    std::thread::Builder::new().name("backup".to_owned()).spawn(work).map_err(|error| internal(&error))?;
    made.await.map_err(|error| internal(&error))?
}

/// Where backups go, if this server makes any.
fn directory(app: &App, live: &Live) -> Result<PathBuf, Problem> {
    let refuse = |detail: &str| Err(Problem::new(Code::BackupUnavailable, detail));
    if live.journal.remote() {
        return refuse("the journal is on a cluster: back it up with the tools of the cluster, as snapshots of nodetool");
    }
    match &app.settings.backup.dir {
        dir if dir.as_os_str().is_empty() => refuse("backup.dir is not set: this server has no place for backups"),
        dir => Ok(dir.clone()),
    }
}

/// The right to make a backup: there is one.
struct Turn(Data<App>);

impl Turn {
    fn take(app: &Data<App>) -> Result<Self, Problem> {
        let taken = app.backing_up.swap(true, Ordering::SeqCst);
        (!taken).then(|| Self(app.clone())).ok_or_else(in_progress)
    }

    fn run(self, live: Arc<Live>, dir: &Path) -> Result<BackupBody, Problem> {
        let (app, journal, source) = (self.0.clone(), live.journal.clone(), Source::of(&self.0, &live));
        drop(live);
        let name = name(clock::wall(), &*journal);
        let watch = Arc::new(source);
        let made = make_in(&app, journal, dir, &name, &watch);
        match &made {
            Ok(made) => tracing::info!(backup = name, commit = made.manifest.tip.commit, "backup made and verified"),
            Err(error) => tracing::warn!(%error, "no backup was made"),
        }
        made.map(|made| body(name, &made)).map_err(|error| problem(&app, &error))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.backing_up.store(false, Ordering::SeqCst);
    }
}

fn make_in(app: &App, journal: Arc<dyn Journal>, dir: &Path, name: &str, watch: &Arc<Source>) -> Result<Made, Error> {
    let unusable = |reason| backup::Error::File { path: dir.display().to_string(), reason };
    private::directory(dir).map_err(unusable)?;
    clear_unfinished(dir)?;
    let data = &app.settings.data;
    let data_dir = (!data.ephemeral).then_some(data.dir.as_path());
    let reserve = data.reserve_bytes().saturating_add(ROOM_FOR_ORDERS);
    let plan = Plan { to: &dir.join(name), data_dir, reserve, with_secrets: false, now: clock::wall() };
    backups::make(journal, &plan, &app.tuned.load().policy(), watch)
}

/// The moment and the last commit: names sort as backups were made.
fn name(now: Timestamp, journal: &dyn Journal) -> String {
    let time = i64::try_from(now.millis()).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let time = time.map(|time| time.strftime("%Y%m%dT%H%M%S.%3fZ").to_string());
    let commits: u64 = journal.logs().into_iter().map(|log| journal.end(log)).sum();
    format!("{}-{commits}", time.unwrap_or_else(|| now.millis().to_string()))
}

fn body(name: String, Made { manifest, report }: &Made) -> BackupBody {
    BackupBody {
        name,
        made_at: Rfc3339(manifest.made_at),
        commit: manifest.tip.commit,
        events: manifest.events,
        bytes: manifest.bytes(),
        files: manifest.files.len(),
        verified: VerifiedBody { orders: report.orders, reservations: report.reservations, skus: report.skus },
    }
}

/// The engine whose journal is read: when it ends, for whatever reason, so does what reads it.
pub(super) struct Source {
    app: Data<App>,
    journal: Weak<dyn Journal>,
}

impl Source {
    pub(super) fn of(app: &Data<App>, live: &Live) -> Self {
        Self { app: app.clone(), journal: Arc::downgrade(&live.journal) }
    }

    pub(super) fn journal(&self) -> Option<Arc<dyn Journal>> {
        self.journal.upgrade()
    }
}

impl Watch for Source {
    fn copied(&self, _: u64, _: u64) {}

    fn verified(&self, _: u64, _: u64) {}

    fn stops(&self) -> bool {
        let live = self.app.live.load();
        let same = live.as_ref().is_some_and(|live| std::ptr::addr_eq(Arc::as_ptr(&live.journal), self.journal.as_ptr()));
        !same || self.app.is_closing()
    }
}

fn in_progress() -> Problem {
    Problem::new(Code::BackupInProgress, "another backup is being made")
}

fn problem(app: &App, error: &Error) -> Problem {
    match error {
        Error::Backup(backup::Error::NoRoom(_)) => {
            let detail = "there is no room for it beside what orders may need: nothing was left behind";
            Problem::new(Code::InsufficientStorage, detail)
        }
        Error::Backup(backup::Error::InProgress(_)) => in_progress(),
        Error::Backup(backup::Error::Stopped) if app.is_closing() => {
            Problem::new(Code::ShuttingDown, "the server stops: no backup was made")
        }
        Error::Backup(backup::Error::Stopped) => {
            Problem::new(Code::DurabilityUnavailable, "the engine stopped: no backup was made")
        }
        Error::Backup(backup::Error::Journal(error)) => whole_unread(error),
        Error::Backup(_) | Error::Inconsistent(_) => Problem::new(Code::Internal, format!("no backup was made: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    /// It follows no cursor that could be too old: whoever asks again has it.
    #[actix_web::test]
    async fn a_backup_whose_beginning_is_deleted_time_and_again_is_to_be_asked_for_again() {
        let app = App::without_engine(Settings::default());
        let purged = || holdfast_storage::Error::Purged { first: 7 };
        let refused = problem(&app, &Error::Backup(backup::Error::Journal(purged())));
        assert_eq!(refused.code, Code::DurabilityUnavailable);
        assert_eq!(super::super::unread(&purged()).code, Code::CursorExpired, "a reader of events is told something else");
    }
}
