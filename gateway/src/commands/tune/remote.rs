//! `holdfast tune show|plan|apply|history`: the knobs of a running server, over its API.
//!
//! Invariant: what the server refuses is said in its words, and the command fails.

use super::super::{Outcome, output, table};
use super::asking::{Answer, ask, cell};
use super::following;
use crate::cli::{Applicable, ServerArgs, Wish};
use actix_web::http::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

fn rows(list: &Value, columns: &[&str]) -> Vec<Vec<String>> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| columns.iter().map(|column| cell(&item[*column])).collect()).collect()
}

fn print(answer: &Value, as_json: bool, text: impl FnOnce(&Value) -> String) -> Outcome {
    output::print(if as_json { answer.to_string() } else { text(answer) })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(server: &ServerArgs, all: bool, as_json: bool) -> Outcome {
    let answer = ask(server, Method::GET, "/admin/v1/tuning", None)?;
    print(&answer, as_json, |answer| {
        let mut rows = rows(&answer["settings"], &["key", "value", "change", "wanted", "origin"]);
        rows.retain(|row| all || row[2] == "live");
        table::lines(&["KEY", "VALUE", "CHANGE", "WANTED", "ORIGIN"], &rows)
    })
}

pub(super) fn plan(server: &ServerArgs, changes: &[Wish], reset: &[String], as_json: bool) -> Outcome {
    let answer = planned(server, changes, reset)?;
    print(&answer, as_json, |answer| {
        let diff = rows(&answer["diff"], &["key", "from", "to", "effect"]);
        if diff.is_empty() {
            return "nothing would change".to_owned();
        }
        let warnings = answer["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let warnings: String = warnings.iter().map(|warning| format!("\nwarning: {}", cell(warning))).collect();
        let moves = moves(&answer);
        let next = format!("holdfast tune apply {} --note \"…\"", cell(&answer["plan"]));
        format!("{}\n{moves}{warnings}\nTo carry it out:\n  {next}", table::lines(&["KEY", "FROM", "TO", "EFFECT"], &diff))
    })
}

fn moves(answer: &Value) -> String {
    let waits = |millis: f64| format!("; orders for one that moves wait for some {:.0} ms", millis.max(1.0));
    match answer["moves"].as_array().map_or(0, Vec::len) {
        0 => String::new(),
        moves => {
            let waits = answer["pause_estimate_ms"].as_f64().map_or_else(String::new, waits);
            format!("\n{moves} partitions move to another shard{waits}\n")
        }
    }
}

fn planned(server: &ServerArgs, changes: &[Wish], reset: &[String]) -> Answer {
    let set = changes.iter().map(|Wish { key, value }| (key.clone(), value.clone()));
    let changes: Map<String, Value> = set.chain(reset.iter().map(|key| (key.clone(), Value::Null))).collect();
    ask(server, Method::POST, "/admin/v1/tuning:plan", Some(&json!({"changes": changes})))
}

/// How a plan is applied.
pub(super) struct Applying<'a> {
    pub(super) note: Option<&'a str>,
    /// Until the partitions that move by it are where they are to be.
    pub(super) waits: bool,
    pub(super) as_json: bool,
}

pub(super) fn apply(server: &ServerArgs, what: &[Applicable], Applying { note, waits, as_json }: &Applying<'_>) -> Outcome {
    let plan = match Applicable::all(what)? {
        Applicable::Plan(plan) => plan,
        Applicable::Changes(changes) => cell(&planned(server, &changes, &[])?["plan"]),
    };
    let body = json!({"plan": plan, "note": note});
    let mut answer = ask(server, Method::POST, "/admin/v1/tuning:apply", Some(&body))?;
    if *waits && let Some(operation) = answer.get("operation").cloned() {
        answer["operation"] = following::to_the_end(server, operation)?;
    }
    print(&answer, *as_json, applied)?;
    Ok(if answer["operation"]["state"] == "failed" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What was applied.
fn applied(answer: &Value) -> String {
    let changes = rows(&answer["changes"], &["number", "what", "before", "after"]);
    let operation = answer.get("operation").map(following::words).unwrap_or_default();
    match &changes[..] {
        [] => "nothing had to change".to_owned(),
        changes => format!("{}{operation}", table::lines(&["NUMBER", "KEY", "FROM", "TO"], changes)),
    }
}

pub(super) fn history(server: &ServerArgs, limit: usize, as_json: bool) -> Outcome {
    let answer = ask(server, Method::GET, &format!("/admin/v1/changes?limit={limit}"), None)?;
    print(&answer, as_json, |answer| {
        let columns = ["number", "at", "who", "what", "before", "after", "note"];
        table::lines(&["NUMBER", "AT", "WHO", "WHAT", "BEFORE", "AFTER", "NOTE"], &rows(&answer["items"], &columns))
    })
}
