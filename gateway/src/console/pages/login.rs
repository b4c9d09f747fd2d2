//! Sign in: a key becomes a session.

use maud::{Markup, html};

/// `refused` says why the last key was not taken.
pub fn page(refused: Option<&str>) -> Markup {
    html! {
        form method="post" action="/console/login" class="stack" {
            p { "Paste an API key of the role " code { "viewer" } " or " code { "admin" } ". " code { "holdfast key new --role viewer" } " makes one." }
            label for="key" { "API key" }
            input id="key" name="key" type="password" autocomplete="current-password" required autofocus
                aria-describedby=[refused.map(|_| "refused")] aria-invalid=[refused.map(|_| "true")];
            @if let Some(refused) = refused { p id="refused" class="failure" role="alert" { (refused) } }
            button { "Sign in" }
        }
        p class="soft" {
            "A session ends when it rests for a while, at the latest after 8 hours, and with its key. If you came by a link of another \
             site and have signed in: "
            a href="/console" { "go on" } "."
        }
    }
}
