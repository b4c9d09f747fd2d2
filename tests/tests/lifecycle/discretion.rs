//! What the log never has: secrets, keys, and what is of customers. At the most talkative level, with a line for each request.

use holdfast_tests::server::{Options, Server, binary};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// In everything that must not be logged.
const MARK: &str = "zq7marked";

fn new_key(server: &Server) -> String {
    let dir = server.data_dir().display().to_string();
    let made = Command::new(binary()).args(["key", "new", "--name", "shop", "--data-dir", &dir, "--json"]).output().unwrap();
    serde_json::from_slice::<Value>(&made.stdout).unwrap()["key"].as_str().unwrap().to_owned()
}

/// Sends bytes as they are, and reads what is answered. The connection is closed by the server.
fn raw(server: &Server, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let length = body.len();
    write!(stream, "{head}\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}", server.address())
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A secret as a log would show it: as the text that it is, or in hexadecimal digits.
fn shown(secret: &[u8]) -> String {
    let hex = || secret.iter().map(|byte| format!("{byte:02x}")).collect();
    std::str::from_utf8(secret).map_or_else(|_| hex(), |text| text.trim().to_owned())
}

fn order(sku: &str) -> Value {
    json!({
        "customer_id": format!("{MARK}-customer"), "currency": "EUR", "payment": {"provider": "sandbox"},
        "lines": [{"sku": sku, "quantity": 1, "unit_price": 5}],
        "metadata": {"note": format!("{MARK}-note")},
        "shipping_address": {"name": format!("{MARK} name"), "street": format!("{MARK} street")},
    })
}

/// Requests that are served and refused in many ways, each with marked data.
fn marked(server: &Server, key: &str) {
    let auth = format!("Authorization: Bearer {key}\r\nContent-Type: application/json");
    let keyed = |verb: &str| format!("{verb} HTTP/1.1\r\n{auth}\r\nIdempotency-Key: {MARK}-key");
    let placed = raw(server, &keyed("POST /v1/orders"), &order("MUG").to_string());
    let again = raw(server, &keyed("POST /v1/orders"), &json!({"customer_id": MARK}).to_string());
    let broken = raw(server, &keyed("POST /v1/orders"), &format!("{{\"customer_id\": \"{MARK}\", oops"));
    let by_customer = raw(server, &keyed(&format!("GET /v1/orders?customer_id={MARK}-customer")), "");
    let nowhere = raw(server, &keyed(&format!("GET /v1/{MARK}/x?token={MARK}")), "");
    let wrong_key = raw(server, &format!("GET /v1/orders HTTP/1.1\r\nAuthorization: Bearer hf_{MARK}"), "");
    let signed = "POST /v1/webhooks/payments/sandbox HTTP/1.1\r\nHoldfast-Signature: t=1,v1=";
    let forged = raw(server, &format!("{signed}{MARK}"), &json!({"attempt_id": MARK}).to_string());
    let header = format!("{}\r\nX-Correlation-Id: {MARK}-correlation\r\nCookie: {MARK}", keyed("POST /v1/reservations"));
    let related = raw(server, &header, &json!({"owner": MARK, "lines": [{"sku": "MUG", "quantity": 1}]}).to_string());
    let statuses =
        [placed, again, broken, by_customer, nowhere, wrong_key, forged, related].map(|answer| answer[9..12].to_owned());
    assert_eq!(statuses, ["201", "400", "400", "200", "404", "401", "401", "201"], "else it was not what it was meant to be");
}

#[test]
fn no_line_of_the_log_has_a_secret_a_key_or_data_of_a_customer() {
    for format in ["human", "json"] {
        let options = Options::new().env("HOLDFAST__LOG__LEVEL", "trace").env("HOLDFAST__LOG__REQUESTS", "true");
        let options = options.env("HOLDFAST__LOG__FORMAT", format).env("HOLDFAST__SANDBOX__ENABLED", "true");
        let mut server = Server::prepare(options);
        let key = new_key(&server);
        server.restart();
        let put = json!({"on_hand": 100});
        let head = format!(
            "PUT /v1/inventory/MUG/locations/main HTTP/1.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nIf-Match: *"
        );
        assert!(raw(&server, &head, &put.to_string()).contains(" 200 "));
        marked(&server, &key);
        let secrets: Vec<String> = ["webhook-secret", "page-secret"]
            .map(|name| shown(&fs::read(server.data_dir().join("sandbox").join(name)).unwrap()))
            .into();
        assert!(server.terminate().success());
        let log = server.log();
        assert!(log.contains("/v1/orders") && log.contains("401") && log.contains("answered"), "requests are not logged: {log}");
        let forbidden = secrets.iter().map(String::as_str).chain([MARK, key.as_str()]);
        for secret in forbidden {
            let found: Vec<&str> = log.lines().filter(|line| line.contains(secret)).collect();
            assert!(found.is_empty(), "{format}: {secret:?} is in {found:#?}");
        }
    }
}

#[test]
fn requests_are_logged_only_where_the_settings_ask_for_it_and_sampled_as_they_say() {
    let lines = |options: Options| {
        let mut server = Server::start(options.env("HOLDFAST__LOG__FORMAT", "json"));
        let client = Client::new(&server.url());
        (0..40).for_each(|_| drop(client.json(&Request::get("/v1/limits")).unwrap()));
        server.terminate();
        let log = server.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == "answered" && line["route"] == "/v1/limits").collect::<Vec<Value>>()
    };
    assert_eq!(lines(Options::new()).len(), 0);
    let all = lines(Options::new().env("HOLDFAST__LOG__REQUESTS", "true"));
    assert_eq!((all.len(), &all[0]["status"], &all[0]["method"]), (40, &json!(200), &json!("GET")));
    assert!(all[0]["millis"].is_number() && all[0]["request_id"].as_str().unwrap().starts_with("req_"), "{}", all[0]);
    let some = lines(Options::new().env("HOLDFAST__LOG__REQUESTS", "true").env("HOLDFAST__LOG__SAMPLE__INFO", "10"));
    assert!((3..=6).contains(&some.len()), "{} of 40", some.len());
}
