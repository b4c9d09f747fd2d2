//! The sandbox where API keys exist: off unless asked for, and its pages for those who were given their link.

use crate::client::Api;
use crate::shop::{id, order, order_becomes, order_now, paying, place, post, put, stocked};
use holdfast_tests::server::{Options, Server};
use serde_json::{Value, json};

const ENABLED: &str = "HOLDFAST__SANDBOX__ENABLED";

fn make_key(server: &Server) -> String {
    let dir = server.data_dir().display().to_string();
    let (status, said) = server.run(&["key", "new", "--name", "shop", "--data-dir", &dir, "--json"]);
    assert!(status.success());
    serde_json::from_str::<Value>(&said).unwrap()["key"].as_str().unwrap().to_owned()
}

fn keyed(options: Options) -> (Server, String) {
    let mut server = Server::prepare(options);
    let key = make_key(&server);
    server.restart();
    (server, key)
}

fn path_of(placed: &Value, server: &Server) -> String {
    placed["payment"]["redirect_url"].as_str().unwrap().strip_prefix(&server.url()).unwrap().to_owned()
}

fn pay(api: &Api, order: &Value, key: &str) -> crate::client::Answer {
    api.keyed(&format!("/v1/orders/{}/payments", id(order)), key, &json!({"provider": "sandbox"}))
}

#[test]
fn with_keys_the_sandbox_is_off_and_the_server_says_so() {
    let (server, key) = keyed(Options::new());
    let api = Api::of(&server).with_key(&key);
    put(&api, "mug", "berlin", 5);
    post(&api, "/v1/orders", &paying("mug", 1)).problem(422, "provider_unavailable");
    let placed = place(&api, &order("mug", 1));
    pay(&api, &placed, "k").problem(422, "provider_unavailable");
    pay(&api, &json!({"id": "ord_00000000000000000000000000"}), "k").problem(404, "not_found");
    assert_eq!(order_now(&api, &placed)["status"], "awaiting_payment", "a payment that cannot open was started");
    assert_eq!(crate::shop::stock(&api, "mug")["available"], 4, "the refused order holds something");
    api.get("/sandbox/payments/x").problem(404, "not_found");
    let log = server.log();
    assert!(log.contains("the sandbox payment provider is off") && log.contains("none: API keys turn the sandbox off"), "{log}");
}

#[test]
fn a_payment_page_opens_by_its_link_or_with_a_key_only() {
    let (server, key) = keyed(Options::new().env(ENABLED, "true"));
    let (open, api) = (Api::of(&server), Api::of(&server).with_key(&key));
    put(&api, "mug", "berlin", 5);
    let placed = place(&api, &paying("mug", 1));
    let (path, attempt) = (path_of(&placed, &server), placed["payment"]["attempt_id"].as_str().unwrap());
    let bare = format!("/sandbox/payments/{attempt}");
    let token = path.strip_prefix(&format!("{bare}.")).unwrap();
    let other = place(&api, &paying("mug", 1));
    let others = format!("/sandbox/payments/{}.{token}", other["payment"]["attempt_id"].as_str().unwrap());
    for wrong in [bare.clone(), format!("{bare}."), format!("{bare}.{}", "0".repeat(token.len())), format!("{path}0"), others] {
        open.get(&wrong).problem(404, "not_found");
        open.act(&format!("{wrong}/approve")).problem(404, "not_found");
    }
    let page = open.get(&path);
    assert_eq!((page.status, page.header("referrer-policy")), (200, Some("same-origin")));
    for button in ["approve", "decline", "silence"] {
        assert!(page.text().contains(&format!("action=\"{path}/{button}\"")), "{button}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
    let pressed = open.send("POST", &format!("{path}/silence"), &form, Some(b""));
    assert_eq!((pressed.status, pressed.header("location")), (303, Some(path.as_str())));
    let shown = open.send("GET", &path, &[("accept", "application/json")], None).ok(200);
    assert_eq!([&shown["attempt_id"], &shown["payment"]["silent"]], [&json!(attempt), &json!(true)]);
    assert_eq!(open.act(&format!("{path}/approve")).ok(200)["status"], "captured");
    order_becomes(&api, &placed, "confirmed");
    let by_key = format!("/sandbox/payments/{}/approve", other["payment"]["attempt_id"].as_str().unwrap());
    api.act(&by_key).ok(200);
    order_becomes(&api, &other, "confirmed");
}

/// A link that was handed out with keys works without them, and the other way round whoever has a key helps.
#[test]
fn links_outlive_the_coming_and_going_of_keys() {
    let mut server = Server::start(Options::new().env(ENABLED, "true"));
    let open = Api::of(&server);
    put(&open, "mug", "berlin", 5);
    let before = place(&open, &paying("mug", 1));
    let key = make_key(&server);
    server.restart();
    let api = Api::of(&server).with_key(&key);
    let bare = format!("/sandbox/payments/{}", before["payment"]["attempt_id"].as_str().unwrap());
    let open = Api::of(&server);
    open.get(&bare).problem(404, "not_found");
    open.act(&format!("{bare}/approve")).problem(404, "not_found");
    open.act(&format!("{}/silence", path_of(&before, &server))).ok(200);
    api.act(&format!("{bare}/approve")).ok(200);
    order_becomes(&api, &before, "confirmed");
    let with_token = place(&api, &paying("mug", 1));
    for file in ["api-keys.jsonl", "api-keys.mark"] {
        std::fs::remove_file(server.data_dir().join(file)).unwrap();
    }
    server.restart();
    let (open, path) = (Api::of(&server), path_of(&with_token, &server));
    open.get(&format!("{path}0")).problem(404, "not_found");
    open.act(&format!("{path}/approve")).ok(200);
    order_becomes(&open, &with_token, "confirmed");
}

/// One key, one answer: also where the provider was turned off in between.
#[test]
fn what_was_answered_before_the_sandbox_was_turned_off_is_answered_again() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    let sku = stocked(&api, 5);
    let first = api.keyed("/v1/orders", "with-payment", &paying(&sku, 1));
    first.ok(201);
    let later = place(&api, &order(&sku, 1));
    let started = pay(&api, &later, "pay-later");
    started.ok(201);
    server.terminate();
    let dir = server.data_dir().to_path_buf();
    let off = Server::start(Options::new().data_dir(&dir).env(ENABLED, "false"));
    let off_api = Api::of(&off);
    let again = off_api.keyed("/v1/orders", "with-payment", &paying(&sku, 1));
    assert_eq!((again.status, again.replayed(), again.bytes), (201, true, first.bytes));
    let again = pay(&off_api, &later, "pay-later");
    assert_eq!((again.status, again.replayed(), again.bytes), (201, true, started.bytes));
    off_api.keyed("/v1/orders", "new-one", &paying(&sku, 1)).problem(422, "provider_unavailable");
}
