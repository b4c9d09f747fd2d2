//! The description of the API, a page to try it, an index of all problems and a page for each. All served offline.

use super::not_allowed;
use crate::openapi;
use crate::page::{escape, html};
use crate::problem::{Code, Problem};
use crate::request::request_id;
use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub fn configure(service: &mut ServiceConfig) {
    let page = SwaggerUi::new("/docs/{_:.*}").config(Config::new(["/openapi.json"]).try_it_out_enabled(true));
    service
        .service(web::resource("/openapi.json").route(web::get().to(description)).default_service(web::to(not_allowed)))
        .service(web::resource("/problems").route(web::get().to(problems)).default_service(web::to(not_allowed)))
        .service(web::resource("/problems/{code}").route(web::get().to(problem)).default_service(web::to(not_allowed)))
        .service(web::redirect("/docs", "/docs/"))
        .service(page);
}

async fn description() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(openapi::json())
}

/// Every code of a problem.
async fn problems() -> HttpResponse {
    let row = |code: &Code| {
        let (name, title, status) = (code.name(), escape(code.title()), code.status());
        format!("<tr><td><a href=\"/problems/{name}\"><code>{name}</code></a></td><td>{status}</td><td>{title}</td></tr>")
    };
    let rows: String = Code::ALL.iter().map(row).collect();
    let contents = format!(
        "<nav><a href=\"/\">Holdfast</a><a href=\"/docs/\">API</a></nav><h1>Problems</h1><p>Every error is a problem document (RFC 9457) \
         with one of these codes. A code never changes its status or its meaning.</p>\
         <table><tr><th>code</th><th>status</th><th>meaning</th></tr>{rows}</table>"
    );
    html("Problems", &contents)
}

/// What a problem means and what to do about it.
async fn problem(request: HttpRequest, code: Path<String>) -> HttpResponse {
    let found = Code::ALL.iter().find(|known| known.name() == code.as_str());
    let Some(known) = found else {
        let detail = format!("there is no problem {code}");
        return Problem::new(Code::NotFound, detail).by(request_id(request.headers()).as_str()).response();
    };
    let retry = if known.retryable() { "Retrying later can help." } else { "Retrying the same request does not help." };
    let contents = format!(
        "<nav><a href=\"/\">Holdfast</a><a href=\"/problems\">Problems</a></nav>\
         <h1>{1}</h1><p><code>{0}</code> comes with status {2}. {retry}</p><h2>What to do</h2><p>{3}</p>",
        known.name(),
        escape(known.title()),
        known.status(),
        escape(known.advice()),
    );
    html(known.title(), &contents)
}
