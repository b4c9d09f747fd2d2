//! A running server, asked over its API.
//!
//! Invariant: what the server refuses is said in its words.

use crate::cli::ServerArgs;
use actix_web::http::header::{AUTHORIZATION, HeaderValue};
use actix_web::http::{Method, StatusCode};
use serde_json::Value;
use std::time::Duration;

/// Longer than a server waits for its journal.
const TIMEOUT: Duration = Duration::from_secs(30);
const MOST_BYTES: usize = 8 << 20;
/// Where one can be missing although the address is right.
pub(super) const OPERATIONS: &str = "/admin/v1/operations/";

pub(super) type Answer = Result<Value, Box<dyn std::error::Error>>;

pub(super) fn ask(server: &ServerArgs, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let url = format!("{}{path}", server.url.trim_end_matches('/'));
    let failed = |error: &dyn std::fmt::Display| format!("{url}: {error}");
    let bearer = server.key.as_deref().map(bearer).transpose()?;
    let (status, bytes) = actix_web::rt::System::new().block_on(async {
        let mut request = awc::Client::builder().timeout(TIMEOUT).finish().request(method, &url);
        if let Some(bearer) = bearer {
            request = request.insert_header((AUTHORIZATION, bearer));
        }
        let sent = match body {
            Some(body) => request.send_json(body).await,
            None => request.send().await,
        };
        let mut response = sent.map_err(|error| failed(&error))?;
        let bytes = response.body().limit(MOST_BYTES).await.map_err(|error| failed(&error))?;
        Ok::<_, String>((response.status(), bytes))
    })?;
    let hint = hint(status, path, server.key.is_some());
    let answer = serde_json::from_slice(&bytes).map_err(|_| failed(&format!("{status}, and no JSON{hint}")))?;
    if status == StatusCode::OK { Ok(answer) } else { Err(format!("{}{hint}", refused(&answer)).into()) }
}

/// The key as it is sent.
///
/// # Errors
/// If it has what no key has. It is not shown: it may be a key but for that.
fn bearer(key: &str) -> Result<HeaderValue, &'static str> {
    let whole = key.bytes().all(|byte| byte.is_ascii_graphic());
    let bearer = HeaderValue::from_str(&format!("Bearer {key}")).ok().filter(|_| whole);
    bearer.ok_or(
        "the API key that --key or HOLDFAST_KEY gives has white space, an end of line or another character that no key has",
    )
}

/// What to do about an answer, in a line of its own, where the command line has to do with it.
fn hint(status: StatusCode, path: &str, has_key: bool) -> &'static str {
    match (status, has_key) {
        (StatusCode::UNAUTHORIZED, true) => "\n  the API key is the one that --key or HOLDFAST_KEY gives",
        (StatusCode::UNAUTHORIZED, false) => "\n  give an API key by --key or by HOLDFAST_KEY",
        (StatusCode::NOT_FOUND, _) if !path.starts_with(OPERATIONS) => {
            "\n  where operators have an address of their own ([admin] listen), --url has to be that one"
        }
        _ => "",
    }
}

/// What a problem says, all of it, and where it says to look.
fn refused(problem: &Value) -> String {
    let detail = problem["detail"].as_str().unwrap_or("the server refused it");
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let error =
        |error: &Value| format!("\n  {}: {}", cell(&error["pointer"]).trim_start_matches("/changes/"), cell(&error["message"]));
    let location = problem["location"].as_str().map_or_else(String::new, |location| format!("\n  location: {location}"));
    let again = if problem["code"] == "plan_stale" { "\n  plan again: holdfast tune plan …" } else { "" };
    match errors {
        [] => format!("{detail}{location}{again}"),
        errors => format!("the server refuses it:{}", errors.iter().map(error).collect::<String>()),
    }
}

/// A value as a table has it.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_server_refuses_is_said_for_each_key() {
        let problem = json!({"detail": "x", "errors": [{"pointer": "/changes/engine.credits", "message": "must be 1 to 9"}]});
        assert_eq!(refused(&problem), "the server refuses it:\n  engine.credits: must be 1 to 9");
        assert_eq!(refused(&json!({"detail": "no such plan"})), "no such plan");
    }

    #[test]
    fn a_refusal_ends_with_what_to_do_next() {
        let stale = json!({"detail": "no such plan", "code": "plan_stale"});
        assert_eq!(refused(&stale), "no such plan\n  plan again: holdfast tune plan …");
        let unknown = json!({"detail": "look at `location`", "location": "/admin/v1/changes"});
        assert_eq!(refused(&unknown), "look at `location`\n  location: /admin/v1/changes");
    }

    #[test]
    fn what_the_command_line_gave_is_named_where_that_may_be_wrong() {
        let tuning = "/admin/v1/tuning";
        for (status, path, has_key, part) in [
            (StatusCode::UNAUTHORIZED, tuning, false, "give an API key by --key or by HOLDFAST_KEY"),
            (StatusCode::UNAUTHORIZED, tuning, true, "--key or HOLDFAST_KEY"),
            (StatusCode::NOT_FOUND, tuning, true, "[admin] listen"),
        ] {
            assert!(hint(status, path, has_key).contains(part), "{status} {has_key}");
        }
        assert_eq!(hint(StatusCode::NOT_FOUND, "/admin/v1/operations/1", true), "", "the address is right");
    }

    #[test]
    fn a_key_with_what_no_key_has_is_refused_and_not_shown() {
        assert!(bearer("hf_abc").is_ok());
        for key in ["hf_abc\n", "hf_abc ", "hf_äbc"] {
            let refused = bearer(key).unwrap_err();
            assert!(refused.contains("HOLDFAST_KEY") && !refused.contains("hf_"), "{refused}");
        }
    }
}
