//! Everything that the description names is provoked on a real server: each operation, each status, each code.

use super::calls::{Call, good};
use super::seen::{Named, name_of};
use super::{Contract, Operation};
use crate::client::{Answer, Api};
use crate::raw;
use crate::shop::{PATIENCE, order, post, stocked};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

mod table;

/// Answers that cannot be provoked here, and why.
const ELSEWHERE: [(&str, &str, &str); 20] = [
    ("apply_tuning", "operation_running", "once for a plan, and what runs may be over just then: a race"),
    ("apply_tuning", "overloaded", BODIES),
    ("plan_tuning", "overloaded", BODIES),
    ("*", "internal", "needs tables that are damaged under a running server: the suite hostile"),
    ("*", "202", "the outcome is unknown while a journal hangs: the suites on a cluster, and those that fill a disk"),
    ("place_reservations", "overloaded", BODIES),
    ("receive_sandbox_webhook", "overloaded", BODIES),
    ("move_partition", "operation_running overloaded", "another one is over in milliseconds, and it takes no credit: a race"),
    ("run_audit", "overloaded", "needs a long audit beside it: the suite hostile"),
    ("list_events", "cursor_expired", "needs a journal that was purged: the suite retention"),
    ("stream_events", "cursor_expired", "needs a journal that was purged: the suite retention"),
    ("place_*", "invalid_transition reservation_expired", "given up or expired before its first answer: a race"),
    ("place_reservation", "idempotency_in_progress", "between two messages of one thread: a race"),
    ("cancel_order", "idempotency_in_progress", UNDER_WAY),
    ("confirm_order", "idempotency_in_progress", UNDER_WAY),
    ("release_reservation", "idempotency_in_progress", UNDER_WAY),
    ("commit_reservation", "idempotency_in_progress", UNDER_WAY),
    ("extend_reservation", "idempotency_in_progress", UNDER_WAY),
    ("adjust_stock", "out_of_stock", "was answered by an earlier version: kept under its key, never made again"),
    (
        "make_backup",
        "backup_in_progress insufficient_storage shutting_down",
        "needs a long backup, a small disk or a stop: the suites lifecycle and disk",
    ),
];

const BODIES: &str = "only beyond what all bodies together may take: the suite hostile";
const UNDER_WAY: &str = "what was done under the key has not reached all its SKUs: a race";

fn elsewhere(named: &Named) -> bool {
    let (operation, status, code) = named;
    // Its good answer: the move goes on behind it.
    if (operation.as_str(), *status) == ("move_partition", 202) {
        return false;
    }
    ELSEWHERE.iter().any(|(of, what, _)| {
        let mine = of.strip_suffix('*').map_or(operation == of, |start| operation.starts_with(start));
        mine && what.split(' ').any(|what| what == code || what == status.to_string())
    })
}

#[test]
fn every_operation_status_and_code_that_is_described_is_provoked() {
    let api = Api::shared();
    let contract = Contract::of(api.base()).unwrap();
    let groups: [fn(&Contract) -> BTreeSet<Named>; 13] = [
        successes,
        unchanged,
        repeated,
        conditional,
        without_key,
        without_the_role,
        too_many,
        foreign,
        ill_typed,
        stopped_bodies,
        engine_away,
        overloaded,
        table::provoked,
    ];
    let mut seen = BTreeSet::new();
    std::thread::scope(|scope| {
        let running = groups.map(|group| scope.spawn(move || group(contract)));
        running.into_iter().for_each(|group| seen.extend(group.join().unwrap()));
    });
    let named = contract.named();
    let missing: Vec<_> = named.iter().filter(|named| !seen.contains(*named) && !elsewhere(named)).collect();
    assert!(missing.is_empty(), "named and never provoked: {missing:#?}");
    let reached: Vec<_> = seen.iter().filter(|seen| elsewhere(seen)).collect();
    assert!(reached.is_empty(), "said to be provoked elsewhere: {reached:?}");
}

