//! What every page of the console has around its contents: head, navigation, who is signed in.
//!
//! Invariants: a page needs no script: where it would be kept up to date by one, it is loaded again without; it has one `main`, one `h1`
//! and a link that leads past the navigation.

use super::assets::{ACT, LIVE, STYLE};
use super::navigation::{Live, Page};
use super::session::Operator;
use crate::wire::figures::grouped;
use crate::wire::times::Rfc3339;
use holdfast_engine::ids::KeyName;
use holdfast_engine::time::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What the head of a page and its navigation say.
pub struct Around<'a> {
    pub page: Page,
    pub title: &'a str,
    /// `None` before anybody is signed in.
    pub operator: Option<&'a Operator>,
    /// The regions that are kept up to date.
    pub live: Option<Live>,
}

/// Without a script a page is loaded again after so many seconds.
const RELOAD: &str = "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>";

/// As on the other pages of the server: inside the page, so that browsers do not ask for another file.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http:%2F%2Fwww.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' \
                    rx='3' fill='%230b57c2'/%3E%3Cpath d='M4 3v10M12 3v10M4 8h8' stroke='%23fff' stroke-width='2.4'/%3E%3C/svg%3E";

/// A whole page.
pub fn document(around: &Around<'_>, contents: &Markup) -> Markup {
    let Around { page, title, operator, live } = around;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (title) " · Holdfast console" }
                link rel="icon" href=(PreEscaped(ICON));
                link rel="stylesheet" href=(STYLE.path());
                @if live.is_some() {
                    (PreEscaped(RELOAD))
                    script src=(LIVE.path()) defer {}
                }
                script src=(ACT.path()) defer {}
            }
            body data-live-page=[live.map(Live::name)] {
                a class="skip" href="#main" { "Skip to content" }
                header {
                    a class="brand" href="/console" { "Holdfast" }
                    @if let Some(operator) = operator {
                        nav aria-label="Console" { ul { @for entry in Page::NAVIGATION { li { (entry_link(*entry, *page)) } } } }
                        (signed_in(operator))
                    }
                }
                p id="stale" hidden {}
                main id="main" tabindex="-1" {
                    h1 { (title) }
                    (contents)
                }
                footer { a href="/" { "Start page" } " " a href="/docs/" { "API" } " " a href="/problems" { "Problems" } }
            }
        }
    }
}

fn entry_link(entry: Page, current: Page) -> Markup {
    let current = (entry == current).then_some("page");
    html! { a href=(entry.path()) aria-current=[current] { (entry.title()) } }
}

fn signed_in(operator: &Operator) -> Markup {
    html! {
        div class="who" {
            @if operator.session.is_some() {
                span { (operator.name.as_ref().map_or("a key without a name", KeyName::as_str)) " (" (operator.role.name()) ")" }
                form method="post" action="/console/logout" { button { "Sign out" } }
            } @else {
                span { "No keys: everybody is admin" }
            }
        }
    }
}

/// A region that is kept up to date.
pub fn region(id: &str, contents: &Markup) -> Markup {
    html! { div id=(id) data-live { (contents) } }
}

/// A table that may be wider than the screen: it scrolls by itself, by keyboard too.
pub fn scrolling(label: &str, table: &Markup) -> Markup {
    html! { div class="scroll" role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// A name of ours, which where there is no room breaks between its words and not within one.
pub fn words(text: &str) -> Markup {
    html! { @for word in text.split_inclusive(['.', '_']) { (word) wbr; } }
}

/// A moment, for people and for programs.
pub fn time(at: Timestamp) -> Markup {
    let text = time_text(at);
    html! { time datetime=(text) { (text.replace('T', " ").replace('Z', " UTC")) } }
}

fn time_text(at: Timestamp) -> String {
    serde_json::to_value(Rfc3339(at)).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A count that may come from a metric.
pub fn count(value: f64) -> String {
    if value.is_finite() && value >= 0.0 { grouped(value.round() as u64) } else { "–".to_owned() }
}

/// A share of 1.
pub fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// Bytes, in the unit that is easiest to read.
pub fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (value, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Seconds, in the unit that is easiest to read.
pub fn seconds(value: f64) -> String {
    match value {
        value if value >= 120.0 => format!("{:.0} min", value / 60.0),
        value if value >= 1.0 => format!("{value:.1} s"),
        value if value > 0.0 => format!("{:.1} ms", value * 1000.0),
        _ => "0 s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_the_unit_that_is_easiest_to_read() {
        assert_eq!([bytes(12.0), bytes(2048.0), bytes(3.5e9)], ["12 B", "2.0 KiB", "3.3 GiB"]);
        assert_eq!([seconds(0.0), seconds(0.0123), seconds(2.0), seconds(600.0)], ["0 s", "12.3 ms", "2.0 s", "10 min"]);
        assert_eq!(percent(0.0123), "1.2 %");
        assert_eq!([count(1234.0), count(f64::NAN)], ["1,234", "–"]);
        assert!(time(Timestamp::new(1_795_252_657_911)).into_string().contains(">2026-11-21 09:17:37.911 UTC<"));
    }

    #[test]
    fn a_name_in_a_page_is_text() {
        let operator = Operator { name: KeyName::new("<img/onerror=x>"), ..Operator::anybody() };
        let around = Around { page: Page::Overview, title: "<b>", operator: Some(&operator), live: Some(Live::Overview) };
        let page = document(&around, &html! { p { "<i>" } }).into_string();
        assert!(page.contains("&lt;b&gt;") && page.contains("&lt;i&gt;") && !page.contains("<img"), "{page}");
        for inline in ["style=", "<style", "onclick", "<script>"] {
            assert!(!page.contains(inline), "{inline}");
        }
    }
}
