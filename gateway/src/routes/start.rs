//! What the address of the server itself answers: a page to a browser, an index to a program.

use super::table::resource;
use crate::app::App;
use crate::page::{escape, html};
use crate::request::text;
use actix_web::http::Method;
use actix_web::http::header::ACCEPT;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

pub fn configure(service: &mut ServiceConfig) {
    service.service(resource("/").on(Method::GET, start));
}

/// Where to go from here.
const LINKS: [(&str, &str, &str); 6] = [
    ("docs", "/docs/", "try every call in the browser"),
    ("openapi", "/openapi.json", "the same as OpenAPI 3.1, to make a client from"),
    ("problems", "/problems", "every error code, its causes and cures"),
    ("ready", "/readyz", "whether orders are taken, and why not"),
    ("limits", "/v1/limits", "the limits of this server"),
    ("metrics", "/metrics", "for Prometheus"),
];

async fn start(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let browser = text(request.headers(), ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/html"));
    if browser { page(&app) } else { index() }
}

fn index() -> HttpResponse {
    let mut index = json!({"name": "Holdfast", "version": env!("CARGO_PKG_VERSION")});
    LINKS.iter().for_each(|(name, path, _)| index[*name] = json!(path));
    HttpResponse::Ok().json(index)
}

fn page(app: &App) -> HttpResponse {
    let row =
        |(_, path, meaning): &(&str, &str, &str)| format!("<tr><td><a href=\"{path}\">{path}</a></td><td>{meaning}</td></tr>");
    let links: String = LINKS.iter().map(row).collect();
    let key = app.keys.as_ref().map(|_| "an API key is required: send <code>Authorization: Bearer hf_…</code>");
    let contents = format!(
        "<h1>Holdfast</h1><p>An order and inventory engine that never sells a unit twice. Storefronts send orders over HTTP; every answer is \
         on disk before it leaves.</p><p class=soft>Version {}; {}.</p><table>{links}</table><h2>Place an order</h2><pre><code>{}</code></pre>\
         <p class=soft>The same request again is the same answer, byte for byte: the <code>Idempotency-Key</code> makes a retry safe.</p>",
        env!("CARGO_PKG_VERSION"),
        key.unwrap_or("no API key is needed here"),
        escape(&crate::banner::order(app)),
    );
    html("Holdfast", &contents)
}