/// Sends one call an operation that names this code, and names what came.
fn each(contract: &Contract, code: &str, mut send: impl FnMut(&Operation<'_>, Call) -> Answer) -> BTreeSet<Named> {
    let named: BTreeSet<String> = contract.named().into_iter().filter(|named| named.2 == code).map(|named| named.0).collect();
    let mut seen = BTreeSet::new();
    for (template, method, operation) in contract.operations().filter(|(.., operation)| named.contains(operation.id)) {
        let takes_body = operation.described["requestBody"].is_object();
        let answer = send(&operation, Call::shaped(method, template, takes_body));
        let name = name_of(operation.id, &answer);
        assert_eq!(name.2, code, "{}: {}", operation.id, answer.shown());
        seen.insert(name);
    }
    seen
}

fn successes(contract: &Contract) -> BTreeSet<Named> {
    let api = Api::shared();
    let mut seen = BTreeSet::new();
    for (.., operation) in contract.operations() {
        let call = good(&api, operation.id);
        let answer = match operation.id {
            "stream_events" => opened(&api, &call.path),
            "make_backup" => backed_up(&call),
            _ => call.send(&api),
        };
        assert!((200..300).contains(&answer.status), "{}: {}", operation.id, answer.shown());
        seen.insert(name_of(operation.id, &answer));
    }
    let form = good(&api, "press_sandbox_button").with("content-type", "application/x-www-form-urlencoded").send(&api);
    assert_eq!(form.status, 303);
    seen.insert(name_of("press_sandbox_button", &form));
    seen
}

/// The head of an answer without an end.
fn opened(api: &Api, path: &str) -> Answer {
    let response = api.open(path, &[]);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), bytes: Vec::new() }
}

/// A server that has a place for backups.
fn backed_up(call: &Call) -> Answer {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Options::new().env("HOLDFAST__BACKUP__DIR", dir.path()));
    call.send(&Api::of(&server))
}

/// Reads of what has not changed.
fn unchanged(contract: &Contract) -> BTreeSet<Named> {
    let api = Api::shared();
    let named = contract.named().into_iter().filter(|(_, status, _)| *status == 304);
    let read = |(operation, ..): Named| {
        let call = good(&api, &operation);
        let etag = call.send(&api).header("etag").unwrap().to_owned();
        name_of(&operation, &call.with("if-none-match", &etag).send(&api))
    };
    named.map(read).collect()
}

/// Headers that are there twice.
fn repeated(contract: &Contract) -> BTreeSet<Named> {
    let api = Api::shared();
    let twice = |call: Call| call.beside("authorization", "Bearer a").beside("authorization", "Bearer b");
    each(contract, "invalid_request", |_, call| twice(call).send(&api))
}

/// Conditions: of a kind that is not obeyed, not met, and left out.
fn conditional(contract: &Contract) -> BTreeSet<Named> {
    let api = Api::shared();
    let date = "Sat, 01 Jan 2000 00:00:00 GMT";
    // Conditions of a webhook are looked at if it is signed.
    let dated = |call: Call| call.with("if-unmodified-since", date).with("holdfast-signature", "t=1,v1=00");
    let mut seen = each(contract, "condition_unsupported", |_, call| dated(call).send(&api));
    seen.extend(each(contract, "precondition_failed", |operation, _| {
        good(&api, operation.id).with("if-match", "\"99\"").send(&api)
    }));
    seen.extend(each(contract, "precondition_required", |operation, _| good(&api, operation.id).without("if-match").send(&api)));
    seen
}

