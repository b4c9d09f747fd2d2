//! Settings on the console: a change is planned on one page and confirmed on the next, as the API does it in two calls.
//!
//! Invariant: what is changed was shown as a plan, and its name was written by who changes it.

use super::door::{self, Entrance, field};
use super::respond;
use crate::console::layout::Around;
use crate::console::pages::Page;
use crate::console::pages::settings::{self as pages, Refused, Shown};
use crate::console::session::Operator;
use crate::http::body::Body;
use crate::http::parameters::Parameters;
use crate::http::problem::{FieldError, Problem};
use crate::http::reply::lost;
use crate::http::request_id::request_id;
use crate::http::routes::internal;
use crate::http::routes::tuning::apply::{Applied, Asked, Done, apply as carry_out, stale};
use crate::http::routes::tuning::planning;
use crate::settings::KNOBS;
use crate::state::App;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, rt};
use holdfast_engine::ids::Label;
use serde_json::Value;
use std::collections::BTreeMap;

fn around<'a>(title: &'a str, operator: &'a Operator) -> Around<'a> {
    Around { page: Page::Settings, title, operator: Some(operator), live: None }
}

/// What the form has when it is opened: an adviser may have proposed it.
#[derive(serde::Deserialize)]
pub(super) struct Proposed {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

pub(super) async fn page(request: HttpRequest, app: Data<App>, proposed: Parameters<Proposed>) -> HttpResponse {
    let Parameters(Proposed { key, value }) = proposed;
    match door::enter(&request, &app) {
        Entrance::Open(operator) => shown(&app, &operator, StatusCode::OK, Refused { key: &key, value: &value, why: None }),
        Entrance::Closed(response) => response,
    }
}

fn shown(app: &App, operator: &Operator, status: StatusCode, refused: Refused<'_>) -> HttpResponse {
    let settings = planning::values(app).settings;
    let all: Vec<Shown> = KNOBS.iter().map(|knob| Shown::of(knob, &settings, app.tuning.origin(knob.key))).collect();
    respond::with_status(status, &around("Settings", operator), &pages::page(&all, operator, refused))
}

/// Says what a change would do. It changes nothing.
pub(super) async fn plan(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    let operator = door::admin(&request, &app)?;
    let body = body.0?;
    let [key, value] = ["key", "value"].map(|name| field(&body, name).unwrap_or_default());
    let wanted = BTreeMap::from([(key.clone(), read(value.trim()))]);
    Ok(match planning::plan(&app, &wanted).await {
        Ok(plan) => {
            let contents = pages::plan(&plan, planning::moves(&app, &plan).await?.len());
            app.tuning.remember(plan);
            respond::page(&around("Change a setting", &operator), &contents)
        }
        Err(refused) => {
            let why = refused.iter().map(|refused| format!("{} {}", refused.key, refused.message)).collect::<Vec<_>>().join("; ");
            shown(&app, &operator, StatusCode::BAD_REQUEST, Refused { key: &key, value: &value, why: Some(&why) })
        }
    })
}

/// As JSON has it, or else as a text. Nothing goes back to what is there without a change.
fn read(value: &str) -> Value {
    if value.is_empty() { Value::Null } else { serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)) }
}

pub(super) async fn apply(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    let operator = door::admin(&request, &app)?;
    let body = body.0?;
    let [id, confirm] = ["plan", "confirm"].map(|name| field(&body, name).unwrap_or_default().trim().to_owned());
    let plan = app.tuning.plan(&id).ok_or_else(stale)?;
    if plan.changes.first().is_some_and(|planned| planned.knob.key != confirm) {
        let message = "must be the name of the setting that is changed".to_owned();
        return Err(Problem::invalid(vec![FieldError::new("/confirm", message)]));
    }
    let done = applied(&request, app, operator, &body).await?;
    // There it is seen how far they are.
    let next = if done.operation.is_some() { Page::Shards } else { Page::Changes };
    Ok(respond::see_other(next.path()))
}

/// Carries out the plan that a form names.
pub(super) async fn applied(request: &HttpRequest, app: Data<App>, operator: Operator, form: &[u8]) -> Result<Done, Problem> {
    let [id, note] = ["plan", "note"].map(|name| field(form, name).unwrap_or_default().trim().to_owned());
    let wrong = || Problem::invalid(vec![FieldError::new("/note", Label::rule())]);
    let note = (!note.is_empty()).then(|| Label::new(&note).ok_or_else(wrong)).transpose()?;
    let asked = Asked { who: operator.name, note, request_id: request_id(request) };
    // By itself: whoever asked may go away in the middle.
    let applying = rt::spawn(async move { carry_out(&app, &id, asked).await });
    match applying.await.map_err(|error| internal(&error))?? {
        Applied::Done(done) => Ok(done),
        Applied::Unknown => Err(lost()),
    }
}
