//! The catalogue of problems: every code is provoked over HTTP, and every code has its page.

use crate::client::{Answer, Api};
use crate::pages;
use crate::shop::{PATIENCE, becomes, fresh, id, order, paying, place, post, reservation, scattered_order, stocked, with};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};
use std::collections::BTreeSet;

type Provoke = fn(&Api) -> Answer;

/// Code, status, and a request that earns it.
const TABLE: [(&str, u16, Provoke); 31] = [
    ("invalid_request", 400, |api| post(api, "/v1/orders", &json!({}))),
    ("condition_unsupported", 400, |api| api.send("GET", "/v1/limits", &[("if-match", "*")], None)),
    ("idempotency_key_missing", 400, |api| api.post("/v1/orders", &order("x", 1))),
    ("unauthorized", 401, |api| api.post("/v1/webhooks/payments/sandbox", &json!({}))),
    ("forbidden", 403, |_| storefront_at_admin()),
    ("forbidden_origin", 403, |api| api.send("POST", "/v1/orders", &[("origin", "http://evil.example")], Some(b""))),
    ("not_found", 404, |api| api.get("/v1/orders/ord_00000000000000000000000000")),
    ("method_not_allowed", 405, |api| api.delete("/v1/availability:query")),
    ("out_of_stock", 409, |api| post(api, "/v1/orders", &order(&stocked(api, 1), 2))),
    ("too_many_locations", 409, |api| post(api, "/v1/orders", &scattered_order(api))),
    ("count_below_taken", 409, |api| {
        let sku = stocked(api, 1);
        crate::shop::hold(api, &sku, 1);
        api.json("PUT", &format!("/v1/inventory/{sku}/locations/berlin"), &[("if-match", "*")], &json!({"on_hand": 0}))
    }),
    ("location_in_use", 409, |api| {
        api.send("DELETE", &format!("/v1/inventory/{}/locations/berlin", stocked(api, 1)), &[("if-match", "*")], None)
    }),
    ("invalid_transition", 409, |api| {
        let placed = place(api, &paying(&stocked(api, 1), 1));
        api.act(&format!("/v1/orders/{}:confirm", id(&placed)))
    }),
    ("reservation_expired", 409, expired),
    ("idempotency_in_progress", 409, in_progress),
    ("backup_unavailable", 409, |api| api.act("/admin/v1/backups")),
    ("limit_reached", 409, |api| {
        let path = format!("/v1/inventory/{}/adjustments", stocked(api, 2_000_000_000));
        post(api, &path, &json!({"location": "berlin", "delta": 1, "reason": "x"}))
    }),
    ("cursor_not_of_this_history", 409, |api| api.get("/v1/events?after=999999999-0")),
    ("plan_stale", 409, |api| api.post("/admin/v1/tuning:apply", &json!({"plan": "plan_none"}))),
    ("precondition_failed", 412, |api| set(api, &[("if-match", "\"9\"")])),
    ("too_large", 413, |api| post(api, "/v1/orders", &json!("x".repeat(1024 * 1024)))),
    ("unsupported_media_type", 415, |api| {
        let headers = [("content-type", "text/xml"), ("idempotency-key", "one")];
        api.send("POST", "/v1/orders", &headers, Some(b"<order/>"))
    }),
    ("misdirected_request", 421, |api| api.send("GET", "/livez", &[("host", "evil.example")], None)),
    ("unknown_sku", 422, |api| post(api, "/v1/orders", &order(&fresh("sku"), 1))),
    ("totals_mismatch", 422, |api| post(api, "/v1/orders", &with(order("x", 1), json!({"total": 1})))),
    ("idempotency_key_reused", 422, |api| {
        let (sku, key) = (stocked(api, 2), fresh("key"));
        api.keyed("/v1/orders", &key, &order(&sku, 1)).ok(201);
        api.keyed("/v1/orders", &key, &order(&sku, 2))
    }),
    ("provider_unavailable", 422, turned_off),
    ("rate_limited", 429, |_| crate::rates::soon_again()),
    ("precondition_required", 428, |api| set(api, &[])),
    ("overloaded", 503, overloaded),
    ("paused", 503, |_| paused("/v1/orders", &order("x", 1))),
];

/// Not provoked here: `backup_in_progress` needs a backup that takes a while, `insufficient_storage` a small disk (see the lifecycle
/// and the disk suite); `internal` needs damaged tables (see the hostile suite);
/// `durability_unavailable` needs a broken disk (see the disk suite);
/// `cursor_expired` needs a purged journal (see the retention suite); `request_timeout` and `shutting_down` need a server of
/// their own that waits or stops (see the lifecycle suite).
const ELSEWHERE: [&str; 8] = [
    "operation_running",
    "backup_in_progress",
    "insufficient_storage",
    "internal",
    "durability_unavailable",
    "cursor_expired",
    "request_timeout",
    "shutting_down",
];

fn storefront_at_admin() -> Answer {
    let mut server = Server::prepare(Options::new());
    let key = crate::auth::new_key(&server, "storefront");
    server.restart();
    Api::of(&server).with_key(&key).get("/admin/v1/shards")
}

/// On a server that takes no new orders.
pub(crate) fn paused(path: &str, body: &Value) -> Answer {
    let server = Server::start(Options::new().env("HOLDFAST__ORDERS__ACCEPTING", "false"));
    let answer = post(&Api::of(&server), path, body);
    assert!(answer.header("retry-after").is_some());
    answer
}

