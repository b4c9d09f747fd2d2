//! Who may call: keys, and where the server listens without them.

use crate::client::Api;
use crate::shop::{PATIENCE, order, post, put, with};
use holdfast_tests::server::{Options, Server, binary};
use serde_json::{Value, json};
use std::process::Command;

/// A server whose data directory has a key, and the key.
fn guarded() -> (Server, String) {
    let mut server = Server::prepare(Options::new());
    let key = new_key(&server, "storefront");
    server.restart();
    (server, key)
}

pub(crate) fn new_key(server: &Server, name: &str) -> String {
    key_of(server, &["--name", name])
}

/// A key of this name, role and the like.
pub(crate) fn key_of(server: &Server, args: &[&str]) -> String {
    let dir = server.data_dir().display().to_string();
    let (status, said) = server.run(&[&["key", "new", "--data-dir", &dir, "--json"], args].concat());
    assert!(status.success());
    let made: Value = serde_json::from_str(&said).unwrap();
    made["key"].as_str().unwrap().to_owned()
}

#[test]
fn with_keys_every_call_without_one_is_401_and_changes_nothing() {
    let (server, key) = guarded();
    assert!(key.starts_with("hf_"));
    let open = Api::of(&server);
    let description = open.get("/openapi.json").ok(200);
    for (path, operations) in description["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/") && !path.starts_with("/admin/") || path == "/v1/limits" {
            continue;
        }
        let path = path.replace("{id}", "ord_00000000000000000000000000").replace(['{', '}'], "");
        for method in operations.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let body = (method != "GET" && method != "DELETE").then_some(b"{}".as_slice());
            let headers = [("content-type", "application/json"), ("idempotency-key", "k"), ("if-match", "*")];
            open.send(&method, &path, &headers, body).problem(401, "unauthorized");
        }
    }
    Api::of(&server).with_key(&key).get("/v1/inventory/sku").problem(404, "not_found");
}

#[test]
fn a_key_made_by_key_new_opens_the_api_and_a_wrong_one_does_not() {
    let (server, key) = guarded();
    let open = Api::of(&server);
    let answer = open.get("/v1/inventory/x");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    for wrong in ["hf_wrong".to_owned(), key.to_uppercase(), key[..key.len() - 1].to_owned(), format!("{key}x"), String::new()] {
        open.with_key(&wrong).get("/v1/inventory/x").problem(401, "unauthorized");
    }
    let basic = open.send("GET", "/v1/inventory/x", &[("authorization", &format!("Basic {key}"))], None);
    basic.problem(401, "unauthorized");
    let small = open.send("GET", "/v1/inventory/x", &[("authorization", &format!("bearer {key}"))], None);
    small.problem(404, "not_found");
    let shop = open.with_key(&key);
    put(&shop, "sku", "berlin", 5);
    post(&shop, "/v1/orders", &order("sku", 1)).ok(201);
}

/// The limits say whose key it is, and the pages of the sandbox open with one: both told right keys from wrong ones, as fast as asked.
#[test]
fn where_nobody_needs_a_key_a_wrong_one_is_refused_and_counted_all_the_same() {
    let mut server = Server::prepare(Options::new().env("HOLDFAST__SANDBOX__ENABLED", "true"));
    let key = new_key(&server, "storefront");
    server.restart();
    let open = Api::of(&server);
    let (limits, page) = ("/v1/limits", "/sandbox/payments/pay_00000000000000000000000000-1");
    assert_eq!(open.get(limits).ok(200)["idempotency"]["scope"], Value::Null);
    assert_eq!(open.with_key(&key).get(limits).ok(200)["idempotency"]["scope"], "storefront");
    open.get(page).problem(404, "not_found");
    open.with_key(&key).get(page).problem(404, "not_found");
    let guessing = open.with_key("hf_wrong");
    for refused in [guessing.get(limits), guessing.get(page), guessing.act(&format!("{page}/approve"))] {
        assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        refused.problem(401, "unauthorized");
    }
    open.send("GET", limits, &[("authorization", &format!("Basic {key}"))], None).problem(401, "unauthorized");
    let metrics = String::from_utf8(open.get("/metrics").bytes).unwrap();
    assert!(metrics.lines().any(|line| line == "holdfast_logins_refused_total 4"), "{metrics}");
}

#[test]
fn health_limits_and_documents_need_no_key() {
    let (server, _) = guarded();
    for path in ["/livez", "/readyz", "/v1/limits", "/openapi.json", "/metrics", "/problems/unauthorized"] {
        assert_eq!(Api::of(&server).get(path).status, 200, "{path}");
    }
}

#[test]
fn idempotency_keys_of_two_clients_never_meet() {
    let mut server = Server::prepare(Options::new());
    let (one, two) = (new_key(&server, "one"), new_key(&server, "two"));
    server.restart();
    let (one, two) = (Api::of(&server).with_key(&one), Api::of(&server).with_key(&two));
    put(&one, "sku", "berlin", 5);
    let first = one.keyed("/v1/orders", "same", &order("sku", 1)).ok(201);
    let other = two.keyed("/v1/orders", "same", &with(order("sku", 1), json!({"customer_id": "eve"}))).ok(201);
    assert_ne!(first["id"], other["id"]);
}

#[test]
fn the_secret_of_a_key_is_nowhere_in_the_data_or_the_log() {
    let (server, key) = guarded();
    Api::of(&server).with_key(&key).get("/v1/inventory/x").problem(404, "not_found");
    let stored = std::fs::read_to_string(server.data_dir().join("api-keys.jsonl")).unwrap();
    assert!(stored.contains("storefront") && !stored.contains(&key));
    assert!(!server.log().contains(&key));
}

#[test]
fn the_server_refuses_to_listen_beyond_this_machine_without_keys() {
    let dir = tempfile::tempdir().unwrap();
    let started = Command::new(binary())
        .args(["serve", "--listen", "0.0.0.0:0", "--data-dir"])
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    assert!(!started.status.success());
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(said.contains("refusing to listen") && said.contains("holdfast key new") && said.contains("--insecure"), "{said}");
}

#[test]
fn the_server_listens_beyond_this_machine_with_keys_or_when_told_that_it_is_insecure() {
    // The later --listen wins over the one every test server gets.
    let beyond = |server: &Server| format!("0.0.0.0:{}", server.address().rsplit(':').next().unwrap());
    let probe = Server::prepare(Options::new());
    let listen = beyond(&probe);
    let dir = tempfile::tempdir().unwrap();
    let mut insecure = Command::new(binary())
        .args(["serve", "--no-demo", "--insecure", "--listen", &listen, "--data-dir"])
        .arg(dir.path().join("data"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ready = holdfast_tests::server::poll(PATIENCE, || {
        let (ready, _) = probe.run(&["healthcheck", "--address", &probe.address()]);
        ready.success().then_some(())
    });
    insecure.kill().unwrap();
    insecure.wait().unwrap();
    assert!(ready.is_some(), "not ready on {listen}");
}
