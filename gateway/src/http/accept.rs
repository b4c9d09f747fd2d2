//! Whether a caller would rather have a page or JSON, by its `Accept` header (RFC 9110, 12.5.1).
//!
//! Invariant: of the ranges that match, the most specific one decides how much a representation is wanted; a header that cannot
//! be read is one that says nothing.

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header, Quality};
use std::cmp::Ordering;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preferred {
    Page,
    Json,
    /// The caller does not mind.
    Either,
}

impl Preferred {
    pub fn of(request: &HttpRequest) -> Self {
        let Ok(accept) = Accept::parse(request) else { return Self::Either };
        let (page, json) = (wanted(&accept, "text", "html"), wanted(&accept, "application", "json"));
        match page.cmp(&json) {
            Ordering::Greater => Self::Page,
            Ordering::Less => Self::Json,
            Ordering::Equal => Self::Either,
        }
    }
}

/// How much a type is wanted, and how exactly it was named: `text/html` before `text/*` before `*/*`.
fn wanted(accept: &Accept, kind: &str, subtype: &str) -> (Quality, u8) {
    let ranges = accept.iter().filter_map(|range| {
        let exact = match (range.item.type_().as_str(), range.item.subtype().as_str()) {
            (named, exact) if named == kind && exact == subtype => 2,
            (named, "*") if named == kind => 1,
            ("*", "*") => 0,
            _ => return None,
        };
        Some((exact, range.quality))
    });
    let (exact, quality) = ranges.max().unwrap_or((0, Quality::ZERO));
    // What is refused by its name is wanted no more than what is not named.
    if quality == Quality::ZERO { (quality, 0) } else { (quality, exact) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::ACCEPT;
    use actix_web::test::TestRequest;

    fn of(accept: &[&str]) -> Preferred {
        let request = accept.iter().fold(TestRequest::get(), |request, accept| request.append_header((ACCEPT, *accept)));
        Preferred::of(&request.to_http_request())
    }

    #[test]
    fn what_is_wanted_most_is_preferred_whatever_the_order_of_the_header() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        let pages = [browser, "text/html", "TEXT/HTML", "text/*", "application/json;q=0.1, text/html;q=0.2", "*/*, text/html"];
        for accept in pages {
            assert_eq!(of(&[accept]), Preferred::Page, "{accept}");
        }
        let json = [
            "application/json",
            "application/json, text/plain, */*",
            "text/html;q=0.5, application/json",
            "text/html;q=0, */*",
            "application/*, */*;q=0.1",
            "text/*;q=0.3, */*;q=0.5",
        ];
        for accept in json {
            assert_eq!(of(&[accept]), Preferred::Json, "{accept}");
        }
        for accept in ["*/*", "", "image/png", "text/html;q=0", "text/html, application/json", "chunk#;e"] {
            assert_eq!(of(&[accept]), Preferred::Either, "{accept}");
        }
        assert_eq!(of(&[]), Preferred::Either);
        assert_eq!(of(&["application/json;q=0.4", "text/html"]), Preferred::Page, "two lines are one list");
    }
}
