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
use holdfast_actors::inbox::ShardReport;
use serde::Serialize;
use utoipa::ToSchema;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/admin/v1/shards").on(Method::GET, shards))
        .service(resource("/admin/v1/audit").on(Method::POST, run_audit));
}

/// The shards of this server.
#[derive(Serialize, ToSchema)]
struct Shards {
    shards: Vec<Shard>,
}

/// A shard and what is on it.
#[derive(Serialize, ToSchema)]
struct Shard {
    shard: usize,
    epoch: u64,
    /// Requests in hand, and how many there may be.
    depth: usize,
    limit: usize,
    partitions: Vec<u16>,
    orders: usize,
    skus: usize,
    holds: usize,
}

impl From<ShardReport> for Shard {
    fn from(report: ShardReport) -> Self {
        let ShardReport { shard, epoch, depth, limit, partitions, orders, skus, holds } = report;
        Self { shard, epoch, depth, limit, partitions, orders, skus, holds }
    }
}

/// Depth, partitions, orders and holds of each shard.
#[utoipa::path(get, path = "/admin/v1/shards", tag = "admin", operation_id = "list_shards",
    responses((status = 200, description = "Every shard that answered.", body = Shards)))]
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
    HttpResponse::Ok().json(Shards { shards: reports.into_iter().map(Shard::from).collect() })
}

/// What an audit found.
#[derive(Serialize, ToSchema)]
struct Audit {
    /// Every invariant holds.
    ok: bool,
    checked: Checked,
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
    fn from(Report { events, orders, reservations, skus, violations }: Report) -> Self {
        Self { ok: violations.is_empty(), checked: Checked { skus, orders, reservations, events }, violations }
    }
}

/// Replays the whole journal beside the running engine and checks every invariant.
#[utoipa::path(post, path = "/admin/v1/audit", tag = "admin", operation_id = "run_audit",
    responses((status = 200, description = "What was found.", body = Audit)))]
pub async fn run_audit(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let caller = match Caller::of(&request, &app) {
        Ok(caller) => caller,
        Err(problem) => return problem.response(),
    };
    match audited(&app).await {
        Ok(report) => HttpResponse::Ok().json(Audit::from(report)),
        Err(problem) => problem.by(caller.request_id.as_str()).response(),
    }
}

async fn audited(app: &App) -> Result<Report, Problem> {
    let live = live(app)?;
    let policy = app.settings.policy();
    let report = web::block(move || audit(&*live.journal, &policy, &mut |_, _| {})).await;
    report.map_err(|error| internal(&error))?.map_err(|error| unread(&error))
}