fn set(api: &Api, headers: &[(&str, &str)]) -> Answer {
    api.json("PUT", &format!("/v1/inventory/{}/locations/berlin", fresh("sku")), headers, &json!({"on_hand": 1}))
}

pub(crate) fn expired(api: &Api) -> Answer {
    let held = post(api, "/v1/reservations", &with(reservation(&stocked(api, 1), 1), json!({"ttl_seconds": 1}))).ok(201);
    let path = format!("/v1/reservations/{}", id(&held));
    becomes(api, &path, "expired");
    api.act(&format!("{path}:commit"))
}

/// Sends the same from several threads, again and again, until one of the answers is this problem.
fn until_seen(api: &Api, code: &str, body: impl Fn() -> (String, Value) + Sync) -> Answer {
    let seen = poll(PATIENCE, || {
        let (key, body) = body();
        let call = |thread: usize| {
            let key = if code == "overloaded" { format!("{key}-{thread}") } else { key.clone() };
            api.keyed("/v1/orders", &key, &body)
        };
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|thread| scope.spawn(move || call(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        answers.into_iter().find(|answer| answer.status != 201 && answer.json()["code"] == code)
    });
    seen.unwrap_or_else(|| panic!("{code} was never seen"))
}

/// An order that pays is answered when the provider has opened the attempt: duplicates meanwhile are told to wait.
pub(crate) fn in_progress(api: &Api) -> Answer {
    let sku = stocked(api, 100_000);
    until_seen(api, "idempotency_in_progress", || (fresh("key"), paying(&sku, 1)))
}

/// A server whose only provider is off.
pub(crate) fn turned_off(_: &Api) -> Answer {
    let server = Server::start(Options::new().env("HOLDFAST__SANDBOX__ENABLED", "false"));
    let api = Api::of(&server);
    post(&api, "/v1/orders", &paying(&stocked(&api, 1), 1))
}

/// One shard that may have one request in hand.
fn overloaded(_: &Api) -> Answer {
    let server = Server::start(Options::new().env("HOLDFAST__ENGINE__CREDITS", "1").arg("--shards").arg("1"));
    let api = Api::of(&server);
    let sku = stocked(&api, 100_000);
    let refused = until_seen(&api, "overloaded", || (fresh("key"), order(&sku, 1)));
    not_executed(&api, &sku);
    refused
}

/// After as many 201 as there are held units, nothing refused was executed.
fn not_executed(api: &Api, sku: &str) {
    let timeline = api.get("/v1/events?limit=1000").ok(200);
    let held = timeline["events"].as_array().unwrap().iter().filter(|event| event["type"] == "holdfast.order.held").count();
    assert_eq!(crate::shop::stock(api, sku)["held"], held);
}

#[test]
fn every_code_of_the_catalogue_is_provoked_over_http() {
    let api = Api::shared();
    for (code, status, provoke) in TABLE {
        let answer = provoke(&api);
        let problem = answer.problem(status, code);
        assert_eq!(problem["type"], format!("/problems/{code}"));
        is_as_shown(&answer, &problem, &example(&api, code));
    }
}

/// The example on the page of a problem is what the server really answers: its status, its headers, its members.
fn is_as_shown(answer: &Answer, problem: &Value, (head, example): &(String, Value)) {
    assert_eq!(members(problem), members(example), "the example is not like {problem}");
    for same in ["type", "title", "status", "code", "retryable"] {
        assert_eq!(problem[same], example[same], "{same} of the example of {problem}");
    }
    for name in ["content-type", "retry-after", "www-authenticate"] {
        let shown = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        assert_eq!(shown, answer.header(name), "{name} of the example of {problem}");
    }
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", answer.status)), "{head}");
}

/// The example on the page of a code: its head and its body.
fn example(api: &Api, code: &str) -> (String, Value) {
    let page = api.get(&format!("/problems/{code}")).text();
    let shown = pages::commands(&page).pop().unwrap_or_else(|| panic!("no example of {code}: {page}"));
    let (head, body) = shown.split_once("\n\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

/// The shape of a value: the names of its members and their types, and what lists are of.
fn members(value: &Value) -> Value {
    match value {
        Value::Object(named) => named.iter().map(|(name, value)| (name.clone(), members(value))).collect(),
        Value::Array(items) => items.first().map(members).into_iter().collect(),
        Value::String(_) => json!("string"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("boolean"),
        Value::Null => Value::Null,
    }
}

#[test]
fn the_table_has_every_code_of_the_description() {
    let api = Api::shared();
    let description = api.get("/openapi.json").ok(200);
    let described = description["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
    let described: BTreeSet<&str> = described.iter().map(|code| code.as_str().unwrap()).collect();
    let tested: BTreeSet<&str> = TABLE.iter().map(|(code, _, _)| *code).chain(ELSEWHERE).collect();
    assert_eq!(tested, described);
}

#[test]
fn every_code_has_a_page_that_says_what_to_do() {
    let api = Api::shared();
    for code in TABLE.iter().map(|(code, _, _)| *code).chain(ELSEWHERE) {
        let page = api.get(&format!("/problems/{code}"));
        assert_eq!(page.status, 200, "{code}");
        for part in ["Why it happens", "What to do", "Is a retry right?", "Example"] {
            assert!(page.text().contains(&format!("<h2>{part}</h2>")), "{code} has no {part}");
        }
        assert_eq!(example(&api, code).1["code"], code);
    }
    api.get("/problems/no_such_code").problem(404, "not_found");
}
