//! A page that says why there is no other.

use maud::{Markup, html};

pub fn page(text: &str) -> Markup {
    html! { p class="verdict bad" { span aria-hidden="true" { "✕" } " " (text) } }
}
