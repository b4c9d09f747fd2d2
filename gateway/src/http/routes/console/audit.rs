//! Starts an audit that goes on without whoever asked for it.

use super::{door, respond};
use crate::console::pages::Page;
use crate::http::problem::Problem;
use crate::http::request_id::request_id;
use crate::http::routes::audits;
use crate::http::routes::trail::{self, Begun};
use crate::state::App;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use holdfast_actors::clock;
use holdfast_engine::ids::KeyName;

pub(super) async fn start(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Problem> {
    let operator = door::admin(&request, &app)?;
    let turn = audits::Turn::take()?;
    trail::record(&app, (operator.name.clone(), request_id(&request)), Begun { what: audits::BEGUN, after: None }).await;
    let begun = clock::wall();
    let progress = app.console.audits.begin(begun);
    let asked = audits::begin(&app, turn, move |done, all| progress.is(done, all));
    let report = asked.inspect_err(|problem| app.console.audits.end(begun, clock::wall(), Err(problem.detail.clone())))?;
    tracing::info!(key = operator.name.as_ref().map(KeyName::as_str), "console: an audit was started");
    actix_web::rt::spawn(async move {
        let outcome = audits::found(report).await.map_err(|problem| problem.detail);
        app.console.audits.end(begun, clock::wall(), outcome);
    });
    Ok(respond::see_other(Page::Audit.path()))
}
