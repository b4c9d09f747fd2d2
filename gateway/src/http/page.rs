//! The look of the pages that people see, and the headers that every one of them carries.
//!
//! Invariant: a page needs no script, no network and no other file, and says so to the browser: its one style is named by its
//! digest, so nothing that somebody smuggles into its text is ever loaded, run or styled.

pub mod payment;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("page/style.css");

/// Inside the page, so that browsers do not ask for another file.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http:%2F%2Fwww.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' \
                        rx='3' fill='%230b57c2'/%3E%3Cpath d='M4 3v10M12 3v10M4 8h8' stroke='%23fff' stroke-width='2.4'/%3E%3C/svg%3E";

/// `form-action` is not named here: after a form the sandbox sends its buyer back to the shop, wherever that is.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = BASE64.encode(&Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
});

/// What links a page to the others.
const NAV: &str = "<nav><a href=\"/\">Holdfast</a><a href=\"/docs/\">API</a><a href=\"/problems\">Problems</a></nav>";

/// A page with these contents, which are HTML: text in them went through [`escape`].
pub fn html(title: &str, contents: &str) -> HttpResponse {
    let policy = format!("{}; form-action 'none'", *POLICY);
    page(&policy, "no-referrer", title, &[NAV, contents].concat())
}

/// A page whose address is a secret, with forms that lead back to whoever sent their reader.
///
/// Its referrer policy is not `no-referrer`: browsers then send `Origin: null` with its own forms.
pub fn form(title: &str, contents: &str) -> HttpResponse {
    page(&POLICY, "same-origin", title, contents)
}

fn page(policy: &str, referrer: &'static str, title: &str, contents: &str) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    guard(&mut response, policy, referrer);
    response.content_type("text/html; charset=utf-8").insert_header((VARY, "Accept")).body(document(title, contents))
}

fn document(title: &str, contents: &str) -> String {
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>{}</title><link rel=icon href=\"{ICON}\"><style>{STYLE}</style></head><body>{contents}</body></html>",
        escape(title)
    )
}

/// What every page and every file of one tells the browser: load only what `policy` names, guess no types, show it in no
/// frame, and keep its address.
pub fn guard(response: &mut HttpResponseBuilder, policy: &str, referrer: &'static str) {
    response
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, referrer))
        .insert_header((CACHE_CONTROL, "no-cache"));
}

/// Text as it may stand in a page, in attributes too.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

/// As [`escape`], with what stands between backquotes as code.
pub fn marked(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    pieces.fold(String::with_capacity(text.len()), |mut marked, (index, piece)| {
        let piece = escape(piece);
        marked.push_str(&if index % 2 == 1 { format!("<code>{piece}</code>") } else { piece });
        marked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_style_that_is_in_the_page_and_no_other() {
        let page = document("<title>", "<h1>x</h1>");
        let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
        assert!(POLICY.contains(&format!("style-src 'sha256-{}'", BASE64.encode(&Sha256::digest(style)))), "{}", *POLICY);
        assert_eq!(page.matches("<style").count(), 1);
        assert!(!page.contains("style=") && !page.contains("<script"), "what the policy forbids");
    }

    #[test]
    fn text_in_a_page_is_text() {
        assert_eq!(escape("<b a=\"1\" b='2'>&"), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;");
        assert_eq!(marked("see `a<b>` & c"), "see <code>a&lt;b&gt;</code> &amp; c");
    }
}
