//! The console over HTTP: pages, the files they load, and what their forms ask for.
//!
//! Invariants: who may look has the role of a viewer or an admin, by a session or because no keys are needed; who changes something is an
//! admin, and a page of ours asked for it ([`door`]). Every answer carries the policy of its pages.

mod audit;
mod changes;
mod door;
mod live;
mod orders;
mod respond;
mod settings;
mod shards;
mod sight;

pub use live::tick;

use super::resource::resource;
use crate::console::layout::Around;
use crate::console::pages::{Live, Page, audit as audit_page, overview};
use crate::http::problem::{Code, Problem};
use crate::state::App;
use actix_web::http::Method;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use door::Entrance;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/console").on(Method::GET, overview))
        .service(resource("/console/shards").on(Method::GET, shards::page))
        .service(resource("/console/shards/move").on(Method::POST, shards::relocate))
        .service(resource("/console/shards/plan").on(Method::POST, shards::plan))
        .service(resource("/console/shards/apply").on(Method::POST, shards::reshard))
        .service(resource("/console/orders").on(Method::GET, orders::search))
        .service(resource("/console/orders/{id}").on(Method::GET, orders::one))
        .service(resource("/console/settings").on(Method::GET, settings::page))
        .service(resource("/console/settings/plan").on(Method::POST, settings::plan))
        .service(resource("/console/settings/apply").on(Method::POST, settings::apply))
        .service(resource("/console/changes").on(Method::GET, changes::page))
        .service(resource("/console/audit").on(Method::GET, audit).on(Method::POST, audit::start))
        .service(resource("/console/login").on(Method::GET, door::login_page).on(Method::POST, door::login))
        .service(resource("/console/logout").on(Method::POST, door::logout))
        .service(resource("/console/live").on(Method::GET, live::frames))
        .service(resource("/console/files/{file}").on(Method::GET, file));
}

async fn overview(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let operator = match door::enter(&request, &app) {
        Entrance::Open(operator) => operator,
        Entrance::Closed(response) => return response,
    };
    let around = Around { page: Page::Overview, title: "Overview", operator: Some(&operator), live: Some(Live::Overview) };
    respond::page(&around, &overview::page(&sight::of(&app).await))
}

async fn audit(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let operator = match door::enter(&request, &app) {
        Entrance::Open(operator) => operator,
        Entrance::Closed(response) => return response,
    };
    let around = Around { page: Page::Audit, title: "Audit", operator: Some(&operator), live: Some(Live::Audit) };
    respond::page(&around, &audit_page::page(app.console.audits.now().as_ref(), &operator))
}

/// Nobody needs a key for them: they are the same on every server of this release.
async fn file(name: Path<String>) -> Result<HttpResponse, Problem> {
    let nothing = || Problem::new(Code::NotFound, "the console has no file of this name");
    let asset = crate::console::assets::named(&name).ok_or_else(nothing)?;
    let mut response = HttpResponse::Ok();
    respond::guard(&mut response);
    response.insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"));
    Ok(response.content_type(format!("{}; charset=utf-8", asset.content_type)).body(asset.text))
}
