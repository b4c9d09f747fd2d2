//! Changes: what operators changed or began, the newest first.

use super::super::layout::{scrolling, time, words};
use super::super::table::{Column, Row, table};
use holdfast_engine::event::Changed;
use holdfast_engine::ids::{KeyName, Label};
use maud::{Markup, html};

const COLUMNS: [Column; 8] = [
    Column::number("Number"),
    Column::plain("When"),
    Column::text("Who"),
    Column::words("What"),
    Column::text("Before"),
    Column::text("After"),
    Column::text("Note"),
    Column::text("Request"),
];

/// `older` is the number that the next page begins below.
pub fn page(changes: &[Changed], older: Option<u64>) -> Markup {
    html! {
        p { "What operators changed on the running server, each journalled before it was done." }
        @if changes.is_empty() { p { "Nothing was changed yet." } }
        @else { (scrolling("Changes", &table(Some("changes"), &COLUMNS, changes.iter().map(row)))) }
        @if let Some(older) = older { p { a href={ "/console/changes?before=" (older) } { "Older changes" } } }
    }
}

fn row(Changed { at, change }: &Changed) -> Row {
    let label = |label: &Option<Label>| html! { (label.as_ref().map_or("–", Label::as_str)) };
    vec![
        html! { (change.number) },
        time(*at),
        html! { (change.who.as_ref().map_or("nobody needs a key", KeyName::as_str)) },
        words(change.what.as_str()),
        label(&change.before),
        label(&change.after),
        label(&change.note),
        html! { code { (change.request_id) } },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::event::Change;
    use holdfast_engine::ids::RequestId;
    use holdfast_engine::time::Timestamp;

    fn changed(who: Option<&str>, note: &str) -> Changed {
        let change = Change {
            number: 7,
            who: who.and_then(KeyName::new),
            what: Label::new("engine.credits").unwrap(),
            before: Label::new("32768"),
            after: None,
            note: Label::new(note),
            request_id: RequestId::new("req_1").unwrap(),
        };
        Changed { at: Timestamp::new(1), change: Box::new(change) }
    }

    #[test]
    fn a_change_names_who_what_and_why_and_all_of_it_is_text() {
        let shown = page(&[changed(Some("ops"), "<img/onerror=x>")], Some(7)).into_string().replace("<wbr>", "");
        for expected in ["ops", "engine.credits", "32768", "–", "&lt;img/onerror=x&gt;", "req_1", "before=7"] {
            assert!(shown.contains(expected), "{expected} is not in {shown}");
        }
        assert!(page(&[changed(None, "x")], None).into_string().contains("nobody needs a key"));
        assert!(page(&[], None).into_string().contains("Nothing was changed"));
    }
}
