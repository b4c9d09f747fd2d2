//! Follows an operation of a running server until it has ended.
//!
//! Invariant: one that failed is told with its reason.

use super::asking::{Answer, OPERATIONS, ask};
use crate::cli::ServerArgs;
use crate::progress;
use actix_web::http::Method;
use serde_json::Value;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(100);

/// What is so whatever became of the server: the change was acknowledged before there was an operation.
const LOST: &str = "\n  the change is in the journal and counts, after a restart too: `holdfast tune show` says what is in force, `holdfast tune history` \
                    what was changed";

/// The operation as it ended.
///
/// # Errors
/// If the server does not say any more how far it is: it stopped, or it started again and forgot it.
pub(super) fn to_the_end(server: &ServerArgs, mut operation: Value) -> Answer {
    let path = path(&operation);
    let bar = progress::bar_of_moves();
    while operation["state"] == "running" {
        let [moved, moves] = ["moved", "moves"].map(|name| operation[name].as_u64().unwrap_or_default());
        bar.at(moved, moves);
        std::thread::sleep(PAUSE);
        operation = ask(server, Method::GET, &path, None).map_err(|error| format!("{error}{LOST}"))?;
    }
    bar.finish();
    Ok(operation)
}

/// Where the server says how far it is.
fn path(operation: &Value) -> String {
    format!("{OPERATIONS}{}", operation["id"].as_str().unwrap_or_default())
}

/// How far it is, in a line of its own. One that runs may not have counted its moves: then they are as many as were planned, if there was
/// a plan.
pub(super) fn words(operation: &Value, planned: Option<usize>) -> String {
    let [id, state, reason] = ["id", "state", "reason"].map(|name| operation[name].as_str().unwrap_or_default());
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let [moved, moves] = ["moved", "moves"].map(|name| operation[name].as_u64().unwrap_or_default());
    let follow = format!("; GET {} says how far it is", path(operation));
    match (state, moves, planned) {
        ("running", 0, None) => format!("\noperation {id} running{follow}"),
        ("running", 0, Some(planned)) => format!("\noperation {id} running: {planned} partitions are to move{follow}"),
        ("running", ..) => format!("\noperation {id} running: moved {moved} of {moves}{follow}"),
        _ => format!("\noperation {id} {state}{reason}: moved {moved} of {moves}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_operation_is_told_with_how_far_it_came_and_why_it_failed() {
        let done = json!({"id": "3", "state": "done", "moved": 48, "moves": 48});
        assert_eq!(words(&done, Some(48)), "\noperation 3 done: moved 48 of 48");
        let failed = json!({"id": "3", "state": "failed", "reason": "the engine stopped", "moved": 2, "moves": 48});
        assert_eq!(words(&failed, None), "\noperation 3 failed (the engine stopped): moved 2 of 48");
    }

    #[test]
    fn an_operation_that_is_not_waited_for_is_told_with_what_is_planned_and_how_to_follow_it() {
        let begun = |moved: u64, moves: u64| json!({"id": "3", "state": "running", "moved": moved, "moves": moves});
        let follow = "; GET /admin/v1/operations/3 says how far it is";
        for (begun, planned, said) in [
            (begun(0, 0), Some(12), ": 12 partitions are to move"),
            (begun(0, 0), None, ""),
            (begun(2, 12), Some(12), ": moved 2 of 12"),
        ] {
            assert_eq!(words(&begun, planned), format!("\noperation 3 running{said}{follow}"));
        }
    }
}
