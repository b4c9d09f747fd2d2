//! The description of the API, a page to try it, an index of all problems and a page for each. All served offline.

use super::table::resource;
use crate::openapi;
use crate::page::{escape, html};
use crate::problem::{Code, Problem};
use crate::request::request_id;
use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::web::{Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use std::sync::Arc;
use utoipa_swagger_ui::Config;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/openapi.json").on(Method::GET, description))
        .service(resource("/problems").on(Method::GET, problems))
        .service(resource("/problems/{code}").on(Method::GET, problem))
        .service(resource("/docs").on(Method::GET, to_try_it))
        .service(resource("/docs/{file}").on(Method::GET, try_it));
}

async fn to_try_it() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, "/docs/")).finish()
}

/// A file of the page to try the API.
async fn try_it(request: HttpRequest, file: Path<String>) -> HttpResponse {
    let config = Config::new(["/openapi.json"]).try_it_out_enabled(true);
    match utoipa_swagger_ui::serve(&file, Arc::new(config)) {
        Ok(Some(found)) => HttpResponse::Ok().content_type(found.content_type).body(found.bytes.to_vec()),
        Ok(None) => super::not_found(request).await,
        Err(error) => super::internal(&error).by(request_id(&request).as_str()).response(),
    }
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
        return Problem::new(Code::NotFound, detail).by(request_id(&request).as_str()).response();
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
