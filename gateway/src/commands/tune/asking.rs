//! A running server, asked over its API.
//!
//! Invariant: what the server refuses is said in its words.

use crate::cli::ServerArgs;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use serde_json::Value;
use std::time::Duration;

/// Longer than a server waits for its journal.
const TIMEOUT: Duration = Duration::from_secs(30);
const MOST_BYTES: usize = 8 << 20;

pub(super) type Answer = Result<Value, Box<dyn std::error::Error>>;

pub(super) fn ask(server: &ServerArgs, method: Method, path: &str, body: Option<&Value>) -> Answer {
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
}
