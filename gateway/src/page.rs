//! The look of the pages that people see, and the headers that every one of them carries.
//!
//! Invariant: a page needs no script, no network and no other file, and says so to the browser: nothing that somebody smuggles
//! into its text is ever loaded or run.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};

/// `form-action` stays open: after a form the sandbox sends its buyer back to the shop.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1c2330;--soft:#5b6678;--back:#fff;--box:#f2f4f8;--line:#dde2ea;--link:#0b57c2}\
@media(prefers-color-scheme:dark){:root{--text:#e6eaf2;--soft:#9aa6ba;--back:#12161d;--box:#1b212c;--line:#2b3342;--link:#7db2ff}}\
*{box-sizing:border-box}body{font:16px/1.6 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:44rem;margin:0 auto;padding:2rem 1.2rem 4rem}\
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0 .8rem}h2{font-size:1.05rem;margin:2rem 0 .4rem}a{color:var(--link)}\
nav,small,.soft{color:var(--soft);font-size:.9rem}nav a{margin-right:1rem}\
code,pre{font:.86rem/1.5 ui-monospace,Menlo,Consolas,monospace;background:var(--box);border-radius:.35rem}\
code{padding:.1rem .3rem;overflow-wrap:anywhere}pre{padding:.8rem 1rem;overflow-x:auto;border:1px solid var(--line)}pre code{padding:0;background:none;overflow-wrap:normal}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.45rem .8rem .45rem 0;border-bottom:1px solid var(--line)}\
th{color:var(--soft);font-size:.85rem;font-weight:600}";

/// A page with these contents, which are HTML: text in them went through [`escape`].
pub fn html(title: &str, contents: &str) -> HttpResponse {
    let body = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>{}</title><style>{STYLE}</style></head><body>{contents}</body></html>",
        escape(title)
    );
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(body)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_a_page_is_text() {
        assert_eq!(escape("<b a=\"1\" b='2'>&"), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;");
    }
}
