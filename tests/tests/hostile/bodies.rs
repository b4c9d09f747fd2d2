//! Bodies that are slow, large or refused: what they cost others.

use crate::raw::{Connection, chunked, head, sized};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};
use std::time::Duration;

const GENEROUS: Duration = Duration::from_secs(60);
/// Of any request that nobody will ever send whole.
const HUGE: u64 = 10 << 30;
/// What may be under way on a loopback connection when it ends: buffers of both ends, and 64 KiB that are read.
const UNDER_WAY: usize = 32 << 20;

const ORDERS: &str = "POST /v1/orders";
const JSON: &str = "Content-Type: application/json\r\nIdempotency-Key: k\r\n";

/// A server with an API key, and the header that has it.
fn guarded() -> (Server, String) {
    let server = Server::prepare(Options::new());
    let dir = server.data_dir().to_str().unwrap();
    let (status, printed) = server.run(&["key", "new", "--name", "shop", "--data-dir", dir, "--json"]);
    assert!(status.success(), "{printed}");
    let key: Value = serde_json::from_str(&printed).unwrap();
    let header = format!("Authorization: Bearer {}\r\n", key["key"].as_str().unwrap());
    let mut server = server;
    server.restart();
    (server, header)
}

/// The server read on for as long as the client wrote, and of a chunked body for ever: gigabytes for a wrong key.
#[test]
fn a_request_that_is_refused_is_answered_before_its_body_which_is_not_read_on() {
    let (server, key) = guarded();
    let wrong = "Authorization: Bearer hf_0000000000000000000000000000000000000000000\r\n";
    let refused = [
        (401, ORDERS, [wrong, JSON].concat()),
        (401, "PUT /v1/inventory/MUG/locations/berlin", [wrong, JSON].concat()),
        (401, "POST /v1/inventory/imports", format!("{wrong}Content-Type: application/x-ndjson\r\n")),
        (404, "POST /v1/nowhere", [&key, JSON].concat()),
        (405, "PUT /v1/orders", [&key, JSON].concat()),
        (415, ORDERS, format!("{key}Idempotency-Key: k\r\nContent-Type: application/xml\r\n")),
        (400, ORDERS, format!("{key}Content-Type: application/json\r\n")),
        (400, "POST /v1/reservations", format!("{key}Content-Type: application/json\r\n")),
        (413, ORDERS, [&key, JSON].concat()),
        (413, "POST /v1/reservations:batch", [&key, JSON].concat()),
        (200, "GET /livez", String::new()),
    ];
    std::thread::scope(|scope| {
        for (status, request, headers) in &refused {
            for framing in [sized(HUGE), chunked()] {
                let server = &server;
                scope.spawn(move || refused_early(server, *status, request, headers, &framing));
            }
        }
    });
}

fn refused_early(server: &Server, status: u16, request: &str, headers: &str, framing: &str) {
    let mut connection = Connection::open(server);
    connection.send(&head(request, &[headers, framing].concat()));
    if status == 413 && framing == chunked() {
        // What has no length is too large once so much of it came.
        connection.send_chunks(2 << 20);
    }
    let answer = connection.answer();
    assert_eq!(answer.status, status, "{request} {framing}: {}", answer.shown());
    assert!(answer.header("connection").is_some_and(|value| value == "close"), "{request}: {}", answer.shown());
    let written = connection.flood(framing, GENEROUS);
    assert!(written < UNDER_WAY, "{request} {framing}: the server read {written} bytes and more");
}

/// A client that does not look at the answer before it has written everything sees it all the same.
#[test]
fn a_client_that_only_writes_still_finds_its_answer() {
    let server = Server::start(Options::new());
    let mut connection = Connection::open(&server);
    connection.send(&head("POST /v1/nowhere", &[JSON, &sized(HUGE)].concat()));
    let written = connection.flood(&sized(HUGE), GENEROUS);
    assert!(written < UNDER_WAY, "{written} bytes");
    assert_eq!(connection.answer().status, 404);
}

