//! Settings: those that can be changed while the server runs, and the plan of a change.

use super::super::layout::{scrolling, words};
use super::super::session::Operator;
use super::super::table::{Column, Row, table};
use crate::settings::{Knob, Settings};
use crate::tuning::plan::{Plan, Planned};
use crate::tuning::{text, value};
use maud::{Markup, html};

const COLUMNS: [Column; 4] =
    [Column::words("Setting"), Column::text("Value"), Column::text("From"), Column::list("What a change does")];
const DIFFERENCES: [Column; 4] =
    [Column::words("Setting"), Column::text("Now"), Column::text("Then"), Column::list("What it does")];

/// A setting as it is in force.
pub struct Shown {
    pub knob: &'static Knob,
    pub value: String,
    /// Where its value comes from.
    pub origin: String,
}

impl Shown {
    pub fn of(knob: &'static Knob, settings: &Settings, origin: String) -> Self {
        Self { knob, value: value(settings, knob.key).as_ref().map(text).unwrap_or_default(), origin }
    }
}

/// What somebody wrote into the form, and why it was not taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refused<'a> {
    pub key: &'a str,
    pub value: &'a str,
    pub why: Option<&'a str>,
}

pub fn page(settings: &[Shown], operator: &Operator, refused: Refused<'_>) -> Markup {
    html! {
        @if operator.acts() { (form(settings, refused)) }
        (scrolling("Settings that can be changed", &table(Some("settings"), &COLUMNS, settings.iter().map(row))))
        p class="soft" { "All other settings change by a restart. Who changed what is in " a href="/console/changes" { "Changes" } "." }
    }
}

fn form(settings: &[Shown], Refused { key, value, why }: Refused<'_>) -> Markup {
    html! {
        form method="post" action="/console/settings/plan" class="search" {
            div {
                label for="key" { "Setting" }
                select id="key" name="key" { @for shown in settings { option selected[shown.knob.key == key] { (shown.knob.key) } } }
            }
            div class="wide" {
                label for="value" { "New value; nothing for what file and environment say" }
                input id="value" name="value" value=(value) autocomplete="off" spellcheck="false"
                    aria-describedby=[why.map(|_| "refused")] aria-invalid=[why.map(|_| "true")];
            }
            button { "Show the plan" }
        }
        @if let Some(why) = why { p id="refused" class="failure" role="alert" { (why) } }
    }
}

fn row(Shown { knob, value, origin }: &Shown) -> Row {
    vec![key(knob), html! { (value) }, html! { (origin) }, html! { (knob.effect) }]
}

fn key(knob: &Knob) -> Markup {
    html! { code { (words(knob.key)) } }
}

/// What a change would do, with the partitions that move by it, to be confirmed by the name of what is changed.
pub fn plan(plan: &Plan, moves: usize) -> Markup {
    let Some(first) = plan.changes.first() else {
        return html! { p { "It is so already: there is nothing to change." } p { a href="/console/settings" { "Back" } } };
    };
    html! {
        (scrolling("Plan", &table(Some("plan"), &DIFFERENCES, plan.changes.iter().map(difference))))
        @if moves > 0 { p { (moves) " partitions move to another shard." } }
        @for warning in &plan.warnings { p class="verdict warn" { span aria-hidden="true" { "!" } " " (warning) } }
        form method="post" action="/console/settings/apply" data-act class="stack" {
            input type="hidden" name="plan" value=(plan.id);
            div { label for="note" { "Why, for those who look at it later" } input id="note" name="note" autocomplete="off"; }
            div {
                label for="confirm" { "Write " code { (first.knob.key) } " to confirm" }
                input id="confirm" name="confirm" required autocomplete="off" spellcheck="false";
            }
            p class="failure" role="alert" {}
            button { "Apply" }
        }
        p { a href="/console/settings" { "Back without a change" } }
    }
}

fn difference(Planned { knob, from, to, .. }: &Planned) -> Row {
    vec![key(knob), html! { (text(from)) }, html! { (text(to)) }, html! { (knob.effect) }]
}
