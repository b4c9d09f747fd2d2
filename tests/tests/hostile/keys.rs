//! Keys that are lost, made and taken back while the server runs.

use crate::browser::{Answer, send};
use holdfast_tests::server::{Options, STOP, Server, poll};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const SKUS: &str = "GET /v1/inventory";

fn key_command(server: &Server, args: &[&str]) -> Value {
    let dir = server.data_dir().display().to_string();
    let (status, said) = server.run(&[&["key"], args, &["--data-dir", &dir, "--json"]].concat());
    assert!(status.success(), "{args:?}");
    serde_json::from_str(&said).unwrap()
}

fn new_key(server: &Server, name: &str) -> String {
    key_command(server, &["new", "--name", name])["key"].as_str().unwrap().to_owned()
}

fn guarded() -> (Server, String) {
    let mut server = Server::prepare(Options::new());
    let key = new_key(&server, "storefront");
    server.restart();
    (server, key)
}

fn with_key(server: &Server, key: &str) -> Answer {
    send(server, SKUS, &[("authorization", &format!("Bearer {key}"))], "")
}

fn becomes(server: &Server, key: &str, status: u16) {
    let seen = poll(PATIENCE, || (with_key(server, key).status == status).then_some(()));
    seen.unwrap_or_else(|| panic!("the key is not answered with {status}\n{}", server.log()));
}

fn file(server: &Server) -> PathBuf {
    server.data_dir().join("api-keys.jsonl")
}

/// What a start says that is refused.
fn refused(server: &mut Server) -> String {
    server.launch();
    let ended = server.wait_for_exit(STOP).expect("it serves");
    assert_eq!(ended.code(), Some(1));
    server.log()
}

/// The server was open to everybody.
#[test]
fn a_start_without_the_keys_that_there_were_is_refused_with_the_way_out() {
    let (mut server, _) = guarded();
    server.terminate();
    let good = fs::read(file(&server)).unwrap();
    for lose in [|path| fs::write(path, ""), |path| fs::write(path, "\n\n"), |path| fs::remove_file(path)] {
        let lose: fn(PathBuf) -> std::io::Result<()> = lose;
        lose(file(&server)).unwrap();
        let told = refused(&mut server);
        assert!(told.contains("api-keys.jsonl") && told.contains("holdfast key new") && told.contains("api-keys.mark"), "{told}");
        fs::write(file(&server), &good).unwrap();
    }
    server.restart();
}

#[test]
fn a_start_with_keys_that_were_changed_on_disk_is_refused_by_file_and_line() {
    let (mut server, _) = guarded();
    new_key(&server, "second");
    server.terminate();
    let good = fs::read_to_string(file(&server)).unwrap();
    let changed = good.replace("second", "sacond");
    let cut = good[..good.len() - good.lines().last().unwrap().len() - 1].to_owned();
    for (bad, part) in [(changed, "api-keys.jsonl:2"), (cut, "the end of the file is gone")] {
        fs::write(file(&server), bad).unwrap();
        let told = refused(&mut server);
        assert!(told.contains(part), "{told}");
    }
    fs::write(file(&server), good).unwrap();
    server.restart();
}

#[test]
fn a_key_that_is_made_or_taken_back_counts_without_a_restart() {
    let (server, first) = guarded();
    assert_eq!(with_key(&server, &first).status, 200);
    let second = new_key(&server, "second");
    becomes(&server, &second, 200);
    assert_eq!(key_command(&server, &["revoke", "storefront"])["revoked"], 1);
    becomes(&server, &first, 401);
    assert_eq!(with_key(&server, &second).status, 200);
    let listed = key_command(&server, &["list"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &Value::from("second")));
    assert!(!listed.to_string().contains(&second));
}

#[test]
fn the_first_key_closes_a_server_that_was_open() {
    let server = Server::start(Options::new());
    assert_eq!(send(&server, SKUS, &[], "").status, 200);
    let key = new_key(&server, "first");
    let closed = poll(PATIENCE, || (send(&server, SKUS, &[], "").status == 401).then_some(()));
    assert!(closed.is_some());
    assert_eq!(with_key(&server, &key).status, 200);
}

#[test]
fn keys_that_vanish_under_a_running_server_let_nobody_in() {
    let (server, key) = guarded();
    fs::write(file(&server), "").unwrap();
    becomes(&server, &key, 401);
    assert_eq!(send(&server, SKUS, &[], "").status, 401);
    assert!(server.log().contains("nobody is let in"), "{}", server.log());
}

#[test]
fn keys_that_cannot_be_read_leave_those_of_before_in_force() {
    let (server, key) = guarded();
    fs::write(file(&server), "half a li").unwrap();
    let told = poll(PATIENCE, || server.log().contains("cannot be read, those of before go on to count").then_some(()));
    assert!(told.is_some(), "{}", server.log());
    assert_eq!(with_key(&server, &key).status, 200);
}

fn refused_so_far(server: &Server) -> u64 {
    let metrics = send(server, "GET /metrics", &[], "").body;
    let counted = metrics.lines().find_map(|line| line.strip_prefix("holdfast_logins_refused_total "));
    counted.map_or(0, |count| count.parse().unwrap())
}

/// They cost a guesser nothing.
#[test]
fn wrong_keys_are_counted_and_slowed_and_the_right_one_is_not() {
    let (server, key) = guarded();
    let began = Instant::now();
    thread::scope(|scope| {
        let wrong = || (0..3).for_each(|_| assert_eq!(with_key(&server, "hf_wrong").status, 401));
        let guessing: Vec<_> = (0..8).map(|_| scope.spawn(wrong)).collect();
        // Beside answers that wait: with all there are at once waiting for a second, twenty would take as many seconds.
        let waiting = poll(PATIENCE, || (refused_so_far(&server) > 10).then_some(()));
        assert!(waiting.is_some(), "nothing was refused");
        let asked = Instant::now();
        (0..20).for_each(|_| assert_eq!(with_key(&server, &key).status, 200));
        assert!(asked.elapsed() < Duration::from_secs(15), "twenty right keys took {:?}", asked.elapsed());
        guessing.into_iter().for_each(|guessing| guessing.join().unwrap());
    });
    // Twenty-four refusals: ten at once, and at most one more for each second that has passed.
    assert!(began.elapsed() >= Duration::from_secs(1), "nobody was slowed");
    assert_eq!(refused_so_far(&server), 24);
    for _ in 0..30 {
        let without = send(&server, SKUS, &[], "");
        assert_eq!((without.status, without.header("www-authenticate")), (401, Some("Bearer")));
    }
    assert_eq!(with_key(&server, "hf_wrong").header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
}
