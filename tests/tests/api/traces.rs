//! Traces: a change whose caller asks for it is followed from its head to its reply.

use crate::client::{Answer, Api};
use crate::shop::{PATIENCE, fresh, hold, id, order, paying, place, put, reservation, stocked};
use crate::webhooks::{PATH as WEBHOOK, now, secret_of, signature, told};
use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::sink::Sink;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const IMPORTS: &str = "/v1/inventory/imports";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn traced(api: &Api, traceparent: &str, body: &Value) -> Answer {
    let key = fresh("key");
    api.json("POST", "/v1/orders", &[("idempotency-key", &key), ("traceparent", traceparent)], body)
}

fn tracing(sink: &Sink) -> Server {
    Server::start(Options::new().env("HOLDFAST__TELEMETRY__OTLP_ENDPOINT", sink.url()))
}

#[test]
fn an_order_is_followed_from_its_head_to_its_reply_in_the_trace_of_its_caller() {
    let sink = Sink::start();
    let server = tracing(&sink);
    let api = Api::of(&server);
    let sku = stocked(&api, 5);
    let answer = traced(&api, &format!("00-{TRACE}-{CALLER}-01"), &order(&sku, 1));
    assert_eq!((answer.status, answer.header("x-trace-id")), (201, Some(TRACE)), "{}", answer.shown());
    let spans = poll(PATIENCE, || Some(sink.spans()).filter(|spans| spans.len() >= 4)).expect("no trace comes");
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST /v1/orders", "shard turn", "journal commit", "reply"]);
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let request = &spans[0];
    assert_eq!(hex(&request.parent_span_id), CALLER);
    for part in &spans[1..] {
        assert_eq!(part.parent_span_id, request.span_id, "{}", part.name);
        let within =
            request.start_time_unix_nano <= part.start_time_unix_nano && part.end_time_unix_nano <= request.end_time_unix_nano;
        assert!(within, "{part:?} is not within {request:?}");
    }
    assert!(spans[1..].windows(2).all(|pair| pair[0].end_time_unix_nano == pair[1].start_time_unix_nano), "{spans:?}");
    eprintln!("one trace: {spans:#?}");
}

/// The spans of a request that its caller has traced, with the status of its answer.
fn spans_of(api: &Api, sink: &Sink, (method, path): (&str, &str), body: &Value) -> (u16, Vec<String>) {
    let headers = [("content-type", "application/json"), ("if-match", "*")];
    // A location is changed under a condition.
    let headers = &headers[..1 + usize::from(path.contains("/locations/"))];
    spans_with(api, sink, (method, path), headers, &body.to_string())
}

/// The same with these headers.
fn spans_with(api: &Api, sink: &Sink, (method, path): (&str, &str), headers: &[(&str, &str)], body: &str) -> (u16, Vec<String>) {
    let trace = format!("{:032x}", sink.spans().len() + 1);
    let (key, parent) = (fresh("key"), format!("00-{trace}-{CALLER}-01"));
    let traced = [("idempotency-key", key.as_str()), ("traceparent", &parent)];
    let answer = api.send(method, path, &[&traced[..], headers].concat(), Some(body.as_bytes()));
    if answer.status < 300 {
        assert_eq!(answer.header("x-trace-id"), Some(trace.as_str()), "{method} {path}");
    }
    let of_it = || sink.spans().into_iter().filter(|span| hex(&span.trace_id) == trace).map(|span| span.name).collect::<Vec<_>>();
    (answer.status, poll(PATIENCE, || Some(of_it()).filter(|names| !names.is_empty())).expect("no trace comes"))
}

