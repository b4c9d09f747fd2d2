//! Is it alive, is it ready, what does it measure, what are its limits.

use super::resource::resource;
use crate::http::caller::{Caller, address};
use crate::http::problem::Problem;
use crate::http::view::{self, LimitsBody};
use crate::process::stopping::Phase;
use crate::state::App;
use crate::wire::scalars;
use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use std::sync::atomic::{AtomicUsize, Ordering};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/livez").on(Method::GET, livez))
        .service(resource("/readyz").on(Method::GET, readyz))
        .service(resource("/v1/limits").on(Method::GET, limits));
}

pub fn configure_metrics(service: &mut ServiceConfig) {
    service.service(resource("/metrics").on(Method::GET, metrics));
}

/// How a server is.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(schema_with = health)]
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

impl Health {
    fn is(status: &'static str) -> Self {
        Self { status, reason: None }
    }
}

const ALIVE: &str = "alive";
const READY: &str = "ready";
const NOT_READY: &str = "not ready";

fn health() -> Schema {
    scalars::words([ALIVE, READY, NOT_READY]).into()
}

/// The process answers.
#[utoipa::path(get, path = "/livez", tag = "health", operation_id = "livez",
    responses((status = 200, description = "It is alive.", body = Health)))]
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(Health::is(ALIVE))
}

/// Orders are taken: after recovery, not while draining, not without a journal.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "readyz",
    responses((status = 200, description = "Orders are taken.", body = Health), (status = 503, description = "They are not.", body = Health)))]
pub async fn readyz(app: Data<App>) -> HttpResponse {
    let Some(reason) = not_ready(&app) else { return HttpResponse::Ok().json(Health::is(READY)) };
    HttpResponse::ServiceUnavailable()
        .insert_header(("Retry-After", "1"))
        .json(Health { status: NOT_READY, reason: Some(reason) })
}

/// Why no orders are taken. None: they are.
fn not_ready(app: &App) -> Option<String> {
    match (*app.phase.borrow() > Phase::Serving, app.live.load().is_some()) {
        (true, _) => Some("draining".to_owned()),
        (false, true) => None,
        (false, false) => Some(app.down.load().as_ref().map_or_else(String::new, |reason| reason.to_string())),
    }
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses((status = 200, description = "Samples of every metric.", content_type = "text/plain", body = String)))]
pub async fn metrics(app: Data<App>) -> HttpResponse {
    metrics::gauge!("holdfast_ready").set(f64::from(u8::from(not_ready(&app).is_none())));
    show_depths(app.live.load().as_ref().map(|live| live.handle.depths()).unwrap_or_default());
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(app.metrics.render())
}

/// Shards that are no more show 0, however short they were there.
fn show_depths(mut depths: Vec<usize>) {
    static SHOWN: AtomicUsize = AtomicUsize::new(0);
    let shown = SHOWN.fetch_max(depths.len(), Ordering::Relaxed);
    depths.resize(depths.len().max(shown), 0);
    for (shard, depth) in depths.into_iter().enumerate() {
        metrics::gauge!("holdfast_shard_depth", "shard" => shard.to_string()).set(depth as f64);
    }
}

/// Every limit of this server. Nobody needs a key for it; with one it names its scope, with a wrong one it is 401.
#[utoipa::path(get, path = "/v1/limits", tag = "health", operation_id = "get_limits",
    responses((status = 200, description = "The limits.", body = LimitsBody<'static>)))]
pub async fn limits(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Problem> {
    let caller = Caller::if_any(&request, &app)?;
    let scope = caller.as_ref().map(|caller| caller.scope.as_str());
    let rates = app.rates.shown(caller.as_ref().map_or_else(address, Caller::source));
    Ok(HttpResponse::Ok().content_type("application/json").body(view::limits_json(scope, &app.tuned.load(), rates)))
}
