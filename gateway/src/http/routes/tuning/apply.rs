//! How a plan is carried out: its facts into the journal, its values beside the data, and then it acts.
//!
//! Invariant: a process that is killed on the way leaves facts without effect, never an effect without its fact.

use super::super::placement::refusal;
use super::super::trail::TRAIL;
use super::super::{execute_within, live};
use crate::http::problem::{Code, Problem};
use crate::http::reply;
use crate::settings::{Entry, Settings, write_entries};
use crate::state::App;
use crate::telemetry::logs;
use crate::tuning::plan::{Plan, Planned};
use crate::tuning::text;
use crate::wire::times::Rfc3339;
use actix_web::web::{self, Data};
use holdfast_actors::placement::operations::Operation;
use holdfast_actors::{Handle, Reserved};
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::{Change, Changed};
use holdfast_engine::ids::{KeyName, Label, RequestId};
use std::sync::Arc;

/// Who asks for a change.
#[derive(Clone, Debug)]
pub(in crate::http::routes) struct Asked {
    pub(in crate::http::routes) who: Option<KeyName>,
    pub(in crate::http::routes) note: Option<Label>,
    pub(in crate::http::routes) request_id: RequestId,
}

/// What became of a plan.
#[expect(clippy::large_enum_variant, reason = "it is made once for each plan that is applied")]
pub(in crate::http::routes) enum Applied {
    Done(Done),
    /// Nobody knows yet whether it is in the journal; it is not in force.
    Unknown,
}

/// A plan that is in force.
pub(in crate::http::routes) struct Done {
    pub(in crate::http::routes) plan: Plan,
    /// In the journal.
    pub(in crate::http::routes) recorded: Vec<Changed>,
    /// What brings another number of shards about.
    pub(in crate::http::routes) operation: Option<Operation>,
}

/// Carries a plan out.
///
/// # Errors
/// `plan_stale`, `operation_running`, or why it is not in force.
pub(in crate::http::routes) async fn apply(app: &Data<App>, plan: &str, asked: Asked) -> Result<Applied, Problem> {
    let tuning = &app.tuning;
    let _turn = tuning.turn.lock().await;
    let plan = tuning.plan(plan).ok_or_else(stale)?;
    if plan.changes.is_empty() {
        return Ok(Applied::Done(Done { plan, recorded: Vec::new(), operation: None }));
    }
    // Before the fact: what cannot begin is not journalled.
    let begins = reserve(app, &plan)?;
    let changes = plan.changes.iter().map(|planned| change(planned, &asked)).collect();
    let command = Command::RecordChanges { partition: TRAIL, changes };
    let Some((Answer::Changes(recorded), _)) = reply::known(execute_within(app, command).await)? else {
        return Ok(Applied::Unknown);
    };
    let entries = merged(tuning.entries(), &plan, &recorded);
    write(app, entries.clone()).await?;
    act(app, &plan.settings);
    // Last: a plan that is made meanwhile is of the values of before, and stale.
    tuning.carried_out(&plan, entries);
    metrics::counter!("holdfast_operator_changes_total").increment(recorded.len() as u64);
    for Changed { change, .. } in &recorded {
        tracing::info!(what = %change.what, number = change.number, "changed by an operator");
    }
    let operation = begin(begins).await?;
    Ok(Applied::Done(Done { plan, recorded, operation }))
}

/// The turn of another number of shards, where the plan says one.
fn reserve(app: &App, plan: &Plan) -> Result<Option<(Handle, Reserved)>, Problem> {
    let Some(shards) = plan.shards() else { return Ok(None) };
    let handle = live(app)?.handle.clone();
    let reserved = handle.reserve_reshard(shards).map_err(|refused| refusal(refused, ""))?;
    Ok(Some((handle, reserved)))
}

async fn begin(reserved: Option<(Handle, Reserved)>) -> Result<Option<Operation>, Problem> {
    let Some((handle, reserved)) = reserved else { return Ok(None) };
    handle.begin_reshard(reserved).await.map(Some).map_err(|refused| {
        let detail = format!("the change is in the journal and counts from the next start on: {refused}");
        Problem::new(Code::Internal, detail)
    })
}

fn change(planned: &Planned, asked: &Asked) -> Change {
    let Asked { who, note, request_id } = asked.clone();
    let what = Label::new(planned.knob.key).expect("the key of a setting is a label");
    let after = if planned.reset { None } else { Label::new(&text(&planned.to)) };
    Change { number: 0, who, what, before: Label::new(&text(&planned.from)), after, note, request_id }
}

/// The entries with those of the plan in their places.
fn merged(mut entries: Vec<Entry>, plan: &Plan, recorded: &[Changed]) -> Vec<Entry> {
    for (planned, Changed { at, change }) in plan.changes.iter().zip(recorded) {
        entries.retain(|entry| entry.key != planned.knob.key);
        if !planned.reset {
            let (key, value) = (planned.knob.key.to_owned(), planned.to.clone());
            let who = change.who.as_ref().map(ToString::to_string);
            entries.push(Entry { key, value, number: change.number, who, at: Rfc3339(*at).to_string() });
        }
    }
    entries
}

/// Beside the data, if there is any.
async fn write(app: &App, entries: Vec<Entry>) -> Result<(), Problem> {
    let Some(dir) = app.tuning.dir.clone() else { return Ok(()) };
    let written = web::block(move || write_entries(&dir, &entries)).await.map_err(std::io::Error::other);
    written.flatten().map_err(|error| {
        tracing::error!(%error, "a change is in the journal and not in force");
        Problem::new(Code::Internal, "the change is in the journal, could not be written beside the data, and is not in force")
    })
}

/// Lets the values count.
fn act(app: &App, settings: &Settings) {
    app.tuned.store(Arc::new(settings.clone()));
    logs::set_level(&settings.log);
    if let Some(live) = &*app.live.load() {
        live.handle.tune(&settings.knobs());
    }
}

pub(crate) fn stale() -> Problem {
    let detail = "there is no such plan, or it was carried out, or something was changed since it was made: nothing was executed. Plan again; \
                  GET /admin/v1/changes says what was done";
    Problem::new(Code::PlanStale, detail)
}
