//! Web pages of other sites: what they may not change.

use crate::browser::{Answer, send};
use holdfast_tests::server::{Options, Server};
use serde_json::Value;

const JSON: (&str, &str) = ("content-type", "application/json");
const TEXT: (&str, &str) = ("content-type", "text/plain;charset=UTF-8");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const SHOP: &str = "https://shop.example";

/// What a page sends that somebody visits, as its browser marks it: in the mode `no-cors`, and by a form.
const EVIL: [&[(&str, &str)]; 4] = [
    &[("origin", "http://evil.example"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
    &[("origin", "null"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
    &[("sec-fetch-site", "cross-site")],
    &[("origin", "http://localhost:3000"), ("sec-fetch-site", "same-site")],
];

fn stocked(server: &Server, key: &[(&str, &str)]) {
    let headers = [&[JSON, ("if-match", "*")], key].concat();
    assert_eq!(send(server, "PUT /v1/inventory/mug/locations/berlin", &headers, r#"{"on_hand":5}"#).status, 200);
}

fn on_hand(server: &Server, key: &[(&str, &str)]) -> Value {
    let shown: Value = serde_json::from_str(&send(server, "GET /v1/inventory/mug", key, "").body).unwrap();
    shown["on_hand"].clone()
}

fn placed(server: &Server, key: &[(&str, &str)]) -> Value {
    let headers = [&[JSON, ("idempotency-key", "one")], key].concat();
    let body = r#"{"customer_id":"ada","currency":"EUR","lines":[{"sku":"mug","quantity":1,"unit_price":250}],"payment":{"provider":"sandbox"}}"#;
    let answer = send(server, "POST /v1/orders", &headers, body);
    assert!(answer.status == 201 || answer.status == 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// A server that anybody may reach, one on loopback, and one with keys; with what its own clients send.
fn each(check: impl Fn(&Server, &[(&str, &str)])) {
    check(&Server::start(Options::new()), &[]);
    check(&Server::start(Options::new().arg("--insecure")), &[]);
    let mut guarded = Server::prepare(Options::new().env("HOLDFAST__SANDBOX__ENABLED", "true"));
    let dir = guarded.data_dir().display().to_string();
    let (made, said) = guarded.run(&["key", "new", "--data-dir", &dir, "--json"]);
    assert!(made.success());
    guarded.restart();
    let key = serde_json::from_str::<Value>(&said).unwrap()["key"].as_str().unwrap().to_owned();
    check(&guarded, &[("authorization", &format!("Bearer {key}"))]);
}

fn refused(answer: &Answer) -> bool {
    (answer.status == 403 && answer.body.contains("\"forbidden_origin\"")) || answer.status == 415
}

/// `fetch(…, {mode: "no-cors"})` sent a catalogue as text, and set the stock to 0.
#[test]
fn a_page_of_another_site_sets_no_stock_and_places_nothing() {
    each(|server, key| {
        stocked(server, key);
        let row = "{\"sku\":\"mug\",\"location\":\"berlin\",\"on_hand\":0}\n";
        for page in EVIL {
            for kind in [TEXT, FORM, JSON, ("content-type", "application/x-ndjson"), ("x-no-type", "x")] {
                let headers = [page, key, &[kind, ("if-match", "*"), ("idempotency-key", "evil")]].concat();
                for line in ["POST /v1/inventory/imports", "PUT /v1/inventory/mug/locations/berlin", "POST /v1/orders"] {
                    let answer = send(server, line, &headers, row);
                    assert!(refused(&answer), "{line} {headers:?}: {} {}", answer.status, answer.body);
                }
            }
        }
        assert_eq!(on_hand(server, key), 5);
    });
}

/// Older browsers say nothing of where they come from: what a form can send is refused by its type.
#[test]
fn a_body_of_a_type_that_forms_can_send_changes_nothing_even_of_a_client_that_names_no_origin() {
    let server = Server::start(Options::new());
    stocked(&server, &[]);
    for kind in
        ["text/plain", "Text/Plain; charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        for line in ["POST /v1/inventory/imports", "PUT /v1/inventory/mug/locations/berlin", "POST /v1/orders/ord_x:cancel"] {
            let condition = if line.starts_with("PUT") { ("if-match", "*") } else { ("x-none", "x") };
            let answer = send(&server, line, &[("content-type", kind), condition], "{\"on_hand\":0}");
            assert_eq!(answer.status, 415, "{line} {kind}: {}", answer.body);
        }
    }
    assert_eq!(on_hand(&server, &[]), 5);
}

/// Posts without a body cancelled orders and approved payments.
#[test]
fn a_page_of_another_site_cancels_and_approves_nothing() {
    each(|server, key| {
        stocked(server, key);
        let order = placed(server, key);
        let (id, link) = (order["id"].as_str().unwrap(), order["payment"]["redirect_url"].as_str().unwrap());
        let page = link.strip_prefix(&server.url()).unwrap();
        for evil in EVIL {
            for line in
                [format!("POST /v1/orders/{id}:cancel"), format!("POST {page}/approve"), "POST /admin/v1/audit".to_owned()]
            {
                for headers in [[evil, key].concat(), [evil, key, &[FORM]].concat()] {
                    let answer = send(server, &line, &headers, "");
                    assert!(refused(&answer), "{line} {headers:?}: {} {}", answer.status, answer.body);
                }
            }
        }
        let now: Value = serde_json::from_str(&send(server, &format!("GET /v1/orders/{id}"), key, "").body).unwrap();
        assert_eq!(now["status"], "payment_in_flight", "{now}");
    });
}

#[test]
fn the_buttons_of_our_own_payment_page_go_on_to_work() {
    each(|server, key| {
        stocked(server, key);
        let order = placed(server, key);
        let link = order["payment"]["redirect_url"].as_str().unwrap().strip_prefix(&server.url()).unwrap().to_owned();
        let page = send(server, &format!("GET {link}"), &[("accept", "text/html")], "");
        for (name, value) in [("x-frame-options", "DENY"), ("x-content-type-options", "nosniff")] {
            assert_eq!(page.header(name), Some(value));
        }
        assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
        let here = server.url();
        let own = [FORM, ("origin", here.as_str()), ("sec-fetch-site", "same-origin"), ("accept", "text/html")];
        assert_eq!(send(server, &format!("POST {link}/approve"), &own, "").status, 303);
        assert_eq!(send(server, &format!("GET {link}0"), &[], "").status, 404, "a link that was guessed");
    });
}

fn listed() -> Server {
    let names = ("HOLDFAST__SERVER__ORIGINS", "https://shop.example, https://admin.example:8443");
    Server::start(Options::new().env(names.0, names.1))
}

#[test]
fn a_page_of_a_listed_origin_is_let_in_and_told_so_and_no_other_is() {
    let server = listed();
    let page = [("origin", SHOP), ("sec-fetch-site", "cross-site")];
    let asked = [&page[..], &[("access-control-request-method", "PUT"), ("access-control-request-headers", "if-match")]].concat();
    let told = send(&server, "OPTIONS /v1/inventory/mug/locations/berlin", &asked, "");
    assert_eq!((told.status, told.header("access-control-allow-origin")), (204, Some(SHOP)));
    assert_eq!(told.header("access-control-allow-methods"), Some("PUT, DELETE"));
    assert!(told.header("access-control-allow-headers").unwrap().contains("If-Match") && told.header("vary") == Some("Origin"));
    assert!(told.header("access-control-max-age").is_some() && told.header("access-control-allow-credentials").is_none());
    stocked(&server, &page);
    let shown = send(&server, "GET /v1/inventory/mug", &page, "");
    assert_eq!(
        (shown.status, shown.header("access-control-allow-origin"), shown.header("vary")),
        (200, Some(SHOP), Some("Origin"))
    );
    assert!(shown.header("access-control-expose-headers").unwrap().contains("ETag"));
    let missing = send(&server, "GET /v1/inventory/cup", &page, "");
    assert_eq!((missing.status, missing.header("access-control-allow-origin")), (404, Some(SHOP)), "errors can be read too");
    assert_eq!(send(&server, "OPTIONS /v1/nothing", &asked, "").status, 404);
}

#[test]
fn a_page_of_any_other_origin_reads_nothing_and_is_told_nothing() {
    for server in [listed(), Server::start(Options::new())] {
        for origin in
            ["http://shop.example", "https://shop.example:8443", "https://evil.example", "null", "https://shop.example.evil"]
        {
            let page = [("origin", origin), ("access-control-request-method", "POST")];
            for line in ["GET /v1/inventory", "OPTIONS /v1/orders", "POST /v1/orders"] {
                let answer = send(&server, line, &page, "");
                assert_eq!(answer.header("access-control-allow-origin"), None, "{line} {origin}");
                assert_eq!(answer.status, if line.starts_with("GET") { 200 } else { 403 }, "{line} {origin}");
            }
        }
        let twice = [("origin", SHOP), ("origin", SHOP)];
        assert!(send(&server, "POST /v1/orders", &twice, "").status >= 400);
    }
    let quiet = send(&Server::start(Options::new()), "GET /v1/inventory", &[], "");
    assert_eq!(quiet.header("vary"), None);
}
