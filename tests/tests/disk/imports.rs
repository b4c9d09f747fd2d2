//! Imports on a disk without space: they end with a line to go on from, or go on by themselves; no row overtakes another.

use crate::rig::{Tmpfs, assert_sound, remove, skip};
use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::io::Read;
use std::time::{Duration, Instant};
use ureq::SendBody;

const PATH: &str = "/v1/inventory/imports";
const SKUS: u64 = 20;
/// Long: only a failure takes it.
const PATIENCE: Duration = Duration::from_secs(90);

fn server_on(disk: &Tmpfs, wait_seconds: u64) -> Server {
    let options = Options::new().data_dir(disk.data_dir()).env("HOLDFAST__DATA__RESERVE_MB", "16");
    Server::start(options.env("HOLDFAST__SERVER__ANSWER_WAIT_SECONDS", wait_seconds.to_string()))
}

/// The row of a line: every SKU gets higher counts from line to line.
fn row(line: u64) -> String {
    format!("{}\n", json!({"sku": format!("SKU-{}", line % SKUS), "location": "main", "on_hand": line}))
}

fn rows(lines: impl Iterator<Item = u64>) -> Vec<u8> {
    lines.map(row).collect::<String>().into_bytes()
}

/// The lines of the answer.
fn import(server: &Server, mut body: impl Read) -> Vec<Value> {
    let agent = ureq::Agent::config_builder().timeout_global(Some(2 * PATIENCE)).build().new_agent();
    let request = agent.post(format!("{}{PATH}", server.url())).header("content-type", "application/x-ndjson");
    let mut answer = request.send(SendBody::from_reader(&mut body)).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn assert_last_rows_won(server: &Server, last: u64) {
    let client = Client::new(&server.url());
    for line in last + 1 - SKUS..=last {
        let shown = client.json(&Request::get(format!("/v1/inventory/SKU-{}", line % SKUS))).unwrap();
        assert_eq!(shown["on_hand"], line, "{shown}");
    }
}

/// It waited for ever, without a word.
#[test]
fn an_import_on_a_full_disk_ends_and_says_from_which_line_to_go_on() {
    let Some(disk) = Tmpfs::mount(128) else { return skip("tmpfs cannot be mounted (root?)") };
    let mut server = server_on(&disk, 2);
    assert_eq!(import(&server, &*rows(1..=100)).last().unwrap()["imported"], 100);
    let ballast = disk.ballast();
    let started = Instant::now();
    // Blank lines count, so line 1 is the nonsense, line 2 is blank and the rows begin with line 3.
    let body = [b"nonsense\n\n".to_vec(), rows(101..=5000)].concat();
    let told = import(&server, &*body);
    assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    assert_eq!((&told[0]["line"], &told[0]["code"]), (&json!(1), &json!("invalid_request")));
    let last = told.last().unwrap();
    assert_eq!((&last["code"], &last["refused"]), (&json!("durability_unavailable"), &json!(1)), "{last}");
    let from = last["resume_from_line"].as_u64().unwrap();
    let [imported, unfinished] = ["imported", "unfinished"].map(|member| last[member].as_u64().unwrap());
    assert!(from >= 3 && from <= imported + 3, "all lines before the one to go on from are settled: {last}");
    assert!((1..=2048).contains(&unfinished), "{last}");
    assert!(last["detail"].as_str().unwrap().contains(&format!("line {from} on")), "{last}");
    remove(&ballast);
    let again = poll(PATIENCE, || {
        let rest = import(&server, &*rows(from + 98..=5000)).pop().unwrap();
        (rest["unfinished"].is_null()).then_some(rest)
    });
    assert_eq!(again, Some(json!({"imported": 5000 - (from + 97), "refused": 0})), "{}", server.log());
    assert_last_rows_won(&server, 5000);
    assert!(server.terminate().success(), "{}", server.log());
    assert_sound(&server);
}

/// The rows of an import, with a disk that fills up in the middle of them.
struct Filling<'a> {
    disk: &'a Tmpfs,
    rows: std::io::Cursor<Vec<u8>>,
    filled: bool,
}

impl Read for Filling<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rows.position() > self.rows.get_ref().len() as u64 / 2 && !self.filled {
            self.disk.ballast();
            self.filled = true;
        }
        let length = buffer.len().min(4096);
        self.rows.read(&mut buffer[..length])
    }
}

/// What the engine lost when it was opened anew was sent again beside later rows.
#[test]
fn an_import_goes_on_when_there_is_space_again_and_no_row_overtakes_another() {
    let Some(disk) = Tmpfs::mount(128) else { return skip("tmpfs cannot be mounted (root?)") };
    let mut server = server_on(&disk, 60);
    let ballast = disk.data_dir().with_file_name("ballast");
    let told = std::thread::scope(|scope| {
        let body = Filling { disk: &disk, rows: std::io::Cursor::new(rows(1..=6000)), filled: false };
        let import = scope.spawn(|| import(&server, body));
        let full = poll(PATIENCE, || server.log().contains("the disk is full").then_some(()));
        assert!(full.is_some(), "the disk was never full\n{}", server.log());
        remove(&ballast);
        import.join().unwrap()
    });
    assert_eq!(told, [json!({"imported": 6000, "refused": 0})], "{}", server.log());
    assert_last_rows_won(&server, 6000);
    assert!(server.terminate().success(), "{}", server.log());
    assert_sound(&server);
}
