//! What a person sees when the server is up: where it is and an order to paste.
//!
//! Invariant: nobody waits for it to be read.

use crate::app::App;
use crate::settings::{Backend, Settings, Switch};
use std::io::Write;
use std::thread;

/// Prints it on a thread of its own: standard output may be a pipe that nobody reads, or a file on a full disk.
pub fn print(app: &App) {
    let text = text(app);
    let printing = thread::Builder::new().name("banner".to_owned());
    let printed = printing.spawn(move || std::io::stdout().write_all(text.as_bytes()).unwrap_or_default());
    printed.map(drop).unwrap_or_default();
}

fn text(app: &App) -> String {
    let url = &app.base_url;
    let access = match (&app.keys, app.settings.server.insecure) {
        (Some(_), _) => "an API key is required (Authorization: Bearer hf_…)",
        (None, false) => "no key needed: only this machine can reach it",
        (None, true) => "NO KEY NEEDED and reachable from outside: --insecure was given",
    };
    let payments = match (&app.sandbox, &app.keys, app.settings.sandbox.enabled) {
        (Some(_), None, _) => "the sandbox: whoever sees its page can press its buttons",
        (Some(_), Some(_), _) => "the sandbox: its pages open by the link in redirect_url, or with a key",
        (None, Some(_), Switch::Auto) => "none: API keys turn the sandbox off unless [sandbox] enabled = true",
        (None, _, _) => "none: the sandbox is turned off",
    };
    let Settings { data, journal, scylla, .. } = &app.settings;
    let data = match (data.ephemeral, journal.backend) {
        (true, _) => "in memory only: gone at exit".to_owned(),
        (false, Backend::Embedded) => format!("{} (survives kill -9)", data.dir.display()),
        (false, Backend::Scylla) => format!("keyspace {} at {}", scylla.keyspace, scylla.nodes.0.join(", ")),
    };
    let example = if app.settings.data.demo { format!("Place an order:\n\n{}\n\n", order(app)) } else { String::new() };
    format!(
        "\nHoldfast is ready at {url}\n  access    {access}\n  payments  {payments}\n  data      {data}\n  docs      {url}/docs\n\n{example}"
    )
}

/// A command that places an order of a demo SKU.
pub fn order(app: &App) -> String {
    let key = if app.keys.is_some() { "  -H 'Authorization: Bearer hf_YOUR_KEY' \\\n" } else { "" };
    let payment = if app.sandbox.is_some() { ",\"payment\":{\"provider\":\"sandbox\"}" } else { "" };
    format!(
        "curl -s {}/v1/orders \\\n  -H 'Content-Type: application/json' \\\n{key}  -H \"Idempotency-Key: first-$(date +%s)\" \\\n  \
         -d '{{\"customer_id\":\"ada\",\"currency\":\"EUR\",\"lines\":[{{\"sku\":\"DEMO-SHIRT\",\"quantity\":2,\"unit_price\":1999}}]{payment}}}'",
        app.base_url
    )
}
