//! Audit: starts one, and shows how far it has come and what it found.

use super::super::audits::{Found, Shown, State};
use super::super::layout::{count, region, time};
use super::super::session::Operator;
use maud::{Markup, html};

pub fn page(shown: Option<&Shown>, operator: &Operator) -> Markup {
    html! {
        p {
            "An audit replays the whole journal beside the running engine and checks every invariant. There is one at a time, and it runs \
             only when nobody else wants the processor."
        }
        (region("audit", &state(shown)))
        @if operator.acts() {
            form method="post" action="/console/audit" data-act {
                p class="failure" role="alert" {}
                button { "Start an audit" }
            }
        }
    }
}

pub fn regions(shown: Option<&Shown>) -> Markup {
    region("audit", &state(shown))
}

fn state(shown: Option<&Shown>) -> Markup {
    let Some(Shown { begun, state }) = shown else {
        return html! { p { "No audit was started here since the server was." } };
    };
    html! {
        p { "Begun " (time(*begun)) }
        @match state {
            State::Runs(progress) => (running(progress.now())),
            State::Ended { at, found } => {
                p { "Ended " (time(*at)) }
                (result(found))
            }
            State::Failed { at, reason } => {
                p { "Given up " (time(*at)) }
                p class="verdict bad" { span aria-hidden="true" { "✕" } " It did not come to its end: " (reason) }
            }
        }
    }
}

fn running((done, all): (u64, u64)) -> Markup {
    html! {
        p id="audit-state" { "Running: " (count(done as f64)) " of " (count(all as f64)) " commits" }
        progress max=(all.max(1)) value=(done) aria-labelledby="audit-state" {}
    }
}

fn result(found: &Found) -> Markup {
    let Found { events, orders, reservations, skus, violations, all_violations } = found;
    html! {
        @if *all_violations == 0 {
            p id="audit-state" class="verdict good" { span aria-hidden="true" { "✓" } " Every invariant holds." }
        } @else {
            p id="audit-state" class="verdict bad" { span aria-hidden="true" { "✕" } " " (count(*all_violations as f64)) " violations. The first:" }
            ol { @for violation in violations { li { (violation) } } }
        }
        dl class="tiles" {
            @for (label, number) in [("Events", events), ("Orders", orders), ("Reservations", reservations), ("SKUs", skus)] {
                div { dt { (label) } dd { (count(*number as f64)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::audits::Audits;
    use crate::keys::Role;
    use holdfast_engine::time::Timestamp;
    use holdfast_storage::audit::Report;

    #[test]
    fn only_who_may_act_has_a_button() {
        let viewer = Operator { role: Role::Viewer, ..Operator::anybody() };
        assert!(page(None, &Operator::anybody()).into_string().contains("<button"));
        assert!(!page(None, &viewer).into_string().contains("<button"));
    }

    #[test]
    fn an_audit_is_shown_as_it_goes_on_and_ends() {
        let (audits, at) = (Audits::default(), Timestamp::new(1));
        let shown = |audits: &Audits| regions(audits.now().as_ref()).into_string();
        assert!(shown(&audits).contains("No audit"));
        audits.begin(at).is(3, 12);
        assert!(shown(&audits).contains("3 of 12 commits"));
        audits.end(at, at, Ok(Report::default()));
        assert!(shown(&audits).contains("Every invariant holds"));
        let violations: Vec<String> = (0..25).map(|n| format!("I{n} <b>")).collect();
        audits.end(at, at, Ok(Report { violations, ..Report::default() }));
        let page = shown(&audits);
        assert!(page.contains("25 violations") && page.contains("I19 &lt;b&gt;") && !page.contains("I20"), "{page}");
        audits.end(at, at, Err("the engine stopped".to_owned()));
        assert!(shown(&audits).contains("the engine stopped"));
    }
}
