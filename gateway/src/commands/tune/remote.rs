//! `holdfast tune show|plan|apply|history`: the knobs of a running server, over its API.
//!
//! Invariant: what the server refuses is said in its words, and the command fails.

use super::super::{Outcome, output, table};
use super::asking::{Answer, ask, cell};
use super::following;
use crate::cli::{Applicable, ServerArgs, Wish};
use crate::settings::knob;
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
    let mut answer = ask(server, Method::GET, "/admin/v1/tuning", None)?;
    if let Some(settings) = answer["settings"].as_array_mut() {
        settings.retain(|setting| all || setting["change"] == "live");
    }
    print(&answer, as_json, |answer| {
        let rows = rows(&answer["settings"], &["key", "value", "change", "wanted", "origin"]);
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
        let warnings: String = warnings(answer).iter().map(|warning| format!("\nwarning: {}", cell(warning))).collect();
        let moves = moves(answer);
        let next = format!("holdfast tune apply {} --note \"…\"", cell(&answer["plan"]));
        format!("{}\n{moves}{warnings}\nTo carry it out:\n  {next}", table::lines(&["KEY", "FROM", "TO", "EFFECT"], &diff))
    })
}

fn warnings(plan: &Value) -> &[Value] {
    plan["warnings"].as_array().map(Vec::as_slice).unwrap_or_default()
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

/// The plan of what is wanted.
fn planned(server: &ServerArgs, changes: &[Wish], reset: &[String]) -> Answer {
    let changes = wanted(changes, reset)?;
    ask(server, Method::POST, "/admin/v1/tuning:plan", Some(&json!({"changes": changes})))
}

/// By key, what is wanted; null goes back.
///
/// # Errors
/// If a key is there twice: whoever wrote that meant one of them, and nobody knows which.
fn wanted(changes: &[Wish], reset: &[String]) -> Result<Map<String, Value>, String> {
    let set = changes.iter().map(|Wish { key, value }| (key.clone(), value.clone()));
    let mut wanted = Map::new();
    for (key, value) in set.chain(reset.iter().map(|key| (key.clone(), Value::Null))) {
        if wanted.insert(key.clone(), value).is_some() {
            return Err(format!("{key} is named twice: name it once, with the value that it is to have"));
        }
    }
    Ok(wanted)
}

/// How a plan is applied.
pub(super) struct Applying<'a> {
    pub(super) note: Option<&'a str>,
    /// Until the partitions that move by it are where they are to be.
    pub(super) waits: bool,
    pub(super) as_json: bool,
}

pub(super) fn apply(server: &ServerArgs, what: &[Applicable], Applying { note, waits, as_json }: &Applying<'_>) -> Outcome {
    let planned = match Applicable::all(what)? {
        Applicable::Plan(plan) => json!({"plan": plan}),
        Applicable::Changes(changes) => planned(server, &changes, &[])?,
    };
    // Before it is applied: it is the only moment at which they can be heeded.
    warnings(&planned).iter().for_each(|warning| tracing::warn!("{}", cell(warning)));
    let body = json!({"plan": planned["plan"], "note": note});
    let mut answer = ask(server, Method::POST, "/admin/v1/tuning:apply", Some(&body))?;
    if *waits && let Some(operation) = answer.get("operation").cloned() {
        answer["operation"] = following::to_the_end(server, operation)?;
    }
    let moves = planned["moves"].as_array().map(Vec::len);
    if let Some(warnings) = planned.get("warnings") {
        answer["warnings"] = warnings.clone();
    }
    print(&answer, *as_json, |answer| applied(answer, moves))?;
    Ok(if answer["operation"]["state"] == "failed" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What was applied, and what moves by it, as many partitions as were planned.
fn applied(answer: &Value, moves: Option<usize>) -> String {
    let mut changes = rows(&answer["changes"], &["number", "what", "before", "after"]);
    let operation = answer.get("operation").map(|operation| following::words(operation, moves)).unwrap_or_default();
    changes.iter_mut().filter(|row| row[AFTER].is_empty()).for_each(|row| row[AFTER] = went_back_to(&answer["diff"], &row[WHAT]));
    match &changes[..] {
        [] => "nothing had to change".to_owned(),
        changes => format!("{}{operation}", table::lines(&["NUMBER", "KEY", "FROM", "TO"], changes)),
    }
}

const WHAT: usize = 1;
const AFTER: usize = 3;

/// The value that a setting has again: the trail only says that it went back.
fn went_back_to(diff: &Value, key: &str) -> String {
    let of_key = |planned: &&Value| planned["key"] == key;
    diff.as_array().into_iter().flatten().find(of_key).map_or_else(String::new, |planned| cell(&planned["to"]))
}

pub(super) fn history(server: &ServerArgs, limit: usize, as_json: bool) -> Outcome {
    let answer = ask(server, Method::GET, &format!("/admin/v1/changes?limit={limit}"), None)?;
    print(&answer, as_json, |answer| {
        let rows: Vec<Vec<String>> = answer["items"].as_array().into_iter().flatten().map(happened).collect();
        table::lines(&["NUMBER", "AT", "WHO", "WHAT", "BEFORE", "AFTER", "NOTE"], &rows)
    })
}

/// What an operator did. A setting without a value behind it went back to the one that file, environment and arguments say.
fn happened(change: &Value) -> Vec<String> {
    let went_back = change["after"].is_null() && change["what"].as_str().is_some_and(|what| knob(what).is_some());
    let after = if went_back { "(reset)".to_owned() } else { cell(&change["after"]) };
    let [number, at, who, what, before, note] = ["number", "at", "who", "what", "before", "note"].map(|name| cell(&change[name]));
    vec![number, at, who, what, before, after, note]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_wanted_once_whether_it_is_set_or_reset() {
        let wish = |key: &str, value: u64| Wish { key: key.to_owned(), value: json!(value) };
        let reset = ["a.b".to_owned()];
        let all = wanted(&[wish("c.d", 5)], &reset).unwrap();
        assert_eq!(Value::Object(all), json!({"a.b": null, "c.d": 5}));
        for (changes, reset) in [(vec![wish("a.b", 7), wish("a.b", 9)], &[][..]), (vec![wish("a.b", 5)], &reset)] {
            let refused = wanted(&changes, reset).unwrap_err();
            assert!(refused.starts_with("a.b is named twice"), "{refused}");
        }
    }

    #[test]
    fn a_reset_shows_the_value_that_counts_again_and_the_history_that_it_was_one() {
        let change = json!({"number": 7, "what": "engine.credits", "before": "500", "after": null});
        let answer = json!({"changes": [change], "diff": [{"key": "engine.credits", "from": 500, "to": 32768}]});
        assert!(applied(&answer, None).ends_with("engine.credits   500  32768"), "{}", applied(&answer, None));
        assert_eq!(happened(&change)[5], "(reset)");
        let backup = json!({"number": 8, "what": "backup.make", "before": null, "after": null});
        assert_eq!(happened(&backup)[5], "", "no setting");
    }
}
