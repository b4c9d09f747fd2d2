//! What a person sees when the server is up: where it is and an order to paste.
//!
//! Invariant: nobody waits for it to be read.

use crate::demo;
use crate::providers::registry::Known;
use crate::settings::{Backend, Settings, Switch};
use crate::state::App;
use std::io::Write;
use std::thread;

/// Prints it on a thread of its own: standard output may be a pipe that nobody reads, or a file on a full disk.
///
/// With an order to paste if its stock is there.
pub fn print(app: &App, demo: bool) {
    let text = text(app, demo);
    let printing = thread::Builder::new().name("banner".to_owned());
    let _ = printing.spawn(move || drop(std::io::stdout().write_all(text.as_bytes())));
}

fn text(app: &App, demo: bool) -> String {
    let url = &app.base_url;
    let access = match (app.keys.are_needed(), app.settings.server.insecure) {
        (true, _) => "an API key is required (Authorization: Bearer hf_…)",
        (false, false) => "no key needed: only this machine can reach it",
        (false, true) => "NO KEY NEEDED and reachable from outside: --insecure was given",
    };
    let payments = match (&app.sandbox, app.keys.are_needed(), app.settings.sandbox.enabled) {
        (Some(_), false, _) => "the sandbox: whoever sees its page can press its buttons",
        (Some(_), true, _) => "the sandbox: its pages open by the link in redirect_url, or with a key",
        (None, true, Switch::Auto) => "none: API keys turn the sandbox off unless [sandbox] enabled = true",
        (None, _, _) => "none: the sandbox is turned off",
    };
    let Settings { data, journal, scylla, .. } = &app.settings;
    let data = match (data.ephemeral, journal.backend) {
        (true, _) => "in memory only: gone at exit".to_owned(),
        (false, Backend::Embedded) => format!("{} (survives kill -9)", data.dir.display()),
        (false, Backend::Scylla) => format!("keyspace {} at {}", scylla.keyspace, scylla.nodes.0.join(", ")),
    };
    let operators = app.operators_url.as_ref().map_or_else(String::new, |url| format!("\n  operators {url}/metrics and /admin"));
    let example = if demo { format!("Place an order:\n\n{}\n\n", order(app, url)) } else { String::new() };
    format!(
        "\nHoldfast is ready at {url}\n  access    {access}\n  payments  {payments}\n  data      {data}\n  docs      {url}/docs{operators}\n\n{example}"
    )
}

/// A command that places an order of demo stock at the server of this address.
pub fn order(app: &App, url: &str) -> String {
    let body = demo::order(app.sandbox.as_ref().map(|_| Known::Sandbox.name()));
    format!("curl -s {url}/v1/orders \\\n{}  -H \"Idempotency-Key: first-$(date +%s)\" \\\n  -d '{body}'", headers(app))
}

/// A command that makes such an order possible where there is no demo stock.
pub fn stock(app: &App, url: &str) -> String {
    let path = format!("/v1/inventory/{}/locations/demo", demo::SKU);
    format!("curl -s -X PUT {url}{path} \\\n{}  -H 'If-Match: *' \\\n  -d '{{\"on_hand\":100}}'", headers(app))
}

/// The headers of every request with a body.
fn headers(app: &App) -> String {
    let key = if app.keys.are_needed() { "  -H 'Authorization: Bearer hf_YOUR_KEY' \\\n" } else { "" };
    format!("  -H 'Content-Type: application/json' \\\n{key}")
}
