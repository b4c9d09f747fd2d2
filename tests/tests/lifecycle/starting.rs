//! Starts that are refused: before anything is made, and with the documented exit codes.

use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// The exit code of a `serve` on the data of `server`.
fn refused(server: &Server, args: &[&str]) -> Option<i32> {
    let data = server.data_dir().display().to_string();
    server.run(&[&["serve", "--data-dir", &data], args].concat()).0.code()
}

#[test]
fn a_start_that_is_refused_makes_nothing_and_ends_with_one_or_two() {
    let server = Server::prepare(Options::new());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    assert_eq!(refused(&server, &["--listen", "nonsense"]), Some(1), "an address that is none");
    assert_eq!(refused(&server, &["--listen", &port]), Some(1), "a port that somebody has");
    assert_eq!(refused(&server, &["--listen", "0.0.0.0:0"]), Some(1), "reachable from outside without keys");
    assert_eq!(refused(&server, &["--lissten", "1"]), Some(2), "a command line that is none");
    let with_a_wrong_key = Server::prepare(Options::new().env("HOLDFAST__AUTH__KEYS", "[{name = 'a', hash = 'b'}]"));
    assert_eq!(refused(&with_a_wrong_key, &["--listen", "127.0.0.1:0"]), Some(1), "a key that is none");
    assert!(!server.data_dir().exists() && !with_a_wrong_key.data_dir().exists(), "a refused start made a data directory");
}

#[test]
fn a_data_directory_that_is_no_directory_is_refused() {
    let server = Server::prepare(Options::new());
    std::fs::write(server.data_dir(), "a file").unwrap();
    assert_eq!(refused(&server, &["--listen", "127.0.0.1:0"]), Some(1));
    assert_eq!(std::fs::read(server.data_dir()).unwrap(), b"a file");
}

#[test]
fn a_data_directory_that_a_server_has_is_refused_and_that_server_goes_on() {
    let server = Server::start(Options::new());
    // As if it was writing this very moment: whoever opens the record takes half a line for one of the dead.
    let record = server.data_dir().join("sandbox/attempts.jsonl");
    std::fs::write(&record, b"{\"attempt\":\"pay_").unwrap();
    assert_eq!(refused(&server, &["--listen", "127.0.0.1:0"]), Some(1), "its data");
    assert_eq!(std::fs::read(&record).unwrap(), b"{\"attempt\":\"pay_", "the record of the payments was touched");
    assert_eq!(refused(&server, &["--listen", &server.address()]), Some(1), "its data and its port");
    assert_eq!(Client::new(&server.url()).ask(&Request::get("/readyz")).unwrap().status, 200);
}

/// A port that nobody listens on: connections of clients may have it after a kill.
fn held(address: &str) -> OwnedFd {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let address: SocketAddrV4 = address.parse().unwrap();
    net::bind(&socket, &address).unwrap();
    socket
}

/// The data directory was free, and the port was not: the start ended.
#[test]
fn an_address_that_nobody_listens_on_is_waited_for_and_taken_when_it_comes_free() {
    let mut server = Server::prepare(Options::new());
    let held = held(&server.address());
    server.launch();
    let waits = poll(PATIENCE, || server.log().contains("the address is in use").then_some(()));
    assert!(waits.is_some(), "{}", server.log());
    drop(held);
    let ready = server.wait_until_ready(PATIENCE);
    assert!(ready.is_ok(), "{ready:?}\n{}", server.log());
    assert_eq!(server.log().matches("the address is in use").count(), 1);
}

/// Keys that are made in such a directory are gone once it is emptied.
#[test]
fn a_restore_that_was_not_finished_is_said_before_that_keys_are_missing() {
    let mut server = Server::prepare(Options::new());
    std::fs::create_dir(server.data_dir()).unwrap();
    for file in ["holdfast.meta.restoring", "api-keys.mark"] {
        std::fs::write(server.data_dir().join(file), "").unwrap();
    }
    server.launch();
    let ended = server.wait_for_exit(PATIENCE);
    let log = server.log();
    assert_eq!(ended.and_then(|status| status.code()), Some(1), "{log}");
    assert!(log.contains("was not finished") && !log.contains("api-keys"), "{log}");
}
