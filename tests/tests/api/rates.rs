//! Limits of the number of requests, on real servers.
//!
//! Invariant: which operation counts for which group follows from the rule written here, never from the table of the server.

use crate::auth::key_of;
use crate::client::{Answer, Api};
use crate::contract::Contract;
use crate::contract::calls::Call;
use crate::shop::{fresh, order, order_becomes, paying, place, post, put, stock, stocked};
use crate::webhooks::{now, secret, signature, tell, told};
use holdfast_tests::server::{Options, Server};
use serde_json::{Value, json};
use std::sync::{Mutex, Weak};
use std::time::Instant;

fn setting(caller: &str, group: &str) -> String {
    format!("HOLDFAST__LIMITS__{}__{}", caller.to_uppercase(), group.to_uppercase())
}

/// The group of a call, and none for probes.
fn group(method: &str, path: &str) -> Option<&'static str> {
    match path {
        "/livez" | "/readyz" | "/metrics" => None,
        "/v1/limits" | "/v1/webhooks/payments/sandbox" => Some("open"),
        "/v1/availability:query" => Some("reads"),
        _ if path.starts_with("/sandbox/") => Some("open"),
        _ if path.starts_with("/admin/") => Some("operators"),
        _ if method == "get" => Some("reads"),
        _ if path.starts_with("/v1/inventory") => Some("stock"),
        _ => Some("orders"),
    }
}

fn policy(answer: &Answer) -> Option<&str> {
    answer.header("ratelimit-policy")
}

#[test]
fn every_operation_counts_for_its_group_and_probes_for_none() {
    let groups = ["orders", "stock", "reads", "operators", "open"];
    let options = groups.iter().fold(Options::new(), |options, group| options.env(setting("address", group), "1000/1h"));
    let server = Server::start(options);
    let api = Api::of(&server);
    for (path, method, operation) in Contract::of(api.base()).unwrap().operations() {
        let call = Call::shaped(method, path, operation.described["requestBody"].is_object());
        // Of a stream only its head.
        let call = if path.ends_with("/stream") { Call { method: "HEAD".to_owned(), ..call } } else { call };
        let expected = group(method, path).map(|group| format!("\"{group}\";q=1000;w=3600"));
        let answer = call.send(&api);
        assert_eq!(policy(&answer), expected.as_deref(), "{method} {path}: {}", answer.shown());
        assert_eq!(answer.header("ratelimit").is_some(), expected.is_some());
    }
    assert_eq!(policy(&api.get("/problems")), Some("\"open\";q=1000;w=3600"));
}

/// A server whose storefronts may place 100 orders an hour, and two keys.
fn limited() -> (Server, [Api; 2]) {
    let mut server = Server::prepare(Options::new().env(setting("storefront", "orders"), "100/1h"));
    let keys = ["one", "two"].map(|name| key_of(&server, &["--name", name]));
    server.restart();
    let apis = keys.map(|key| Api::of(&server).with_key(&key));
    (server, apis)
}

#[test]
fn with_100_orders_an_hour_the_101st_is_refused_and_that_of_another_key_is_taken() {
    let (_server, [one, two]) = limited();
    put(&one, "mug", "berlin", 1_000);
    let (began, mut taken) = (Instant::now(), 0);
    let refused = loop {
        let answer = one.keyed("/v1/orders", &fresh("key"), &order("mug", 1));
        if answer.status == 429 {
            break answer;
        }
        answer.ok(201);
        taken += 1;
        assert_eq!(policy(&answer), Some("\"orders\";q=100;w=3600"));
    };
    // One comes back every 36 s.
    let most = 101 + began.elapsed().as_secs() / 36;
    assert!((100..=most).contains(&taken), "{taken} of 100 were taken");
    refused.problem(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=36).contains(&wait), "{wait}");
    assert!(refused.header("ratelimit").unwrap().starts_with("\"orders\";r=0;t="), "{}", refused.shown());
    assert_eq!(stock(&one, "mug")["held"], taken, "reads have no limit, and what was refused was not executed");
    post(&two, "/v1/orders", &order("mug", 1)).ok(201);
}

fn batch(sku: &str, items: usize) -> Value {
    let item = |_| json!({"key": fresh("key"), "lines": [{"sku": sku, "quantity": 1}]});
    json!({"items": (0..items).map(item).collect::<Vec<_>>()})
}

