//! Is it alive, is it ready, what does it measure, what are its limits.

use super::table::resource;
use crate::app::App;
use crate::request::scope;
use crate::stopping::Phase;
use crate::view;
use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/livez").on(Method::GET, livez))
        .service(resource("/readyz").on(Method::GET, readyz))
        .service(resource("/metrics").on(Method::GET, metrics))
        .service(resource("/v1/limits").on(Method::GET, limits));
}

/// The process answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200)))]
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

/// Orders are taken: after recovery, not while draining, not without a journal.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200), (status = 503)))]
pub async fn readyz(app: Data<App>) -> HttpResponse {
    let reason = match (*app.phase.borrow() > Phase::Serving, app.live.load().is_some()) {
        (true, _) => "draining".to_owned(),
        (false, true) => return HttpResponse::Ok().json(json!({"status": "ready"})),
        (false, false) => app.down.load().as_ref().map_or_else(String::new, |reason| reason.to_string()),
    };
    HttpResponse::ServiceUnavailable().insert_header(("Retry-After", "1")).json(json!({"status": "not ready", "reason": reason}))
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, content_type = "text/plain")))]
pub async fn metrics(app: Data<App>) -> HttpResponse {
    if let Some(live) = &*app.live.load() {
        for inbox in &live.handle.router().table().inboxes {
            metrics::gauge!("shard_depth", "shard" => inbox.shard.to_string()).set(inbox.credits.taken() as f64);
        }
    }
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(app.metrics.render())
}

/// Every limit of this server.
#[utoipa::path(get, path = "/v1/limits", tag = "health", responses((status = 200)))]
pub async fn limits(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let scope = scope(request.headers(), &app);
    HttpResponse::Ok().content_type("application/json").body(view::limits_json(scope.as_deref()))
}