/// Where nobody asks for a key it is a wrong one that is refused.
fn without_key(contract: &Contract) -> BTreeSet<Named> {
    let mut server = Server::prepare(Options::new().env("HOLDFAST__SANDBOX__ENABLED", "true"));
    crate::auth::new_key(&server, "storefront");
    server.restart();
    let api = Api::of(&server);
    let open = |operation: &Operation<'_>| operation.described["security"].as_array().is_some_and(Vec::is_empty);
    let (_apart, metrics) = crate::operators::apart(&[]);
    each(contract, "unauthorized", |operation, call| {
        if operation.id == "metrics" {
            call.send(&metrics.open)
        } else if open(operation) {
            call.with("authorization", "Bearer hf_wrong").send(&api)
        } else {
            call.send(&api)
        }
    })
}

/// Keys that do not reach it: of a storefront for what operators read and for another's orders, of a viewer for whatever changes something.
fn without_the_role(contract: &Contract) -> BTreeSet<Named> {
    let options = Options::new().env("HOLDFAST__SANDBOX__ENABLED", "true").env("HOLDFAST__AUTH__OWN_ORDERS", "true");
    let mut server = Server::prepare(options);
    let other = crate::auth::new_key(&server, "other");
    let [storefront, viewer] =
        ["storefront", "viewer"].map(|role| crate::auth::key_of(&server, &["--name", role, "--role", role]));
    server.restart();
    let key = |method: &str| if method == "GET" { &storefront } else { &viewer };
    let (_apart, metrics) = crate::operators::apart(&[]);
    each(contract, "forbidden", |operation, call| {
        let (api, reads) = (Api::of(&server), call.method == "GET");
        match operation.id {
            "metrics" => call.send(&metrics.storefront),
            // It changes nothing, so viewers may.
            "plan_tuning" => call.send(&api.with_key(&storefront)),
            id if reads && !call.path.starts_with("/admin/") => good(&api.with_key(&other), id).send(&api.with_key(&storefront)),
            _ => call.send(&api.with_key(key(&call.method))),
        }
    })
}

fn too_many(contract: &Contract) -> BTreeSet<Named> {
    let (_server, api) = crate::rates::exhausted();
    each(contract, "rate_limited", |_, call| call.send(&api))
}

fn foreign(contract: &Contract) -> BTreeSet<Named> {
    let api = Api::shared();
    let mut seen = each(contract, "forbidden_origin", |_, call| call.with("origin", "http://evil.example").send(&api));
    seen.extend(each(contract, "misdirected_request", |_, call| call.with("host", "evil.example").send(&api)));
    seen
}

fn ill_typed(contract: &Contract) -> BTreeSet<Named> {
    let api = Api::shared();
    // A webhook is signed as it is, whatever type it names.
    let typed =
        |operation: &Operation<'_>| operation.described["requestBody"].is_object() && operation.id != "receive_sandbox_webhook";
    let mut seen = each(contract, "unsupported_media_type", |operation, call| {
        if typed(operation) {
            call.with("content-type", "text/xml").send(&api)
        } else {
            call.with("content-encoding", "gzip").send(&api)
        }
    });
    let large = Some(vec![b' '; 1024 * 1024 + 1]);
    seen.extend(each(contract, "too_large", |_, call| Call { body: large.clone(), ..call }.send(&api)));
    seen
}

/// Bodies that stop coming: the server gives up on them, or is told to stop meanwhile.
fn stopped_bodies(contract: &Contract) -> BTreeSet<Named> {
    let impatient = Server::start(Options::new().env("HOLDFAST__SERVER__BODY_TIMEOUT_SECONDS", "1"));
    let mut seen = half_sent(contract, &impatient, "request_timeout", |_| {});
    let stopping = Server::start(Options::new().env("HOLDFAST__SERVER__DRAIN_NOTICE_SECONDS", "0"));
    // Once it answers what came last, it has what came before.
    let stop = |server: &Server| {
        Api::of(server).get("/livez").ok(200);
        server.signal_stop();
    };
    seen.extend(half_sent(contract, &stopping, "shutting_down", stop));
    seen
}

