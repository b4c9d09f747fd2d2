//! Many connections: what the engine keeps for itself.

use crate::raw::{Connection, head, sized};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::json;
use std::net::TcpStream;
use std::time::Duration;

const GENEROUS: Duration = Duration::from_secs(60);

/// A server that may have so many files open, and not raise that.
fn limited(files: usize) -> Options {
    let limit = format!("ulimit -n {files} && exec \"$@\"");
    Options::new().wrapper(["sh", "-c", &limit, "sh"]).env("HOLDFAST__SERVER__WORKERS", "3")
}

fn placed(connection: &mut Connection, key: usize) -> u16 {
    let lines: Vec<_> = (0..20).map(|_| json!({"sku": "MUG", "quantity": 1, "unit_price": 1})).collect();
    let metadata = json!({"note": "x".repeat(15_000)});
    let body = json!({"customer_id": "c", "currency": "EUR", "lines": lines, "metadata": metadata}).to_string();
    let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n{}", sized(body.len() as u64));
    connection.send(&[&head("POST /v1/orders", &headers), body.as_bytes()].concat());
    connection.answer().status
}

/// Connections took the last file, and the next file of the log could not be made: nobody could order.
#[test]
fn connections_beyond_the_limit_wait_while_the_engine_opens_its_files() {
    let mut server = Server::start(limited(640).env("HOLDFAST__ENGINE__SNAPSHOT_EVENTS", "500"));
    assert!(server.log().contains("128 connections are taken at once"), "{}", server.log());
    let mut modest = Connection::open(&server);
    let stock = json!({"on_hand": 1_000_000}).to_string();
    let headers = format!("Content-Type: application/json\r\nIf-Match: *\r\n{}", sized(stock.len() as u64));
    modest.send(&[&head("PUT /v1/inventory/MUG/locations/berlin", &headers), stock.as_bytes()].concat());
    assert_eq!(modest.answer().status, 200);
    let crowd: Vec<TcpStream> = (0..1_000).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let taken = |fewest: usize| poll(GENEROUS, || (server.open_files() >= fewest).then_some(()));
    assert!(taken(120).is_some(), "no connection was taken: {}", server.open_files());
    // Several files of the log, and snapshots.
    for key in 0..250 {
        assert_eq!(placed(&mut modest, key), 201);
    }
    assert!(server.open_files() < 640 - 256, "{} files are open", server.open_files());
    let files = std::fs::read_dir(server.data_dir().join("log")).unwrap().count();
    assert!(files >= 3, "the log never began another file: {files}");
    drop(crowd);
    let mut late = Connection::open(&server);
    late.send(&head("GET /livez", ""));
    assert_eq!(late.answer().status, 200, "a place is free again");
    drop((late, modest));
    full_files_of_the_log_are_closed(&mut server);
    assert!(!server.log().contains("Too many open files"), "{}", server.log());
}

/// Each stayed open: a log of terabytes had all the files that the process may have.
fn full_files_of_the_log_are_closed(server: &mut Server) {
    server.restart();
    let log = server.data_dir().join("log");
    let files = std::fs::read_dir(&log).unwrap().count();
    let open = || server.open_files_in(&log);
    assert!(files > 1 && poll(GENEROUS, || (open() == 1).then_some(())).is_some(), "of {files} files {} are open", open());
}

#[test]
fn a_limit_too_small_to_serve_is_refused_with_what_to_do() {
    let mut server = Server::prepare(limited(300));
    server.launch();
    let ended = server.wait_for_exit(GENEROUS).expect("it ends");
    assert!(!ended.success() && server.log().contains("ulimit -n"), "{}", server.log());
}
