//! Knobs of a running server: shown, planned, turned, and who turned them.
//!
//! Invariant: what is wanted and what is in force are told apart: the journal says the one, the process the other.

pub(super) mod apply;
pub(super) mod planning;

use super::placement::OperationBody;
use super::resource::resource;
use super::trail::TRAIL;
use super::{execute, page_limit};
use crate::http::body::Body;
use crate::http::body::json::{escaped, json};
use crate::http::caller::Caller;
use crate::http::parameters::Parameters;
use crate::http::problem::{FieldError, Problem};
use crate::http::reply;
use crate::settings::{change, values_of};
use crate::state::App;
use crate::tuning::plan::{Plan, Planned, Refused, Wanted};
use crate::wire::object::{each_once, read_from_objects};
use crate::wire::scalars;
use crate::wire::times::Rfc3339;
use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, rt};
use apply::{Applied, Asked, Done};
use holdfast_actors::placement::handover::Move;
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::Changed;
use holdfast_engine::ids::Label;
use holdfast_engine::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub(crate) use apply::stale;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/admin/v1/tuning").on(Method::GET, show))
        .service(resource("/admin/v1/tuning:plan").on(Method::POST, make_plan))
        .service(resource("/admin/v1/tuning:apply").on(Method::POST, carry_out))
        .service(resource("/admin/v1/changes").on(Method::GET, changes));
}

/// Settings that are to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"changes": {"engine.credits": 65536}})))]
pub struct PlanIn {
    /// `section.key` → value. Null goes back to what file, environment and arguments say.
    #[schema(value_type = BTreeMap<String, Value>)]
    #[serde(deserialize_with = "each_once")]
    changes: Wanted,
}

/// A plan to be carried out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"plan": "plan_00000000000000000000000000000000", "note": "for the sale of Friday"})))]
pub struct ApplyIn {
    plan: String,
    /// Why, for those who look at it later.
    #[schema(value_type = Option<scalars::Label>)]
    note: Option<String>,
}

read_from_objects! { PlanIn ApplyIn }

/// What would be so.
#[derive(Serialize, ToSchema)]
#[schema(as = TuningPlan)]
pub struct PlanBody {
    /// To be given to `tuning:apply`. It holds until something is changed.
    plan: String,
    /// What would be another value, and what is in force where the last change wants another. Nothing where everything is so already.
    diff: Vec<DiffBody>,
    /// Partitions that would go to another shard, were it carried out now.
    moves: Vec<MoveBody>,
    /// How long orders for a partition that moves would wait, in milliseconds, by what the last second was like.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pause_estimate_ms: Option<f64>,
    warnings: Vec<String>,
}

/// A partition that goes to another shard.
#[derive(Serialize, ToSchema)]
#[schema(as = PartitionMove)]
struct MoveBody {
    partition: u16,
    from: usize,
    to: usize,
}

/// One setting that becomes another.
#[derive(Serialize, ToSchema)]
#[schema(as = TuningDiff)]
struct DiffBody {
    key: &'static str,
    from: Value,
    to: Value,
    effect: &'static str,
}

/// What is in force now.
#[derive(Serialize, ToSchema)]
#[schema(as = TuningApplied)]
pub struct AppliedBody {
    diff: Vec<DiffBody>,
    /// As they are in the journal.
    changes: Vec<ChangeBody>,
    /// What moves the partitions, where the number of shards is another: `/admin/v1/operations/{id}` says how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    operation: Option<OperationBody>,
}

/// Every setting.
#[derive(Serialize, ToSchema)]
#[schema(as = Tuning)]
pub struct TuningBody {
    settings: Vec<SettingBody>,
}

/// One setting.
#[derive(Serialize, ToSchema)]
#[schema(as = TunedSetting)]
struct SettingBody {
    key: String,
    /// What is in force.
    value: Value,
    /// Where that comes from: a file with its line, a variable, an argument, a change, or `default`.
    origin: String,
    /// `live`: can be changed while the server runs. `restart`: by a restart only.
    change: &'static str,
    /// What the last change in the journal says, where that is not in force: the process ended before it was, or a variable or an argument
    /// wins. Apply it again, or change it to what is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    wanted: Option<String>,
}

/// The last changes.
#[derive(Serialize, ToSchema)]
#[schema(as = ChangeList)]
pub struct ChangeListBody {
    /// The newest first.
    items: Vec<ChangeBody>,
    /// For `before` of the next page; null at the end.
    #[schema(required = true)]
    next: Option<u64>,
}

/// One change.
#[derive(Serialize, ToSchema)]
#[schema(as = Change)]
struct ChangeBody {
    number: u64,
    #[schema(value_type = scalars::Time)]
    at: Rfc3339,
    /// The name of the API key. Null: there were none.
    #[schema(required = true)]
    who: Option<String>,
    /// The key of a setting, or what was done.
    what: String,
    #[schema(required = true)]
    before: Option<String>,
    /// Null: what file, environment and arguments say.
    #[schema(required = true)]
    after: Option<String>,
    #[schema(required = true)]
    note: Option<String>,
    request_id: String,
}

impl From<&Changed> for ChangeBody {
    fn from(Changed { at, change }: &Changed) -> Self {
        let text = |label: &Option<Label>| label.as_ref().map(ToString::to_string);
        Self {
            number: change.number,
            at: Rfc3339(*at),
            who: change.who.as_ref().map(ToString::to_string),
            what: change.what.to_string(),
            before: text(&change.before),
            after: text(&change.after),
            note: text(&change.note),
            request_id: change.request_id.to_string(),
        }
    }
}

impl From<&Planned> for DiffBody {
    fn from(Planned { knob, from, to, .. }: &Planned) -> Self {
        Self { key: knob.key, from: shown(from), to: shown(to), effect: knob.effect }
    }
}

