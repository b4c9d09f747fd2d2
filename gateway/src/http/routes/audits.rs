//! Audits of a running server: everything is replayed beside the engine.
//!
//! Invariants: there is one at a time, as each folds all data once more in memory; its thread runs only when nobody else wants to; it
//! ends when whoever asked for it has gone, or the engine has.

use super::backups::Source;
use super::resource::resource;
use super::trail::{self, Begun};
use super::{internal, live, whole_unread};
use crate::backups::Watch;
use crate::http::caller::Caller;
use crate::http::problem::{Code, Problem};
use crate::state::App;
use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig};
use holdfast_storage::audit::{Report, audit};
use holdfast_storage::stoppable::Stoppable;
use holdfast_storage::{Error, background};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;
use utoipa::ToSchema;

/// As the trail of operators names it.
pub(super) const BEGUN: &str = "audit";

/// Violations that are named: what is wrong a million times is seen from the first of them.
const NAMED: usize = 1_000;

pub fn configure(service: &mut ServiceConfig) {
    service.service(resource("/admin/v1/audit").on(Method::POST, run_audit));
}

/// What an audit found.
#[derive(Serialize, ToSchema)]
struct Audit {
    /// Every invariant holds.
    ok: bool,
    checked: Checked,
    /// The first of them.
    violations: Vec<String>,
}

/// How much an audit looked at.
#[derive(Serialize, ToSchema)]
struct Checked {
    skus: u64,
    orders: u64,
    reservations: u64,
    events: u64,
}

impl From<Report> for Audit {
    fn from(Report { events, orders, reservations, skus, mut violations, .. }: Report) -> Self {
        violations.truncate(NAMED);
        Self { ok: violations.is_empty(), checked: Checked { skus, orders, reservations, events }, violations }
    }
}

/// Replays the whole journal beside the running engine and checks every invariant. There is one audit at a time; it ends when its
/// connection does.
#[utoipa::path(post, path = "/admin/v1/audit", tag = "admin", operation_id = "run_audit",
    responses((status = 200, description = "What was found.", body = Audit)))]
pub async fn run_audit(app: Data<App>, caller: Caller) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(Audit::from(audited(&app, caller).await?)))
}

/// The right to audit.
pub(super) struct Turn(());

static TAKEN: AtomicBool = AtomicBool::new(false);

impl Turn {
    /// # Errors
    /// `overloaded` while somebody else has it.
    pub(super) fn take() -> Result<Self, Problem> {
        let busy = || Problem::new(Code::Overloaded, "another audit runs: there is one at a time");
        if TAKEN.swap(true, Ordering::SeqCst) { Err(busy()) } else { Ok(Self(())) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::SeqCst);
    }
}

async fn audited(app: &Data<App>, Caller { client, request_id, .. }: Caller) -> Result<Report, Problem> {
    live(app)?;
    let turn = Turn::take()?;
    trail::record(app, (client, request_id), Begun { what: BEGUN, after: None }).await;
    found(begin(app, turn, |_, _| {})?).await
}

/// What an audit that runs will have found. It ends early when this is dropped.
pub(super) type Asked = oneshot::Receiver<Result<Report, Error>>;

/// # Errors
/// The problem with an audit that did not come to its end.
pub(super) async fn found(asked: Asked) -> Result<Report, Problem> {
    asked.await.map_err(|error| internal(&error))?.map_err(|error| whole_unread(&error))
}

/// Begins an audit. `progress` hears of each commit, and how many there are.
///
/// # Errors
/// If there is no engine, or the system has no thread.
pub(super) fn begin(app: &Data<App>, turn: Turn, progress: impl Fn(u64, u64) + Send + 'static) -> Result<Asked, Problem> {
    let (source, policy) = (Source::of(app, &*live(app)?), app.tuned.load().policy());
    let (done, report) = oneshot::channel::<Result<Report, Error>>();
    let done = Arc::new(done);
    let work = move || {
        background::yield_to_the_hot_path();
        let asked = done.clone();
        let found = source.journal().ok_or(Error::Stopped);
        let report = found.and_then(|journal| {
            let journal = Stoppable::new(journal, move || asked.is_closed() || source.stops());
            audit(&journal, &policy, &mut |done, all| progress(done, all))
        });
        drop(turn);
        // Whoever asked may have gone.
        if let Some(done) = Arc::into_inner(done) {
            let _ = done.send(report);
        }
    };
    std::thread::Builder::new().name("audit".to_owned()).spawn(work).map_err(|error| internal(&error))?;
    Ok(report)
}
