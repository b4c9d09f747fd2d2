//! Is it alive, is it ready, what does it measure, what are its limits.

use super::not_allowed;
use crate::app::App;
use crate::stopping::Phase;
use crate::view;
use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::json;

pub fn configure(service: &mut ServiceConfig) {
    let get = |path: &str, route| web::resource(path).route(route).default_service(web::to(not_allowed));
    service
        .service(get("/livez", web::get().to(livez)))
        .service(get("/readyz", web::get().to(readyz)))
        .service(get("/metrics", web::get().to(metrics)))
        .service(get("/v1/limits", web::get().to(limits)));
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
pub async fn limits() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(view::limits_json())
}
