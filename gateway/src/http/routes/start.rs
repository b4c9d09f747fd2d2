//! What the address of the server itself answers: a page to a browser, an index to a program.
//!
//! Invariants: the commands on the page succeed when they are pasted, one after the other; what is linked is served at the same address.

use super::resource::resource;
use crate::http::accept::Preferred;
use crate::http::page::{escape, html};
use crate::state::App;
use crate::{banner, demo};
use actix_web::http::Method;
use actix_web::http::header::VARY;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

pub fn configure(service: &mut ServiceConfig) {
    service.service(resource("/").on(Method::GET, start));
}

/// Where to go from here.
const LINKS: [(&str, &str, &str); 7] = [
    ("console", "/console", "see what the server does, and steer it"),
    ("docs", "/docs/", "try every call in the browser"),
    ("openapi", "/openapi.json", "the same as OpenAPI 3.1, to make a client from"),
    ("problems", "/problems", "every error code, its causes and cures"),
    ("ready", "/readyz", "whether orders are taken, and why not"),
    ("limits", "/v1/limits", "the limits of this server"),
    ("metrics", "/metrics", "for Prometheus"),
];

async fn start(request: HttpRequest, app: Data<App>) -> HttpResponse {
    match Preferred::of(&request) {
        Preferred::Page => html("Holdfast", &contents(&app, &Reached::of(&request, &app), stocked(&app).await)),
        Preferred::Json | Preferred::Either => index(&app, is_for_operators(&request, &app)),
    }
}

/// What is served here: what is for operators may be somewhere else, and the console can be turned off.
fn links(app: &App, operators: bool) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    let here = operators || !app.settings.admin.is_apart();
    let console = app.settings.console.enabled;
    LINKS.iter().filter(move |(name, ..)| match *name {
        "metrics" => here,
        "console" => here && console,
        _ => true,
    })
}

fn index(app: &App, operators: bool) -> HttpResponse {
    let mut index = json!({"name": "Holdfast", "version": env!("CARGO_PKG_VERSION")});
    links(app, operators).for_each(|(name, path, _)| index[*name] = json!(path));
    HttpResponse::Ok().insert_header((VARY, "Accept")).json(index)
}

/// Whether the order on the page would find its stock.
async fn stocked(app: &App) -> bool {
    let handle = app.live.load().as_ref().map(|live| live.handle.clone());
    match handle {
        Some(handle) => demo::can_be_ordered(&handle).await,
        None => false,
    }
}

/// The address by which the reader has reached this server, if it can be pasted into a shell; else the one it knows itself.
fn address(request: &HttpRequest, app: &App) -> String {
    let reached = request.connection_info();
    let plain = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte));
    match (reached.scheme(), reached.host()) {
        (scheme @ ("http" | "https"), host) if !host.is_empty() && plain(host) => format!("{scheme}://{host}"),
        _ => app.base_url.clone(),
    }
}

/// Whether it was reached at the address of operators, where no orders are taken.
fn is_for_operators(request: &HttpRequest, app: &App) -> bool {
    let here = format!("http://{}", request.app_config().local_addr());
    app.operators_url.as_ref() == Some(&here)
}

/// How the reader has reached this server, and where orders are taken.
struct Reached {
    operators: bool,
    orders: String,
}

impl Reached {
    fn of(request: &HttpRequest, app: &App) -> Self {
        let operators = is_for_operators(request, app);
        Self { operators, orders: if operators { app.base_url.clone() } else { address(request, app) } }
    }
}

fn contents(app: &App, reached: &Reached, stocked: bool) -> String {
    let row =
        |(_, path, meaning): &(&str, &str, &str)| format!("<tr><td><a href=\"{path}\">{path}</a></td><td>{meaning}</td></tr>");
    let links: String = links(app, reached.operators).map(row).collect();
    let key = if app.keys.are_needed() {
        "an API key is required: send <code>Authorization: Bearer hf_…</code>"
    } else {
        "no API key is needed here"
    };
    format!(
        "<h1>Holdfast</h1><p>An order and inventory engine that never sells a unit twice. Storefronts send orders over HTTP; every answer is \
         on disk before it leaves.</p><p class=soft>Version {}; {key}.</p><table>{links}</table>{}",
        env!("CARGO_PKG_VERSION"),
        first_order(app, &reached.orders, stocked),
    )
}

/// The commands to begin with.
fn first_order(app: &App, url: &str, stocked: bool) -> String {
    let command = |text: String| format!("<pre><code>{}</code></pre>", escape(&text));
    let stock = if stocked {
        String::new()
    } else {
        format!("<p>There is no demo stock for it on this server. Put some in first:</p>{}", command(banner::stock(app, url)))
    };
    let pay = match &app.sandbox {
        Some(_) => "<p>Open its <code>redirect_url</code> in a browser to pay, and read the order again: it is confirmed.</p>",
        None => "",
    };
    format!(
        "<h2>Place an order</h2>{stock}{}{pay}<p class=soft>The same request again is the same answer, byte for byte: the \
         <code>Idempotency-Key</code> makes a retry safe.</p>",
        command(banner::order(app, url))
    )
}