#[test]
fn every_request_that_changes_something_is_followed_as_an_order_is() {
    let sink = Sink::start();
    let server = tracing(&sink);
    let api = Api::of(&server);
    let sku = stocked(&api, 1_000);
    put(&api, &sku, "oslo", 0);
    let [cancelled, confirmed, paid] = [(); 3].map(|()| id(&place(&api, &order(&sku, 1))).to_owned());
    let [released, committed] = [(); 2].map(|()| id(&hold(&api, &sku, 1)).to_owned());
    let rows = [
        ("POST", "/v1/reservations".to_owned(), "/v1/reservations", reservation(&sku, 1)),
        ("POST", format!("/v1/orders/{cancelled}:cancel"), "/v1/orders/{id}:cancel", json!({})),
        ("POST", format!("/v1/orders/{confirmed}:confirm"), "/v1/orders/{id}:confirm", json!({})),
        ("POST", format!("/v1/orders/{paid}/payments"), "/v1/orders/{id}/payments", json!({"provider": "sandbox"})),
        ("POST", format!("/v1/reservations/{committed}:extend"), "/v1/reservations/{id}:extend", json!({"ttl_seconds": 3_000})),
        ("POST", format!("/v1/reservations/{committed}:commit"), "/v1/reservations/{id}:commit", json!({})),
        ("DELETE", format!("/v1/reservations/{released}"), "/v1/reservations/{id}", json!({})),
        ("PUT", format!("/v1/inventory/{sku}/locations/rome"), "/v1/inventory/{sku}/locations/{location}", json!({"on_hand": 5})),
        ("PATCH", format!("/v1/inventory/{sku}"), "/v1/inventory/{sku}", json!({"low_stock_threshold": 3})),
        ("DELETE", format!("/v1/inventory/{sku}/locations/oslo"), "/v1/inventory/{sku}/locations/{location}", json!({})),
        (
            "POST",
            format!("/v1/inventory/{sku}/adjustments"),
            "/v1/inventory/{sku}/adjustments",
            json!({"location": "rome", "bucket": "on_hand", "delta": 1, "reason": "found"}),
        ),
    ];
    for (method, path, route, body) in rows {
        let (status, names) = spans_of(&api, &sink, (method, &path), &body);
        let request = format!("{method} {route}");
        assert_eq!(names, [&request, "shard turn", "journal commit", "reply"], "{status}");
    }
    let items = json!({"items": [{"key": fresh("key"), "lines": [{"sku": sku, "quantity": 1}]}]});
    assert_eq!(spans_of(&api, &sink, ("POST", "/v1/reservations:batch"), &items).1, ["POST /v1/reservations:batch"]);
    let rows = format!("{}\n", json!({"sku": sku, "location": "lima", "on_hand": 1}));
    let imported = spans_with(&api, &sink, ("POST", IMPORTS), &[("content-type", "application/x-ndjson")], &rows);
    assert_eq!(imported, (200, vec![format!("POST {IMPORTS}")]), "many in one");
    let refused = spans_of(&api, &sink, ("POST", "/v1/reservations"), &json!({"lines": []}));
    assert_eq!(refused, (400, vec!["POST /v1/reservations".to_owned()]), "it never came to a shard");
    let read = api.send("GET", &format!("/v1/inventory/{sku}"), &[("traceparent", &format!("00-{TRACE}-{CALLER}-01"))], None);
    assert_eq!((read.status, read.header("x-trace-id")), (200, None));
}

/// Its sender proves who it is by its signature, and may have a trace of its own as everybody.
#[test]
fn a_webhook_is_followed_to_the_order_that_it_pays() {
    let sink = Sink::start();
    let server = tracing(&sink);
    let api = Api::of(&server);
    let body = told(&place(&api, &paying(&stocked(&api, 1), 1)), "payment.captured");
    let signed = |body: &str| {
        let signature = signature(&secret_of(&server), now(), body);
        let headers = [("content-type", "application/json"), ("holdfast-signature", signature.as_str())];
        spans_with(&api, &sink, ("POST", WEBHOOK), &headers, body)
    };
    let request = format!("POST {WEBHOOK}");
    assert_eq!(signed(&body), (200, [&request, "shard turn", "journal commit", "reply"].map(str::to_owned).to_vec()));
    let unknown = json!({"id": "evt_1", "type": "payment.captured", "attempt_id": "x"}).to_string();
    assert_eq!(signed(&unknown), (200, vec![request]), "it never came to a shard");
}

#[test]
fn an_order_whose_caller_does_not_ask_for_it_is_not_traced_unless_the_settings_do() {
    let sink = Sink::start();
    let server = tracing(&sink);
    let api = Api::of(&server);
    let sku = stocked(&api, 5);
    for traceparent in [format!("00-{TRACE}-{CALLER}-00"), "nonsense".to_owned()] {
        let answer = traced(&api, &traceparent, &order(&sku, 1));
        assert_eq!((answer.status, answer.header("x-trace-id")), (201, None), "{traceparent}");
    }
    let options = Options::new().env("HOLDFAST__TELEMETRY__OTLP_ENDPOINT", sink.url());
    let often = Server::start(options.env("HOLDFAST__TELEMETRY__TRACE_ONE_IN", "2"));
    let api = Api::of(&often);
    let sku = stocked(&api, 5);
    let named = (0..4).filter(|_| api.keyed("/v1/orders", &fresh("key"), &order(&sku, 1)).header("x-trace-id").is_some());
    assert_eq!(named.count(), 2);
    let off = Server::start(Options::new());
    let api = Api::of(&off);
    let answer = traced(&api, &format!("00-{TRACE}-{CALLER}-01"), &order(&stocked(&api, 5), 1));
    assert_eq!((answer.status, answer.header("x-trace-id")), (201, None));
}