#[test]
fn a_refused_body_that_is_here_costs_the_client_no_connection() {
    let server = Server::start(Options::new());
    let mut connection = Connection::open(&server);
    let body = json!({"customer_id": "c"}).to_string();
    let without_key = head(ORDERS, &["Content-Type: application/json\r\n", &sized(body.len() as u64)].concat());
    for _ in 0..3 {
        connection.send(&[&without_key, body.as_bytes()].concat());
        let answer = connection.answer();
        assert_eq!((answer.status, answer.header("connection")), (400, None), "{}", answer.shown());
    }
    connection.send(&head("GET /livez", ""));
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn a_refusal_does_not_wait_for_a_body_that_its_client_holds_back() {
    let server = Server::start(Options::new());
    let expecting = ["Expect: 100-continue\r\n", JSON, &sized(2)].concat();
    let mut connection = Connection::open(&server);
    connection.send(&head(ORDERS, &expecting));
    assert_eq!(connection.answer().status, 100);
    connection.send(b"{}");
    assert_eq!(connection.answer().status, 400);
    for framing in [sized(HUGE), chunked()] {
        let mut refused = Connection::open(&server);
        refused.send(&head("POST /v1/nowhere", &["Expect: 100-continue\r\n", JSON, &framing].concat()));
        // The server asks for a body before it looks at the head; what matters is that it does not wait for it.
        let answer = Some(refused.answer()).filter(|answer| answer.status != 100).unwrap_or_else(|| refused.answer());
        assert_eq!((answer.status, answer.header("connection").as_deref()), (404, Some("close")), "{}", answer.shown());
    }
}

/// The rest of an import that had ended was read for ever.
#[test]
fn an_import_that_ends_early_reads_no_more() {
    let server = Server::start(Options::new());
    let mut import = Connection::open(&server);
    import.send(&head("POST /v1/inventory/imports", &["Content-Type: application/x-ndjson\r\n", &chunked()].concat()));
    // One line without an end.
    import.send_chunks(128 << 10);
    let answer = import.answer();
    assert!(answer.shown().contains("too_large"), "{}", answer.shown());
    let written = import.flood(&chunked(), GENEROUS);
    assert!(written < UNDER_WAY, "{written} bytes");
}

/// One byte each 29 s held a request, its memory and its connection for ever.
#[test]
fn a_body_that_trickles_is_given_up_although_it_never_pauses() {
    let server = Server::start(Options::new().env("HOLDFAST__SERVER__BODY_TIMEOUT_SECONDS", "1"));
    for framing in [sized(1000), chunked()] {
        let mut connection = Connection::open(&server);
        connection.send(&head(ORDERS, &[JSON, &framing].concat()));
        let answer = connection.trickle(&framing, 1, GENEROUS);
        assert_eq!((answer.status, answer.code()), (408, "request_timeout".to_owned()), "{}", answer.shown());
        assert!(answer.shown().contains("slower than 1024 bytes/s"), "{}", answer.shown());
    }
}

#[test]
fn a_body_may_not_take_longer_than_its_time_however_fast_it_comes_but_an_import_may() {
    let server = Server::start(Options::new().env("HOLDFAST__SERVER__BODY_SECONDS", "2"));
    let mut connection = Connection::open(&server);
    connection.send(&head(ORDERS, &[JSON, &sized(1 << 20)].concat()));
    let answer = connection.trickle(&sized(1 << 20), 2_000, GENEROUS);
    assert_eq!((answer.status, answer.code()), (408, "request_timeout".to_owned()), "{}", answer.shown());
    assert!(answer.shown().contains("within 2 s"), "{}", answer.shown());
    let mut import = Connection::open(&server);
    import.send(&head("POST /v1/inventory/imports", &["Content-Type: application/x-ndjson\r\n", &chunked()].concat()));
    let row = json!({"sku": "MUG", "location": "berlin", "on_hand": 7}).to_string() + "\n";
    // Twice as long as a body may take.
    for _ in 0..16 {
        import.send_chunk(row.repeat(40).as_bytes());
        import.rest(Duration::from_millis(250));
    }
    import.send(b"0\r\n\r\n");
    let answer = import.answer();
    assert!(answer.status == 200 && answer.shown().contains("\"imported\":640"), "{}", answer.shown());
}

/// Bodies that come slowly took memory without a bound: connections times a megabyte.
#[test]
fn bodies_in_hand_have_a_budget_and_small_orders_go_on_beyond_it() {
    let server = Server::start(Options::new().env("HOLDFAST__SERVER__BODIES_MB", "1"));
    let begun = || {
        let mut connection = Connection::open(&server);
        connection.send(&head(ORDERS, &[JSON, &sized(900 << 10)].concat()));
        connection.send(&vec![b' '; 600 << 10]);
        connection
    };
    // Whichever is read first takes the room.
    let refused = poll(GENEROUS, || {
        let (mut one, mut other) = (begun(), begun());
        let refused =
            |connection: &mut Connection| connection.answer_within(Duration::from_secs(1)).filter(|answer| answer.status == 503);
        let answer = refused(&mut one).or_else(|| refused(&mut other))?;
        Some((answer, one, other))
    });
    let (refused, one, other) = refused.expect("a body beyond the budget is refused");
    assert_eq!(refused.code(), "overloaded");
    assert!(refused.header("retry-after").is_some(), "{}", refused.shown());
    let mut small = Connection::open(&server);
    small.send(&[&head(ORDERS, &[JSON, &sized(2)].concat()), &b"{}"[..]].concat());
    assert_eq!(small.answer().status, 400, "it was read");
    drop((one, other));
    let taken = poll(GENEROUS, || {
        let mut third = Connection::open(&server);
        third.send(&head(ORDERS, &[JSON, &sized(900 << 10)].concat()));
        third.send(&vec![b' '; 900 << 10]);
        third.answer_within(Duration::from_secs(5)).filter(|answer| answer.status == 400)
    });
    assert!(taken.is_some(), "the room is free again");
}

/// 260 slow connections of one client had all the room for a minute, and every other client's body in pieces was refused.
#[test]
fn the_bodies_of_a_greedy_client_leave_room_for_those_of_another() {
    let options =
        Options::new().env("HOLDFAST__SERVER__BODIES_MB", "4").env("HOLDFAST__SERVER__TRUSTED_PROXIES", "127.0.0.1, ::1");
    let server = Server::start(options);
    let begun = |client: &str, bytes: usize| {
        let mut connection = Connection::open(&server);
        let client = format!("X-Forwarded-For: {client}\r\n");
        connection.send(&head(ORDERS, &[JSON, &client, &sized(900 << 10)].concat()));
        connection.send(&vec![b' '; bytes]);
        connection
    };
    let mut greedy: Vec<Connection> = (0..8).map(|_| begun("192.0.2.1", 600 << 10)).collect();
    let refused =
        poll(GENEROUS, || greedy.iter_mut().find_map(|connection| connection.answer_within(Duration::from_millis(100))));
    let refused = refused.expect("a client is refused beyond its share");
    assert_eq!((refused.status, refused.code()), (503, "overloaded".to_owned()));
    assert!(refused.shown().contains("that one client may have"), "{}", refused.shown());
    for _ in 0..5 {
        let mut modest = begun("192.0.2.2", 300 << 10);
        modest.rest(Duration::from_millis(50));
        modest.send(&vec![b' '; 600 << 10]);
        let answer = modest.answer();
        assert_eq!(answer.status, 400, "it was not read whole: {}", answer.shown());
    }
    drop(greedy);
}

/// A body of 1 MB came back as 4.
#[test]
fn what_a_refusal_says_is_short_however_long_the_request_was() {
    let server = Server::start(Options::new());
    let odd = "\\u0001".repeat(150_000);
    let lines: Vec<Value> = (0..500).map(|_| json!({"sku": "\u{1}".repeat(200), "quantity": 0, "unit_price": -1})).collect();
    let items: Vec<Value> =
        (0..4_000).map(|n| json!({"key": format!("{n}"), "lines": vec![json!({"sku": "", "quantity": 0}); 8]})).collect();
    let bodies = [
        (ORDERS, format!("{{\"{odd}\": 1}}"), 64 << 10),
        (ORDERS, format!("{{\"currency\": {{\"{odd}\": 1}}}}"), 64 << 10),
        (ORDERS, json!({"customer_id": "c", "currency": "EUR", "lines": lines}).to_string(), 64 << 10),
        ("POST /v1/reservations", format!("{{\"ttl_seconds\": \"{odd}\"}}"), 64 << 10),
        ("POST /v1/availability:query", json!({"skus": vec!["\u{1}"; 1000]}).to_string(), 64 << 10),
        ("POST /v1/reservations:batch", json!({"items": items}).to_string(), 4 << 20),
    ];
    for (request, body, most) in &bodies {
        let mut connection = Connection::open(&server);
        connection.send(&head(request, &[JSON, &sized(body.len() as u64)].concat()));
        connection.send(body.as_bytes());
        let answer = connection.answer();
        assert!([200, 400].contains(&answer.status), "{request}: {}", answer.status);
        assert!(answer.body.len() <= *most, "{request}: {} bytes for {}", answer.body.len(), body.len());
    }
    for path in ["x".repeat(30_000), "%01".repeat(10_000), "orders?".to_owned() + &"%22".repeat(10_000)] {
        let mut connection = Connection::open(&server);
        connection.send(&head(&format!("GET /v1/{path}"), ""));
        let answer = connection.answer();
        assert!(answer.status >= 400 && answer.body.len() <= 4 << 10, "{} bytes", answer.body.len());
    }
}

/// Each folds all data once more: 24 of them took the memory of 24 servers.
#[test]
fn there_is_one_audit_at_a_time_and_the_next_is_taken_when_it_has_ended() {
    let server = Server::start(Options::new());
    let mut shop = Connection::open(&server);
    let stock = json!({"on_hand": 1_000_000}).to_string();
    let versioned = ["If-Match: *\r\n", JSON, &sized(stock.len() as u64)].concat();
    shop.send(&[&head("PUT /v1/inventory/MUG/locations/berlin", &versioned), stock.as_bytes()].concat());
    assert_eq!(shop.answer().status, 200);
    for batch in 0..3 {
        let line = json!([{"sku": "MUG", "quantity": 1}]);
        let items: Vec<Value> = (0..4_000).map(|n| json!({"key": format!("{batch}-{n}"), "lines": line})).collect();
        let body = json!({"items": items}).to_string();
        shop.send(&head("POST /v1/reservations:batch", &[JSON, &sized(body.len() as u64)].concat()));
        shop.send(body.as_bytes());
        assert_eq!(shop.answer().status, 200);
    }
    let audit = || {
        let mut connection = Connection::open(&server);
        connection.send(&head("POST /admin/v1/audit", ""));
        connection
    };
    let refused = poll(GENEROUS, || {
        let _first = audit();
        let answer = audit().answer_within(GENEROUS)?;
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(refused.expect("two at once").code(), "overloaded");
    let answered = poll(GENEROUS, || audit().answer_within(GENEROUS).filter(|answer| answer.status == 200));
    assert!(answered.expect("those that were given up have ended").shown().contains("\"ok\":true"));
}
