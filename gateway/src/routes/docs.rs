//! The description of the API, a page to try it, and a page for each problem. All served offline.

use super::not_allowed;
use crate::openapi;
use crate::problem::{Code, Problem};
use crate::request::request_id;
use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub fn configure(service: &mut ServiceConfig) {
    let page = SwaggerUi::new("/docs/{_:.*}").config(Config::new(["/openapi.json"]).try_it_out_enabled(true));
    service
        .service(web::resource("/openapi.json").route(web::get().to(description)).default_service(web::to(not_allowed)))
        .service(web::resource("/problems/{code}").route(web::get().to(problem)).default_service(web::to(not_allowed)))
        .service(web::redirect("/docs", "/docs/"))
        .service(page);
}

async fn description() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(openapi::json())
}

/// What a problem means and what to do about it.
async fn problem(request: HttpRequest, code: Path<String>) -> HttpResponse {
    let found = Code::ALL.iter().find(|known| known.name() == code.as_str());
    let Some(known) = found else {
        let detail = format!("there is no problem {code}");
        return Problem::new(Code::NotFound, detail).by(request_id(request.headers()).as_str()).response();
    };
    let retry = if known.retryable() { "Retrying later can help." } else { "Retrying the same request does not help." };
    let body = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{0}</title><style>body{{font:16px/1.6 system-ui,sans-serif;max-width:40rem;\
         margin:4rem auto;padding:0 1rem}}code{{background:#eef1f5;padding:.1rem .3rem;border-radius:.25rem}}</style>\
         <h1>{1}</h1><p><code>{0}</code> comes with status {2}. {retry}</p><p>{3}</p></html>",
        known.name(),
        known.title(),
        known.status(),
        known.advice(),
    );
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(body)
}
