//! Traces: an order whose caller asks for it is followed from its head to its reply.

use crate::client::{Answer, Api};
use crate::shop::{PATIENCE, fresh, order, stocked};
use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::sink::Sink;
use serde_json::Value;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

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
