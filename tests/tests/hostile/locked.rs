//! A second process over the data of a server: it is refused before it has looked at, made or cut anything in there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::server::{Options, Server, binary, poll};
use holdfast_tests::torture::client::{Client, Reached, Request};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const RECORD: &str = "sandbox/attempts.jsonl";
const IN_USE: &str = "the data directory is in use by another process";
/// Starts beside a server that is under load.
const STARTS: usize = 20;
/// Threads that pay.
const PAYERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

fn shop() -> Server {
    let server = Server::start(Options::new());
    let stock = Request::put("/v1/inventory/MUG/locations/main", 0, &json!({"on_hand": 1_000_000}));
    Client::new(&server.url()).json(&stock).unwrap();
    server
}

/// Buys and pays until told to stop. The attempts whose approval was acknowledged.
fn pay(url: &str, name: usize, stop: &AtomicBool) -> Vec<String> {
    let (client, mut approved) = (Client::new(url), Vec::new());
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let body = json!({"customer_id": "ada", "currency": "EUR", "payment": {"provider": "sandbox"},
            "lines": [{"sku": "MUG", "quantity": 1, "unit_price": 250}]});
        let Reached::Answered(placed) = client.send(&Request::keyed("/v1/orders", format!("{name}-{number}"), &body)) else {
            continue;
        };
        let Some(attempt) = placed.json()["payment"]["attempt_id"].as_str().map(str::to_owned) else { continue };
        let pressed = client.send(&Request::press(format!("/sandbox/payments/{attempt}/approve")));
        if matches!(pressed, Reached::Answered(answer) if answer.status == 200) {
            approved.push(attempt);
        }
    }
    approved
}

fn run(args: &[&str]) -> Output {
    Command::new(binary()).args(args).env("HOLDFAST__ENGINE__MEMORY_AHEAD_MB", "0").output().unwrap()
}

/// A command on the data of a server that runs: it is refused, in words.
fn refused(args: &[&str]) {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(IN_USE), "{args:?} ended with {}: {said}", output.status);
}

/// A start on another port, or a command that only looks.
fn another(number: usize, dir: &str, elsewhere: &str) {
    match number % 5 {
        0 => refused(&["verify", "--data-dir", dir]),
        1 => refused(&["backup", "--data-dir", dir, "--to", elsewhere]),
        _ => refused(&["serve", "--no-demo", "--listen", "127.0.0.1:0", "--data-dir", dir]),
    }
}

/// The second server opened the payment record of the first, and cut what that was just writing: approvals that buyers had been
/// told of were gone after the next start.
#[test]
fn a_second_server_is_refused_before_it_cuts_the_payment_record_of_the_first() {
    let (mut server, stop) = (shop(), AtomicBool::new(false));
    let (dir, elsewhere) = (server.data_dir().to_owned(), tempfile::tempdir().unwrap());
    let (name, other) = (dir.display().to_string(), elsewhere.path().join("backup").display().to_string());
    let url = server.url();
    let approved: Vec<String> = std::thread::scope(|scope| {
        let payers: Vec<_> = (0..PAYERS)
            .map(|payer| {
                scope.spawn({
                    let (url, stop) = (&url, &stop);
                    move || pay(url, payer, stop)
                })
            })
            .collect();
        let mut before = Vec::new();
        for number in 0..STARTS {
            another(number, &name, &other);
            let now = fs::read(dir.join(RECORD)).unwrap_or_default();
            assert!(now.starts_with(&before), "start {number} changed what was written already");
            before = now;
        }
        stop.store(true, Ordering::SeqCst);
        payers.into_iter().flat_map(|payer| payer.join().unwrap()).collect()
    });
    assert!(!approved.is_empty() && !Path::new(&other).exists());
    server.kill();
    let record = fs::read_to_string(dir.join(RECORD)).unwrap();
    let has = |attempt: &String| record.lines().any(|line| line.contains(attempt) && line.contains("\"approved\""));
    let lost: Vec<&String> = approved.iter().filter(|attempt| !has(attempt)).collect();
    assert!(lost.is_empty(), "{} of {} approvals are lost: {lost:?}", lost.len(), approved.len());
    server.restart();
    let (client, last) = (Client::new(&server.url()), approved.last().unwrap());
    let entry = client.json(&Request::get(format!("/sandbox/payments/{last}"))).unwrap_or_default();
    assert!(entry["state"] == "captured" || entry.is_null(), "{entry}");
}

/// Every file with its bytes, without what the lock itself is.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(content(&path))
        } else {
            drop(all.insert(path.display().to_string(), fs::read(&path).unwrap()))
        }
    }
    all
}

/// Also where the system does not say whose the lock is, as in another container: nothing but the lock itself decides.
#[test]
fn a_start_that_is_refused_leaves_half_a_line_and_torn_bytes_of_the_holder_alone() {
    let mut server = shop();
    pay_once(&server);
    server.kill();
    let dir = server.data_dir().to_owned();
    let half = b"{\"attempt\":\"pay_00000000000000000000000001-1\",\"st";
    std::io::Write::write_all(&mut fs::OpenOptions::new().append(true).open(dir.join(RECORD)).unwrap(), half).unwrap();
    let holder = fs::File::open(dir.join("holdfast.lock")).unwrap();
    holder.lock_shared().unwrap();
    let before = content(&dir);
    refused(&["serve", "--no-demo", "--listen", "127.0.0.1:0", "--data-dir", &dir.display().to_string()]);
    assert!(content(&dir) == before, "a start that was refused changed a file");
    drop(holder);
    server.restart();
}

fn pay_once(server: &Server) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let payer = scope.spawn(|| pay(&server.url(), 0, &stop));
        let paid = poll(PATIENCE, || fs::read_to_string(server.data_dir().join(RECORD)).ok()?.contains("approved").then_some(()));
        stop.store(true, Ordering::SeqCst);
        assert!(paid.is_some() && !payer.join().unwrap().is_empty());
    });
}

/// Between the look at the lock and the lock itself there was room for another start.
#[test]
fn of_two_servers_that_start_at_once_one_has_the_data_and_the_other_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let mut both = [(); 2].map(|()| Server::prepare(Options::new().data_dir(dir.path().join("data"))));
        both.iter_mut().for_each(Server::launch);
        let ready = both.each_mut().map(|server| server.wait_until_ready(PATIENCE).is_ok());
        assert_eq!(ready.iter().filter(|ready| **ready).count(), 1, "round {round}: {ready:?}");
        let refused = if ready[0] { &both[1] } else { &both[0] };
        assert!(refused.log().contains(IN_USE), "{}", refused.log());
    }
}
