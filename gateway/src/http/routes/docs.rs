//! The description of the API, and a page to try it: Swagger UI with a start and a style of our own.
//!
//! Invariant: the page loads nothing from another host, and its policy forbids the browser to; it runs no script but files served
//! here.

use super::resource::resource;
use crate::http::page::guard;
use crate::http::problem::{Code, Problem};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, ContentEncoding, LOCATION};
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use std::sync::Arc;
use utoipa_swagger_ui::{Config, SwaggerFile};

/// Swagger UI's own style and pictures are inside its style sheet, as `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Our own files: name, type, contents.
const OURS: [(&str, &str, &str); 3] = [
    ("", "text/html; charset=utf-8", include_str!("docs/index.html")),
    ("docs.css", "text/css; charset=utf-8", include_str!("docs/docs.css")),
    ("docs.js", "text/javascript; charset=utf-8", include_str!("docs/docs.js")),
];

/// The files of Swagger UI that the page needs.
const THEIRS: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/openapi.json").on(Method::GET, description))
        .service(resource("/docs").on(Method::GET, to_page))
        .service(resource("/docs/{file}").on(Method::GET, file));
}

async fn to_page() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, "/docs/")).finish()
}

/// The description as JSON, which the server hands to its routes: it is made from them.
#[derive(Clone, Copy)]
pub struct Description(pub &'static str);

async fn description(description: Data<Description>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(description.0)
}

async fn file(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Problem> {
    if let Some((_, kind, contents)) = OURS.iter().find(|(own, ..)| *own == name.as_str()) {
        let mut response = HttpResponse::Ok();
        guard(&mut response, POLICY, "no-referrer");
        return Ok(response.content_type(*kind).body(*contents));
    }
    let missing = || Problem::new(Code::NotFound, format!("no resource at {}", request.path()));
    swagger_file(&name).map(whole).ok_or_else(missing)
}

fn swagger_file(name: &str) -> Option<SwaggerFile<'static>> {
    let known = THEIRS.contains(&name);
    known.then(|| utoipa_swagger_ui::serve(name, Arc::new(Config::from("/openapi.json"))).ok().flatten()).flatten()
}

/// It changes with the release only, and is large: the browser may keep it for a while.
fn whole(file: SwaggerFile<'static>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    guard(&mut response, POLICY, "no-referrer");
    response.insert_header((CACHE_CONTROL, "max-age=3600"));
    if file.gzpipped {
        response.insert_header((CONTENT_ENCODING, ContentEncoding::Gzip));
    }
    response.content_type(file.content_type).body(file.bytes.into_owned())
}