/// All at once, as each takes its time; then `meanwhile`.
fn half_sent(contract: &Contract, server: &Server, code: &str, meanwhile: impl FnOnce(&Server)) -> BTreeSet<Named> {
    let named = contract.named();
    let reads = |operation: &Operation<'_>| operation.described["requestBody"].is_object();
    let names = |operation: &Operation<'_>| named.iter().any(|name| name.0 == operation.id && name.2 == code);
    let wanted = contract.operations().filter(|(.., operation)| reads(operation) && names(operation));
    let begun: Vec<_> =
        wanted.map(|(path, method, operation)| (operation.id, begin(server, &Call::shaped(method, path, true)))).collect();
    meanwhile(server);
    let name = |(operation, socket): (&str, TcpStream)| {
        let (status, body) = rest(socket);
        assert_eq!(body["code"], code, "{operation}: {status} {body}");
        (operation.to_owned(), status, code.to_owned())
    };
    begun.into_iter().map(name).collect()
}

fn begin(server: &Server, call: &Call) -> TcpStream {
    let mut socket = raw::connect(server);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers: String = call.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let Call { method, path, .. } = call;
    let end = "Content-Length: 1000\r\nConnection: close\r\n\r\n{";
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}{end}").unwrap();
    socket
}

fn rest(mut socket: TcpStream) -> (u16, Value) {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// A server whose journal cannot be reached: nobody listens at the port of its cluster.
fn engine_away(contract: &Contract) -> BTreeSet<Named> {
    let shared = Api::shared();
    let mut server = Server::prepare(Options::new().on_cluster("127.0.0.1:1", 1, "nowhere"));
    server.launch();
    poll(PATIENCE, || TcpStream::connect(server.address()).ok()).unwrap();
    let api = Api::of(&server);
    let secret = || std::fs::read(server.data_dir().join("sandbox/webhook-secret")).unwrap();
    let mut seen = each(contract, "durability_unavailable", |operation, call| match operation.id {
        "receive_sandbox_webhook" => signed(&secret(), call).send(&api),
        // A plan is of the server that made it.
        id @ "apply_tuning" => good(&api, id).send(&api),
        id => good(&shared, id).send(&api),
    });
    let unready = api.get("/readyz");
    assert_eq!(unready.status, 503);
    seen.insert(name_of("readyz", &unready));
    seen
}

fn signed(secret: &[u8], call: Call) -> Call {
    let body = r#"{"id":"evt_1","type":"payment.captured","attempt_id":"pay_00000000000000000000000000-1"}"#;
    let signature = crate::webhooks::signature(secret, crate::webhooks::now(), body);
    Call { body: Some(body.into()), ..call }.with("holdfast-signature", &signature)
}

/// A shard that may have one request in hand, buyers who keep it busy, and no stream of events.
fn overloaded(contract: &Contract) -> BTreeSet<Named> {
    let options = Options::new().env("HOLDFAST__ENGINE__CREDITS", "1").env("HOLDFAST__SERVER__MAX_STREAMS", "0");
    let server = Server::start(options.arg("--shards").arg("1"));
    let api = Api::of(&server);
    let named = contract.named().into_iter().filter(|named| named.2 == "overloaded" && !elsewhere(named));
    let calls: Vec<(String, Call)> = named.map(|named| (named.0.clone(), good(&api, &named.0))).collect();
    let (sku, over) = (stocked(&api, 1_000_000), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    post(&api, "/v1/orders", &order(&sku, 1));
                }
            });
        }
        let _over = Over(&over);
        calls.iter().map(|(operation, call)| refused(&api, operation, call)).collect()
    })
}

/// Ends the buyers, however the test goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn refused(api: &Api, operation: &str, call: &Call) -> Named {
    let seen = poll(2 * PATIENCE, || {
        let name = name_of(operation, &call.send(api));
        (name.2 == "overloaded").then_some(name)
    });
    seen.unwrap_or_else(|| panic!("{operation} was never refused"))
}
