//! `holdfast tune show|plan|apply|history`: the knobs of a running server, over its API.
//!
//! Invariant: what the server refuses is said in its words, and the command fails.

use super::super::{Outcome, output, table};
use crate::cli::{ServerArgs, Wish};
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// Longer than a server waits for its journal.
const TIMEOUT: Duration = Duration::from_secs(30);
const MOST_BYTES: usize = 8 << 20;

type Answer = Result<Value, Box<dyn std::error::Error>>;

fn ask(server: &ServerArgs, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let url = format!("{}{path}", server.url.trim_end_matches('/'));
    let failed = |error: &dyn std::fmt::Display| format!("{url}: {error}");
    let (status, bytes) = actix_web::rt::System::new().block_on(async {
        let mut request = awc::Client::builder().timeout(TIMEOUT).finish().request(method, &url);
        if let Some(key) = &server.key {
            request = request.insert_header((AUTHORIZATION, format!("Bearer {key}")));
        }
        let sent = match body {
            Some(body) => request.send_json(body).await,
            None => request.send().await,
        };
        let mut response = sent.map_err(|error| failed(&error))?;
        let bytes = response.body().limit(MOST_BYTES).await.map_err(|error| failed(&error))?;
        Ok::<_, String>((response.status(), bytes))
    })?;
    let answer: Value = serde_json::from_slice(&bytes).map_err(|_| failed(&format!("{status}, and no JSON")))?;
    if status.as_u16() == 200 { Ok(answer) } else { Err(refused(&answer).into()) }
}

/// What a problem says, all of it.
fn refused(problem: &Value) -> String {
    let detail = problem["detail"].as_str().unwrap_or("the server refused it");
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let error =
        |error: &Value| format!("\n  {}: {}", cell(&error["pointer"]).trim_start_matches("/changes/"), cell(&error["message"]));
    match errors {
        [] => detail.to_owned(),
        errors => format!("the server refuses it:{}", errors.iter().map(error).collect::<String>()),
    }
}

/// A value as a table has it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

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
    let set = changes.iter().map(|Wish { key, value }| (key.clone(), value.clone()));
    let changes: Map<String, Value> = set.chain(reset.iter().map(|key| (key.clone(), Value::Null))).collect();
    let answer = ask(server, Method::POST, "/admin/v1/tuning:plan", Some(&json!({"changes": changes})))?;
    print(&answer, as_json, |answer| {
        let diff = rows(&answer["diff"], &["key", "from", "to", "effect"]);
        if diff.is_empty() {
            return "nothing would change".to_owned();
        }
        let warnings = answer["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let warnings: String = warnings.iter().map(|warning| format!("\nwarning: {}", cell(warning))).collect();
        let next = format!("holdfast tune apply {} --note \"…\"", cell(&answer["plan"]));
        format!("{}\n{warnings}\nTo carry it out:\n  {next}", table::lines(&["KEY", "FROM", "TO", "EFFECT"], &diff))
    })
}

pub(super) fn apply(server: &ServerArgs, plan: &str, note: Option<&str>, as_json: bool) -> Outcome {
    let body = json!({"plan": plan, "note": note});
    let answer = ask(server, Method::POST, "/admin/v1/tuning:apply", Some(&body))?;
    print(&answer, as_json, |answer| {
        let changes = rows(&answer["changes"], &["number", "what", "before", "after"]);
        if changes.is_empty() {
            "nothing had to change".to_owned()
        } else {
            table::lines(&["NUMBER", "KEY", "FROM", "TO"], &changes)
        }
    })
}

pub(super) fn history(server: &ServerArgs, limit: usize, as_json: bool) -> Outcome {
    let answer = ask(server, Method::GET, &format!("/admin/v1/changes?limit={limit}"), None)?;
    print(&answer, as_json, |answer| {
        let columns = ["number", "at", "who", "what", "before", "after", "note"];
        table::lines(&["NUMBER", "AT", "WHO", "WHAT", "BEFORE", "AFTER", "NOTE"], &rows(&answer["items"], &columns))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_refuses_is_said_for_each_key() {
        let problem = json!({"detail": "x", "errors": [{"pointer": "/changes/engine.credits", "message": "must be 1 to 9"}]});
        assert_eq!(refused(&problem), "the server refuses it:\n  engine.credits: must be 1 to 9");
        assert_eq!(refused(&json!({"detail": "no such plan"})), "no such plan");
    }
}
