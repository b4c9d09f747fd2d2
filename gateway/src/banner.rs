//! What a person sees when the server is up: where it is and an order to paste.

use crate::app::App;
use crate::settings::{Backend, Settings};

pub fn print(app: &App) {
    let url = &app.base_url;
    let access = match (&app.keys, app.settings.server.insecure) {
        (Some(_), _) => "an API key is required (Authorization: Bearer hf_…)",
        (None, false) => "no key needed: only this machine can reach it",
        (None, true) => "NO KEY NEEDED and reachable from outside: --insecure was given",
    };
    let Settings { data, journal, scylla, .. } = &app.settings;
    let data = match (data.ephemeral, journal.backend) {
        (true, _) => "in memory only: gone at exit".to_owned(),
        (false, Backend::Embedded) => format!("{} (survives kill -9)", data.dir.display()),
        (false, Backend::Scylla) => format!("keyspace {} at {}", scylla.keyspace, scylla.nodes.0.join(", ")),
    };
    println!("\nHoldfast is ready at {url}\n  access  {access}\n  data    {data}\n  docs    {url}/docs\n");
    if app.settings.data.demo {
        println!("Place an order:\n\n{}\n", order(app));
    }
}

/// A command that places an order of a demo SKU.
pub fn order(app: &App) -> String {
    let url = &app.base_url;
    let key = if app.keys.is_some() { "  -H 'Authorization: Bearer hf_YOUR_KEY' \\\n" } else { "" };
    format!(
        "curl -s {url}/v1/orders \\\n  -H 'Content-Type: application/json' \\\n{key}  -H \"Idempotency-Key: first-$(date +%s)\" \\\n  \
         -d '{{\"customer_id\":\"ada\",\"currency\":\"EUR\",\"lines\":[{{\"sku\":\"DEMO-SHIRT\",\"quantity\":2,\"unit_price\":1999}}],\"payment\":{{\"provider\":\"sandbox\"}}}}'"
    )
}
