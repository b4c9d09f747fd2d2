//! Which names a server without keys answers to, and for pages of whom it changes something.

use crate::client::{Answer, Api};
use crate::raw;
use crate::shop::{fresh, order, order_becomes, paying, place, stocked};
use holdfast_tests::server::{Options, Server};
use std::io::{Read, Write};
use std::process::Command;

/// A request by hand, and the status of its answer with all that came.
fn ask(server: &Server, head: &str) -> (u16, String) {
    let mut socket = raw::connect(server);
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {answer:?}")), answer)
}

fn get_as(server: &Server, host: &str) -> (u16, String) {
    ask(server, &format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

#[test]
fn a_name_that_is_not_of_this_machine_is_misdirected_on_every_path() {
    let api = Api::shared();
    let port = api.server().address().rsplit(':').next().unwrap().to_owned();
    for path in ["/livez", "/v1/orders", "/v1/events", "/metrics", "/docs/", "/openapi.json", "/sandbox/payments/x", "/nothing"] {
        for method in ["GET", "POST"] {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: evil.example:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let (status, answer) = ask(api.server(), &head);
            assert!(status == 421 && answer.contains("\"misdirected_request\""), "{method} {path}: {answer}");
        }
    }
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), "shop.localhost".to_owned(), format!("[::1]:{port}")] {
        assert_eq!(get_as(api.server(), &host).0, 200, "{host}");
    }
}

#[test]
fn a_second_host_an_absolute_target_and_none_at_all_are_looked_at_too() {
    let api = Api::shared();
    let of = |head: &str| ask(api.server(), head).0;
    assert_eq!(of("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n") / 100, 4);
    assert_eq!(of("GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 421);
    assert_eq!(of("GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 200);
    assert_eq!(of("GET /livez HTTP/1.0\r\n\r\n"), 200);
}

#[test]
fn names_of_the_settings_are_answered_and_so_is_any_with_keys_or_when_insecure() {
    let named = Server::start(Options::new().env("HOLDFAST__SERVER__HOSTS", "shop.internal,other.internal"));
    assert_eq!([get_as(&named, "shop.internal").0, get_as(&named, "other.internal:80").0], [200, 200]);
    assert_eq!(get_as(&named, "third.internal").0, 421);
    let insecure = Server::start(Options::new().arg("--insecure"));
    assert_eq!(get_as(&insecure, "evil.example").0, 200);
    let mut keyed = Server::prepare(Options::new());
    let dir = keyed.data_dir().display().to_string();
    assert!(keyed.run(&["key", "new", "--data-dir", &dir]).0.success());
    keyed.restart();
    assert_eq!(get_as(&keyed, "shop.example").0, 200);
}

fn import_from(api: &Api, origin: Option<&str>) -> Answer {
    let row = format!("{{\"sku\":\"{}\",\"location\":\"berlin\",\"on_hand\":1}}\n", fresh("sku"));
    let headers: Vec<(&str, &str)> =
        [("content-type", "application/x-ndjson")].into_iter().chain(origin.map(|origin| ("origin", origin))).collect();
    api.send("POST", "/v1/inventory/imports", &headers, Some(row.as_bytes()))
}

/// A form or a text of a stranger's page reaches loopback without the browser asking first.
#[test]
fn nothing_is_changed_for_a_page_of_another_host() {
    let api = Api::shared();
    let placed = place(&api, &paying(&stocked(&api, 1), 1));
    let button = format!("/sandbox/payments/{}/approve", placed["payment"]["attempt_id"].as_str().unwrap());
    let form = "application/x-www-form-urlencoded";
    for origin in ["http://evil.example", "https://localhost.evil.example", "null"] {
        import_from(&api, Some(origin)).problem(403, "forbidden_origin");
        let headers = [("content-type", form), ("origin", origin)];
        api.send("POST", &button, &headers, Some(b"")).problem(403, "forbidden_origin");
        let headers = [("content-type", "application/json"), ("idempotency-key", "k"), ("origin", origin)];
        let body = order("x", 1).to_string();
        api.send("POST", "/v1/orders", &headers, Some(body.as_bytes())).problem(403, "forbidden_origin");
        assert_eq!(api.send("GET", "/livez", &[("origin", origin)], None).status, 200, "reading is up to the browser");
    }
    assert_eq!(import_from(&api, None).status, 200);
    assert_eq!(import_from(&api, Some(&format!("http://{}", api.server().address()))).status, 200);
    let here = format!("http://{}", api.server().address());
    let own = [("content-type", form), ("origin", here.as_str()), ("sec-fetch-site", "same-origin"), ("accept", "text/html")];
    assert_eq!(api.send("POST", &button, &own, Some(b"")).status, 303);
    order_becomes(&api, &placed, "confirmed");
}

/// The healthcheck names the server as it is told to.
#[test]
fn the_healthcheck_is_answered_by_name_and_by_number() {
    let api = Api::shared();
    let port = api.server().address().rsplit(':').next().unwrap().to_owned();
    for address in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
        let ready = Command::new(holdfast_tests::server::binary()).args(["healthcheck", "--address", &address]).status();
        assert!(ready.unwrap().success(), "{address}");
    }
}
