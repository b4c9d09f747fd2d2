//! Changes: what operators changed or began, the newest first.

use super::super::layout::{scrolling, time};
use holdfast_engine::event::Changed;
use maud::{Markup, html};

/// `older` is the number that the next page begins below.
pub fn page(changes: &[Changed], older: Option<u64>) -> Markup {
    html! {
        p { "What operators changed on the running server, each journalled before it was done." }
        @if changes.is_empty() { p { "Nothing was changed yet." } } @else { (scrolling("Changes", &table(changes))) }
        @if let Some(older) = older { p { a href={ "/console/changes?before=" (older) } { "Older changes" } } }
    }
}

fn table(changes: &[Changed]) -> Markup {
    html! {
        table id="changes" {
            thead {
                tr {
                    th scope="col" class="n" { "Number" }
                    @for heading in ["When", "Who", "What", "Before", "After", "Note", "Request"] { th scope="col" { (heading) } }
                }
            }
            tbody { @for changed in changes { (row(changed)) } }
        }
    }
}

fn row(changed: &Changed) -> Markup {
    let Changed { at, change } = changed;
    let label = |label: &Option<holdfast_engine::ids::Label>| label.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string);
    html! {
        tr {
            th scope="row" class="n" { (change.number) }
            td { (time(*at)) }
            td class="text" { (change.who.as_ref().map_or_else(|| "nobody needs a key".to_owned(), ToString::to_string)) }
            td { (change.what) }
            @for value in [&change.before, &change.after, &change.note] { td class="text" { (label(value)) } }
            td { code { (change.request_id) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::event::Change;
    use holdfast_engine::ids::{KeyName, Label, RequestId};
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
        let shown = page(&[changed(Some("ops"), "<img/onerror=x>")], Some(7)).into_string();
        for expected in ["ops", "engine.credits", "32768", "–", "&lt;img/onerror=x&gt;", "req_1", "before=7"] {
            assert!(shown.contains(expected), "{expected} is not in {shown}");
        }
        assert!(page(&[changed(None, "x")], None).into_string().contains("nobody needs a key"));
        assert!(page(&[], None).into_string().contains("Nothing was changed"));
    }
}
