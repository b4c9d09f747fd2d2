//! Malformed requests: none earns a 5xx, none hangs, none makes the server grow.
//!
//! The requests come from a seed; a failure names the seed of its request. HOLDFAST_MALFORMED sets how many
//! are sent in a round.

mod requests;

use crate::client::Api;
use crate::raw;
use crate::shop::{audited, order, place, put};
use holdfast_tests::server::{Options, Server};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Instant;

const THREADS: u64 = 8;
const SEED: u64 = 0x5eed;
/// The most rounds of requests memory may take to come level.
const ROUNDS: u64 = 16;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Answered(u16),
    /// The connection ended without an answer.
    Closed,
    /// Neither within the patience of a test.
    Hung,
}

type Tally = BTreeMap<Fate, u64>;

fn send(server: &Server, request: &[u8]) -> Fate {
    let mut socket = raw::connect(server);
    // A server that has heard enough may close before everything is written.
    let written = socket.write_all(request).and_then(|()| socket.shutdown(Shutdown::Write));
    let hung = |kind: ErrorKind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
    if written.is_err_and(|error| hung(error.kind())) {
        return Fate::Hung;
    }
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while head.len() < 12 {
        match socket.read(&mut buffer) {
            Ok(0) => return Fate::Closed,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
            Err(error) if hung(error.kind()) => return Fate::Hung,
            Err(_) => return Fate::Closed,
        }
    }
    let status = std::str::from_utf8(&head[9..12]).ok().and_then(|status| status.parse().ok());
    Fate::Answered(status.unwrap_or_else(|| panic!("not HTTP: {}", String::from_utf8_lossy(&head))))
}

/// Sends the requests of these numbers; panics at the first that gets what none may get.
fn bombard(server: &Server, numbers: std::ops::Range<u64>) -> Tally {
    let share = |thread: u64| {
        let mut tally = Tally::new();
        for number in numbers.clone().filter(|number| number % THREADS == thread) {
            let request = requests::make(SEED + number);
            let fate = send(server, &request);
            let bad = matches!(fate, Fate::Hung | Fate::Answered(500..));
            assert!(
                !bad,
                "seed {:#x}: {fate:?} for {}",
                SEED + number,
                String::from_utf8_lossy(&request[..request.len().min(600)])
            );
            *tally.entry(fate).or_default() += 1;
        }
        tally
    };
    let mut total = Tally::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || share(thread))).collect();
        for (fate, count) in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            *total.entry(fate).or_default() += count;
        }
    });
    total
}

/// Bombards the server in rounds of `count` until two in a row left its memory no larger than any before them; panics
/// when none did. One reading proves nothing: an allocator keeps and returns pages as it pleases, by tens of megabytes,
/// but only a leak grows in every round.
fn bombard_until_memory_is_level(server: &Server, count: u64) -> Tally {
    let (mut total, mut highest, mut level) = (Tally::new(), 0, 0);
    for round in 0..ROUNDS {
        for (fate, count) in bombard(server, round * count..(round + 1) * count) {
            *total.entry(fate).or_default() += count;
        }
        let resident = server.resident() >> 10;
        eprintln!("round {round}: {resident} KiB");
        level = if resident <= highest + highest / 50 { level + 1 } else { 0 };
        highest = highest.max(resident);
        if level == 2 {
            return total;
        }
    }
    panic!("still growing after {ROUNDS} rounds of {count}: {highest} KiB");
}

#[test]
fn malformed_requests_give_no_5xx_no_hang_and_no_growth() {
    let count = std::env::var("HOLDFAST_MALFORMED").ok().and_then(|count| count.parse().ok()).unwrap_or(30_000);
    let server = Server::start(Options::new());
    let started = Instant::now();
    let tally = bombard_until_memory_is_level(&server, count);
    eprintln!("malformed requests from seed {SEED:#x}: {tally:?} in {:.1?}", started.elapsed());
    assert!(
        tally.keys().filter(|fate| matches!(fate, Fate::Answered(400..500))).count() >= 6,
        "too few kinds of refusal: {tally:?}"
    );
    let api = Api::of(&server);
    put(&api, "healthy", "berlin", 1);
    place(&api, &order("healthy", 1));
    audited(&api);
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn a_request_that_never_ends_its_head_is_closed() {
    let api = Api::shared();
    let mut socket = raw::connect(api.server());
    socket.set_read_timeout(Some(2 * raw::PATIENCE)).unwrap();
    socket.write_all(b"POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}
