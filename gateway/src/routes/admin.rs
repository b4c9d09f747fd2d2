//! What operators ask: the shards, and an audit of everything.

use super::table::resource;
use super::{internal, live, unread};
use crate::app::App;
use crate::commands::verify::{Report, audit};
use crate::problem::Problem;
use crate::request::Caller;
use actix_web::http::Method;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/admin/v1/shards").on(Method::GET, shards))
        .service(resource("/admin/v1/audit").on(Method::POST, run_audit));
}

/// Depth, partitions, orders and holds of each shard.
#[utoipa::path(get, path = "/admin/v1/shards", tag = "admin", responses((status = 200, description = "{shards: […]}")))]
pub async fn shards(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let caller = match Caller::of(&request, &app) {
        Ok(caller) => caller,
        Err(problem) => return problem.response(),
    };
    let handle = match live(&app) {
        Ok(live) => live.handle.clone(),
        Err(problem) => return problem.by(caller.request_id.as_str()).response(),
    };
    let reports = handle.reports().await;
    let shards: Vec<_> = reports
        .iter()
        .map(|report| {
            json!({"shard": report.shard, "epoch": report.epoch, "depth": report.depth, "limit": report.limit,
                "partitions": report.partitions, "orders": report.orders, "skus": report.skus, "holds": report.holds})
        })
        .collect();
    HttpResponse::Ok().json(json!({"shards": shards}))
}

/// Replays the whole journal beside the running engine and checks every invariant.
#[utoipa::path(post, path = "/admin/v1/audit", tag = "admin",
    responses((status = 200, description = "{ok, checked: {skus, orders, reservations, events}, violations: []}")))]
pub async fn run_audit(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let caller = match Caller::of(&request, &app) {
        Ok(caller) => caller,
        Err(problem) => return problem.response(),
    };
    match audited(&app).await {
        Ok(report) => HttpResponse::Ok().json(json!({
            "ok": report.violations.is_empty(),
            "checked": {"skus": report.skus, "orders": report.orders, "reservations": report.reservations, "events": report.events},
            "violations": report.violations,
        })),
        Err(problem) => problem.by(caller.request_id.as_str()).response(),
    }
}

async fn audited(app: &App) -> Result<Report, Problem> {
    let live = live(app)?;
    let policy = app.settings.policy();
    let report = web::block(move || audit(&*live.journal, &policy, &mut |_, _| {})).await;
    report.map_err(|error| internal(&error))?.map_err(|error| unread(&error))
}
