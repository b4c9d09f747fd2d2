//! What each role of a key reaches, over every operation of `/openapi.json` on a real server.
//!
//! Invariant: what is expected follows from the rule written here, never from the table of the server. So a new operation is tested as
//! soon as it is described.

use crate::auth::{key_of, new_key};
use crate::client::{Answer, Api};
use crate::contract::Contract;
use crate::contract::calls::Call;
use crate::shop::{PATIENCE, put};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::Value;

const ROLES: [&str; 3] = ["storefront", "viewer", "admin"];
const PROBES: [&str; 4] = ["/livez", "/readyz", "/metrics", "/v1/limits"];
const PAGES: [&str; 5] = ["/", "/openapi.json", "/problems", "/problems/forbidden", "/docs/"];
const WEBHOOK: &str = "/v1/webhooks/payments/sandbox";

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Reached,
    /// 401 `unauthorized`.
    Nobody,
    /// 403 `forbidden`.
    Forbidden,
}

/// The rule: storefronts reach all under `/v1`, viewers every GET and plans, which change nothing, admins everything; probes and pages need no key.
fn expected(role: Option<&str>, method: &str, path: &str) -> Expected {
    let open = PROBES.contains(&path) || path.starts_with("/sandbox/");
    match role {
        None if open => Expected::Reached,
        None => Expected::Nobody,
        Some("storefront") if path.starts_with("/admin/") => Expected::Forbidden,
        Some("viewer") if method != "get" && !path.ends_with(":plan") => Expected::Forbidden,
        Some(_) => Expected::Reached,
    }
}

fn found(answer: &Answer) -> Expected {
    let code = if answer.is_problem() && !answer.bytes.is_empty() { answer.json()["code"].clone() } else { Value::Null };
    match (answer.status, code.as_str()) {
        (401, _) => Expected::Nobody,
        // A HEAD has no body.
        (403, Some("forbidden") | None) => Expected::Forbidden,
        (403, Some(_)) => panic!("refused for another reason: {}", answer.shown()),
        _ => Expected::Reached,
    }
}

/// A server with keys and the sandbox, which is off beside keys unless it is asked for.
fn guarded() -> Server {
    let mut server = Server::prepare(Options::new().env("HOLDFAST__SANDBOX__ENABLED", "true"));
    new_key(&server, "first");
    server.restart();
    server
}

fn with_role(server: &Server, role: &str) -> Api {
    let key = key_of(server, &["--name", role, "--role", role]);
    let api = Api::of(server).with_key(&key);
    poll(PATIENCE, || (api.get("/v1/limits").status == 200).then_some(())).expect("the key counts");
    api
}

/// A well-formed call of each described operation, with its method and its template. Webhooks are not among them: no key is looked at
/// there.
fn calls(contract: &Contract) -> Vec<(String, String, Call)> {
    let described = contract.operations().filter(|(path, ..)| *path != WEBHOOK);
    let call = |(path, method, operation): (&str, &str, crate::contract::Operation<'_>)| {
        let takes_body = operation.described["requestBody"].is_object();
        (method.to_owned(), path.to_owned(), Call::shaped(method, path, takes_body))
    };
    described.map(call).collect()
}

/// Of a stream only its head.
fn sent(api: &Api, path: &str, call: &Call) -> Answer {
    if path.ends_with("/stream") { Call { method: "HEAD".to_owned(), ..call.clone() }.send(api) } else { call.send(api) }
}

#[test]
fn each_role_reaches_every_operation_of_its_own_and_no_other() {
    let server = guarded();
    let contract = Contract::of(Api::of(&server).base()).unwrap();
    let keyed = ROLES.map(|role| (Some(role), with_role(&server, role)));
    let callers = keyed.into_iter().chain([(None, Api::of(&server))]);
    let mut seen = 0;
    for (role, api) in callers {
        for (method, path, call) in calls(contract) {
            let answer = sent(&api, &path, &call);
            assert_eq!(found(&answer), expected(role, &method, &path), "{role:?} {method} {path}: {}", answer.shown());
            if method == "get" {
                let head = Call { method: "HEAD".to_owned(), ..call }.send(&api);
                assert_eq!(found(&head), expected(role, "get", &path), "{role:?} head {path}");
            }
            seen += 1;
        }
        PAGES.iter().for_each(|page| assert_eq!(api.get(page).status, 200, "{role:?} {page}"));
    }
    assert!(seen >= 4 * 33, "{seen}");
}

