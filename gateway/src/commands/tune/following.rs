//! Follows an operation of a running server until it has ended.
//!
//! Invariant: one that failed is told with its reason.

use super::asking::{Answer, ask};
use crate::cli::ServerArgs;
use crate::progress;
use actix_web::http::Method;
use serde_json::Value;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(100);

/// The operation as it ended.
pub(super) fn to_the_end(server: &ServerArgs, mut operation: Value) -> Answer {
    let path = format!("/admin/v1/operations/{}", operation["id"].as_str().unwrap_or_default());
    let bar = progress::bar_of_moves();
    while operation["state"] == "running" {
        let [moved, moves] = ["moved", "moves"].map(|name| operation[name].as_u64().unwrap_or_default());
        bar.at(moved, moves);
        std::thread::sleep(PAUSE);
        operation = ask(server, Method::GET, &path, None)?;
    }
    bar.finish();
    Ok(operation)
}

/// How far it is, in a line of its own.
pub(super) fn words(operation: &Value) -> String {
    let [id, state, reason] = ["id", "state", "reason"].map(|name| operation[name].as_str().unwrap_or_default());
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    format!("\noperation {id} {state}{reason}: moved {} of {}", operation["moved"], operation["moves"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_operation_is_told_with_how_far_it_came_and_why_it_failed() {
        let done = json!({"id": "3", "state": "done", "moved": 48, "moves": 48});
        assert_eq!(words(&done), "\noperation 3 done: moved 48 of 48");
        let failed = json!({"id": "3", "state": "failed", "reason": "the engine stopped", "moved": 2, "moves": 48});
        assert_eq!(words(&failed), "\noperation 3 failed (the engine stopped): moved 2 of 48");
    }
}
