//! Bodies that stop coming: every route gives up on them, executes nothing and says so.

use crate::stopping::{begin, rest};
use holdfast_tests::server::{Options, Server};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::json;

const JSON: &str = "Content-Type: application/json\r\nIdempotency-Key: late\r\nConnection: close\r\n";
const CONDITION: &str = "If-Match: *\r\n";

fn impatient() -> Server {
    Server::start(Options::new().env("HOLDFAST__SERVER__BODY_TIMEOUT_SECONDS", "1"))
}

#[test]
fn a_body_that_stops_coming_ends_with_408_on_every_route() {
    let server = impatient();
    let id = "ord_00000000000000000000000000";
    let routes = [
        "POST /v1/orders".to_owned(),
        format!("POST /v1/orders/{id}:cancel"),
        format!("POST /v1/orders/{id}:confirm"),
        format!("POST /v1/orders/{id}/payments"),
        "POST /v1/reservations".to_owned(),
        "POST /v1/reservations:batch".to_owned(),
        format!("POST /v1/reservations/{}:commit", id.replace("ord", "res")),
        format!("POST /v1/reservations/{}:extend", id.replace("ord", "res")),
        "PUT /v1/inventory/LATE/locations/main".to_owned(),
        "PATCH /v1/inventory/LATE".to_owned(),
        "POST /v1/inventory/LATE/adjustments".to_owned(),
        "POST /v1/availability:query".to_owned(),
        "POST /v1/webhooks/payments/sandbox".to_owned(),
    ];
    // All of them at once: each takes its second.
    let headers = |route: &str| [JSON, if route.starts_with("PUT") { CONDITION } else { "" }].concat();
    let begun: Vec<_> = routes.iter().map(|route| (route, begin(&server, route, &headers(route), 1_000, "{"))).collect();
    for (route, mut stream) in begun {
        let answer = rest(&mut stream);
        let problem = answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"request_timeout\"");
        assert!(problem && answer.contains("\"retryable\":true"), "{route}: {answer}");
    }
}

#[test]
fn an_order_whose_body_stopped_coming_was_not_executed() {
    let server = impatient();
    let client = Client::new(&server.url());
    client.json(&Request::put("/v1/inventory/LATE/locations/main", 0, &json!({"on_hand": 1}))).unwrap();
    let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": "LATE", "quantity": 1, "unit_price": 1}]});
    let request = Request::keyed("/v1/orders", "late", &body);
    let all_but_the_end = &request.body[..request.body.len() - 1];
    let mut stream = begin(&server, "POST /v1/orders", JSON, request.body.len(), all_but_the_end);
    assert!(rest(&mut stream).starts_with("HTTP/1.1 408"));
    let again = client.ask(&request).unwrap();
    assert!(again.status == 201 && !again.replayed, "{}", again.shown());
}

#[test]
fn an_import_that_stops_coming_keeps_its_whole_rows_and_says_which_it_did_not_get() {
    let server = impatient();
    let rows: Vec<_> =
        (0..3).map(|count| json!({"sku": format!("ROW-{count}"), "location": "main", "on_hand": 7}).to_string()).collect();
    let headers = "Content-Type: application/x-ndjson\r\nConnection: close\r\n";
    let text = rows.join("\n");
    let mut stream = begin(&server, "POST /v1/inventory/imports", headers, 10_000, &text);
    let said = rest(&mut stream);
    assert!(said.contains("\"code\":\"request_timeout\"") && said.contains("\"line\":3"), "{said}");
    assert!(said.contains("\"imported\":2"), "{said}");
    let client = Client::new(&server.url());
    let status = |count: usize| client.ask(&Request::get(format!("/v1/inventory/ROW-{count}"))).unwrap().status;
    assert_eq!([0, 1, 2].map(status), [200, 200, 404]);
}

#[test]
fn a_connection_that_does_not_finish_its_head_is_closed() {
    use std::io::Write;
    let server = impatient();
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(40))).unwrap();
    stream.write_all(b"POST /v1/orders HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 408"));
}