/// It counted as one request: a hundred an hour were 409,600 reservations.
#[test]
fn each_item_of_a_batch_counts_and_one_that_is_too_many_has_none_executed() {
    let (_server, [one, two]) = limited();
    put(&one, "mug", "berlin", 1_000);
    let send = |items: usize| one.post("/v1/reservations:batch", &batch("mug", items));
    let taken = send(60);
    taken.ok(200);
    assert!(taken.header("ratelimit").unwrap().starts_with("\"orders\";r=40;"), "{}", taken.shown());
    let refused = send(60);
    refused.problem(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((20 * 36..=21 * 36).contains(&wait), "{wait}");
    send(101).invalid("/items");
    assert_eq!(stock(&one, "mug")["held"], 60);
    send(30).ok(200);
    two.post("/v1/reservations:batch", &batch("mug", 100)).ok(200);
    assert_eq!(stock(&one, "mug")["held"], 190);
}

/// They were counted before anybody looked at their signature: whoever sent enough of them kept the provider's out.
#[test]
fn webhooks_that_are_not_signed_are_limited_and_those_that_are_signed_never() {
    static OWN: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let api = Api::shared_as(&OWN, || Options::new().env(setting("address", "open"), "3/1h"));
    let placed = place(&api, &paying(&stocked(&api, 1), 1));
    let body = told(&placed, "payment.captured");
    let unsigned = || tell(&api, &body, "t=1,v1=00");
    let statuses: Vec<u16> = (0..5).map(|_| unsigned().status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    unsigned().problem(429, "rate_limited");
    for _ in 0..5 {
        tell(&api, &body, &signature(&secret(&api), now(), &body)).ok(200);
    }
    order_becomes(&api, &placed, "confirmed");
}

#[test]
fn limits_tells_the_rates_of_whoever_asks() {
    let (server, [one, _]) = limited();
    let shown = |api: &Api| api.get("/v1/limits").ok(200)["rate_limits"].clone();
    assert_eq!(shown(&one), json!({"orders": {"requests": 100, "seconds": 3600}}));
    assert_eq!(shown(&Api::of(&server)), json!({}));
    let viewer = key_of(&server, &["--name", "viewer", "--role", "viewer"]);
    let viewer = Api::of(&server).with_key(&viewer);
    let rates = holdfast_tests::server::poll(crate::shop::PATIENCE, || {
        let answer = viewer.get("/v1/limits");
        (answer.status == 200).then(|| answer.json()["rate_limits"].clone())
    });
    let ten_a_second = json!({"requests": 600, "seconds": 60});
    assert_eq!(rates, Some(json!({"reads": ten_a_second, "operators": ten_a_second})), "by default");
}

#[test]
fn without_keys_each_address_is_limited_by_itself() {
    let options = Options::new().env(setting("address", "reads"), "1/1d").env("HOLDFAST__SERVER__TRUSTED_PROXIES", "127.0.0.1");
    let server = Server::start(options);
    let api = Api::of(&server);
    let read = |address: &str| api.send("GET", "/v1/inventory", &[("x-forwarded-for", address)], None);
    read("192.0.2.1").ok(200);
    read("192.0.2.1").problem(429, "rate_limited");
    read("192.0.2.2").ok(200);
    read("2001:db8::1").ok(200);
    read("2001:db8::2").problem(429, "rate_limited");
    assert_eq!(api.get("/v1/orders/ord_x").status, 404, "the proxy itself has sent nothing yet");
}

/// One request too many: each group may have one, and has had it.
/// The answer to a second request where one in 36 s is taken, as in the example of its page.
pub(crate) fn soon_again() -> Answer {
    let server = Server::start(Options::new().env(setting("address", "reads"), "1/36s"));
    let api = Api::of(&server);
    api.get("/v1/inventory").ok(200);
    api.get("/v1/inventory")
}

pub(crate) fn exhausted() -> (Server, Api) {
    let groups = ["orders", "stock", "reads", "operators", "open"];
    let options = groups.iter().fold(Options::new(), |options, group| options.env(setting("address", group), "1/1d"));
    let server = Server::start(options);
    let api = Api::of(&server);
    post(&api, "/v1/orders", &json!({})).problem(400, "invalid_request");
    api.json("PATCH", "/v1/inventory/mug", &[], &json!({})).problem(400, "invalid_request");
    api.get("/v1/inventory").ok(200);
    api.get("/admin/v1/shards").ok(200);
    // Refused already if the description was read here.
    api.get("/problems");
    (server, api)
}
