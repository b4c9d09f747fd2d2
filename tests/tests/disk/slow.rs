//! A disk that is slow: the adviser says so, and proposes nothing that would not help.

use crate::rig::{Until, buy, has_strace, skip, stock};
use holdfast_tests::server::{Options, Server};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Of some seconds each. Only a failure takes them all.
const ROUNDS: usize = 30;

/// The server under strace, where each commit takes a twentieth of a second longer. With `-D` the tracer is not its parent.
fn slow_server() -> Server {
    let strace = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"];
    let delay = ["inject=fdatasync:delay_enter=50000"];
    Server::start(
        Options::new().env("HOLDFAST__ENGINE__CREDITS", "2").arg("--shards").arg("1").wrapper([&strace[..], &delay].concat()),
    )
}

/// What the adviser says, once it says something with this code.
fn said(client: &Client, code: &str) -> Option<Vec<Value>> {
    let frame = client.json(&Request::get("/admin/v1/frame")).ok()?;
    let advice = frame["advice"].as_array()?;
    advice.iter().any(|one| one["code"] == code).then(|| advice.clone())
}

#[test]
fn a_slow_disk_is_named_and_more_credits_are_not_proposed_although_they_run_out() {
    if !has_strace() {
        return skip("strace is missing or may not trace");
    }
    let server = slow_server();
    let url = server.url();
    stock(&url);
    let until = Until { buyers: 8, patience: PATIENCE, acknowledged: 50, others: u64::MAX };
    let said = (0..ROUNDS).find_map(|round| {
        buy(&url, &format!("slow-{round}"), 16, &until);
        said(&Client::new(&url), "slow_disk")
    });
    let said = said.expect("it is said");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["action"], json!(null));
}