impl From<&Move> for MoveBody {
    fn from(Move { partition, from, to }: &Move) -> Self {
        Self { partition: partition.0, from: *from, to: *to }
    }
}

/// A value as JSON.
fn shown(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Every setting with its value, its origin, and whether it can be changed while the server runs.
#[utoipa::path(get, path = "/admin/v1/tuning", tag = "admin", operation_id = "get_tuning",
    responses((status = 200, description = "The settings in force.", body = TuningBody)))]
pub async fn show(app: Data<App>) -> Result<HttpResponse, Problem> {
    let changes = recorded(&app, None, limits::MAX_CHANGES).await?;
    let in_force = planning::values(&app);
    let mut wanted = planning::wanted(&app, &in_force, &changes);
    let settings = values_of(&in_force.settings).into_iter().filter(|(key, _)| !key.starts_with("auth."));
    let settings = settings.map(|(key, value)| setting(&app, wanted.remove(key.as_str()), key, &value)).collect();
    Ok(HttpResponse::Ok().json(TuningBody { settings }))
}

fn setting(app: &App, wanted: Option<String>, key: String, effective: &toml::Value) -> SettingBody {
    let (value, origin, change) = (shown(effective), app.tuning.origin(&key), change(&key));
    SettingBody { key, value, origin, change, wanted }
}

/// Say what would be changed, and check it. Changes nothing.
#[utoipa::path(post, path = "/admin/v1/tuning:plan", tag = "admin", operation_id = "plan_tuning", request_body = PlanIn,
    responses((status = 200, description = "The plan.", body = PlanBody)))]
pub async fn make_plan(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    let PlanIn { changes } = json(&request, body)?;
    if !(1..=limits::MAX_CHANGES_AT_ONCE).contains(&changes.len()) {
        let message = format!("must name 1 to {} settings", limits::MAX_CHANGES_AT_ONCE);
        return Err(Problem::invalid(vec![FieldError::new("/changes", message)]));
    }
    let plan = planning::plan(&app, &changes).await.map_err(invalid)?;
    let moves: Vec<MoveBody> = planning::moves(&app, &plan).await?.iter().map(MoveBody::from).collect();
    let pause_estimate_ms = planning::pause_estimate_ms(&app, moves.len());
    let body = PlanBody { plan: plan.id.clone(), diff: diff(&plan), moves, pause_estimate_ms, warnings: plan.warnings.clone() };
    app.tuning.remember(plan);
    Ok(HttpResponse::Ok().json(body))
}

fn invalid(refused: Vec<Refused>) -> Problem {
    let error = |refused: &Refused| FieldError::new(format!("/changes/{}", escaped(&refused.key)), refused.message.clone());
    Problem::invalid(refused.iter().map(error).collect())
}

fn diff(plan: &Plan) -> Vec<DiffBody> {
    plan.changes.iter().map(DiffBody::from).collect()
}

/// Carry a plan out: journalled, kept beside the data, and then in force. Another number of shards has begun by then, and is an operation.
#[utoipa::path(post, path = "/admin/v1/tuning:apply", tag = "admin", operation_id = "apply_tuning", request_body = ApplyIn,
    responses((status = 200, description = "It is in force.", body = AppliedBody)))]
pub async fn carry_out(request: HttpRequest, app: Data<App>, caller: Caller, body: Body) -> Result<HttpResponse, Problem> {
    let ApplyIn { plan, note } = json(&request, body)?;
    let wrong = || Problem::invalid(vec![FieldError::new("/note", Label::rule())]);
    let note = note.map(|note| Label::new(&note).ok_or_else(wrong)).transpose()?;
    let request_id = caller.request_id.clone();
    let asked = Asked { who: caller.client, note, request_id: request_id.clone() };
    // By itself: whoever asked may go away in the middle.
    let applying = rt::spawn(async move { apply::apply(&app, &plan, asked).await });
    match applying.await.map_err(|error| super::internal(&error))?? {
        Applied::Done(Done { plan, recorded, operation }) => {
            let changes = recorded.iter().map(ChangeBody::from).collect();
            let operation = operation.map(OperationBody::from);
            Ok(HttpResponse::Ok().json(AppliedBody { diff: diff(&plan), changes, operation }))
        }
        Applied::Unknown => Ok(reply::unknown(&request_id, "/admin/v1/changes")),
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The `next` of the page before; nothing for the newest.
    before: Option<u64>,
    #[param(value_type = Option<scalars::PageLimit>)]
    limit: Option<usize>,
}

/// What operators changed, the newest first: the last 1,000 changes.
#[utoipa::path(get, path = "/admin/v1/changes", tag = "admin", operation_id = "list_changes", params(Page),
    responses((status = 200, description = "A page of changes.", body = ChangeListBody)))]
pub async fn changes(app: Data<App>, Parameters(page): Parameters<Page>) -> Result<HttpResponse, Problem> {
    let limit = page_limit(page.limit)?;
    let found = recorded(&app, page.before, limit + 1).await?;
    let items: Vec<ChangeBody> = found.iter().take(limit).map(ChangeBody::from).collect();
    let next = if found.len() > limit { items.last().map(|last| last.number) } else { None };
    Ok(HttpResponse::Ok().json(ChangeListBody { items, next }))
}

async fn recorded(app: &App, before: Option<u64>, limit: usize) -> Result<Vec<Changed>, Problem> {
    match reply::known(execute(app, Command::ListChanges { partition: TRAIL, before, limit }).await)? {
        Some((Answer::Changes(changes), _)) => Ok(changes),
        Some(_) | None => Err(reply::unavailable()),
    }
}