#[test]
fn a_refusal_names_the_role_of_the_key_and_those_that_may() {
    let server = guarded();
    let refused = with_role(&server, "storefront").get("/admin/v1/shards").problem(403, "forbidden");
    assert_eq!(refused["detail"], "the role of the API key is storefront; this needs viewer or admin");
    let refused = with_role(&server, "viewer").act("/admin/v1/audit").problem(403, "forbidden");
    assert_eq!(refused["detail"], "the role of the API key is viewer; this needs admin");
}

/// Keys of earlier versions have no role, and reached everything.
#[test]
fn a_key_without_a_role_is_a_storefronts() {
    let server = guarded();
    let key = key_of(&server, &["--name", "shop"]);
    let api = Api::of(&server).with_key(&key);
    let refused = poll(PATIENCE, || Some(api.get("/admin/v1/shards")).filter(|answer| answer.status != 401)).unwrap();
    refused.problem(403, "forbidden");
    api.get("/v1/inventory").ok(200);
}

#[test]
fn a_wrong_key_and_a_revoked_one_reach_no_operation_that_looks_at_keys() {
    let server = guarded();
    let contract = Contract::of(Api::of(&server).base()).unwrap();
    let revoked = with_role(&server, "admin");
    revoked.get("/admin/v1/shards").ok(200);
    revoke(&server, "admin");
    poll(PATIENCE, || (revoked.get("/v1/limits").status == 401).then_some(())).expect("the key is revoked");
    // All at once, as answers to wrong keys wait.
    std::thread::scope(|scope| {
        for api in [revoked, Api::of(&server).with_key("hf_wrong")] {
            for (method, path, call) in calls(contract).into_iter().filter(|(_, path, _)| !is_probe(path)) {
                let api = api.clone();
                scope.spawn(move || {
                    let answer = sent(&api, &path, &call);
                    assert_eq!(found(&answer), Expected::Nobody, "{method} {path}: {}", answer.shown());
                });
            }
        }
    });
}

fn revoke(server: &Server, name: &str) {
    let dir = server.data_dir().display().to_string();
    assert!(server.run(&["key", "revoke", name, "--data-dir", &dir]).0.success());
}

#[test]
fn a_stream_ends_when_its_key_is_revoked() {
    let server = guarded();
    let (admin, shop) = (with_role(&server, "admin"), with_role(&server, "storefront"));
    let stream = shop.open("/v1/events/stream", &[]);
    let reading = std::thread::spawn(move || std::io::copy(&mut stream.into_body().into_reader(), &mut std::io::sink()));
    revoke(&server, "storefront");
    poll(PATIENCE, || (shop.get("/v1/limits").status == 401).then_some(())).expect("the key is revoked");
    let ended = poll(PATIENCE, || {
        put(&admin, "mug", "berlin", 1);
        reading.is_finished().then_some(())
    });
    ended.expect("the stream ends with the next thing it would tell");
}

/// They answer whoever asks, whatever key comes with it.
fn is_probe(path: &str) -> bool {
    ["/livez", "/readyz", "/metrics"].contains(&path)
}

#[test]
fn the_key_of_an_admin_changes_nothing_for_a_page_of_another_origin() {
    let server = guarded();
    let contract = Contract::of(Api::of(&server).base()).unwrap();
    let api = with_role(&server, "admin");
    for (_, path, call) in calls(contract).into_iter().filter(|(method, ..)| method != "get") {
        let refused = call.clone().with("origin", "https://evil.example").send(&api);
        assert_eq!(refused.problem(403, "forbidden_origin")["retryable"], false, "{path}");
        let refused = call.with("sec-fetch-site", "cross-site").send(&api);
        refused.problem(403, "forbidden_origin");
    }
}

/// Where nobody needs a key everybody on this machine is an admin: a page that has bound its name to the address is not.
#[test]
fn without_keys_no_operation_is_reached_under_the_name_of_another_host() {
    let api = Api::shared();
    for (_, path, call) in calls(Contract::of(api.base()).unwrap()) {
        let refused = sent(&api, &path, &call.with("host", "evil.example"));
        assert_eq!(refused.status, 421, "{path}: {}", refused.shown());
    }
    api.get("/admin/v1/shards").ok(200);
}

#[test]
fn a_list_of_keys_shows_their_roles_and_a_role_is_one_of_three() {
    let server = Server::prepare(Options::new());
    let dir = server.data_dir().display().to_string();
    ROLES.iter().for_each(|role| drop(key_of(&server, &["--name", role, "--role", role])));
    let (_, listed) = server.run(&["key", "list", "--data-dir", &dir, "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let roles: Vec<&str> = listed.as_array().unwrap().iter().map(|key| key["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ROLES);
    assert!(!server.run(&["key", "new", "--role", "root", "--data-dir", &dir]).0.success());
}
