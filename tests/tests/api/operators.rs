//! The address of operators: what is served there, and no longer beside the API.

use crate::auth::key_of;
use crate::client::Api;
use crate::shop::{PATIENCE, put};
use holdfast_tests::server::{Options, Server, binary, poll};
use std::process::Command;

/// The ways to call the address of operators.
pub(crate) struct Operators {
    /// Without a key.
    pub(crate) open: Api,
    pub(crate) storefront: Api,
    pub(crate) viewer: Api,
    pub(crate) admin: Api,
}

const LISTEN: (&str, &str) = ("HOLDFAST__ADMIN__LISTEN", "127.0.0.1:0");

/// Where the server says that operators are served: the system has chosen the port.
fn address(server: &Server) -> String {
    let told = |log: String| {
        let line = log.lines().find(|line| line.contains("operators are served at an address of their own"))?.to_owned();
        let (_, rest) = line.split_once("127.0.0.1:")?;
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some(format!("http://127.0.0.1:{port}"))
    };
    poll(PATIENCE, || told(server.log())).expect("the address is in the log")
}

/// A server with a key of each role, and operators at an address of their own.
pub(crate) fn apart(variables: &[(&str, &str)]) -> (Server, Operators) {
    let options = variables.iter().fold(Options::new(), |options, (name, value)| options.env(*name, *value));
    let mut server = Server::prepare(options.env(LISTEN.0, LISTEN.1));
    let keys = ["storefront", "viewer", "admin"].map(|role| key_of(&server, &["--name", role, "--role", role]));
    server.restart();
    let open = Api::at(&address(&server));
    let [storefront, viewer, admin] = keys.map(|key| open.with_key(&key));
    (server, Operators { open, storefront, viewer, admin })
}

/// A server without keys, and its operators' address.
pub(crate) fn alone() -> (Server, Api) {
    let server = Server::start(Options::new().env(LISTEN.0, LISTEN.1));
    let operators = Api::at(&address(&server));
    (server, operators)
}

/// Of a path that is described, and not served at this address.
fn status(api: &Api, path: &str) -> u16 {
    api.open(path, &[]).status().as_u16()
}

#[test]
fn operators_are_served_at_their_own_address_and_no_longer_beside_the_api() {
    let (server, Operators { open, storefront, viewer, admin }) = apart(&[]);
    let api = |with: &Api| with.beside(&server);
    for path in ["/metrics", "/admin/v1/shards"] {
        for caller in [&open, &storefront, &viewer, &admin] {
            assert_eq!(status(&api(caller), path), 404, "{path}");
        }
        open.get(path).problem(401, "unauthorized");
        storefront.get(path).problem(403, "forbidden");
        assert_eq!([&viewer, &admin].map(|caller| caller.get(path).status), [200, 200], "{path}");
    }
    assert!(admin.act("/admin/v1/audit").ok(200)["ok"] == true);
    put(&api(&storefront), "mug", "berlin", 5);
    for path in ["/v1/inventory", "/v1/events"] {
        assert_eq!(status(&admin, path), 404, "{path}");
    }
    for path in ["/livez", "/readyz", "/", "/problems", "/openapi.json", "/v1/limits"] {
        assert_eq!([&open, &api(&open)].map(|caller| caller.get(path).status), [200, 200], "{path}");
    }
    for (at, index) in [("/metrics", open.get("/").ok(200)), ("", api(&open).get("/").ok(200))] {
        assert!(index["metrics"].as_str().unwrap_or_default() == at && index["ready"] == "/readyz", "{index}");
        assert_eq!(index["console"].is_null(), at.is_empty(), "{index}");
    }
}

/// Pasted as they stood, its commands were 404.
#[test]
fn the_page_of_the_address_of_operators_places_its_order_where_orders_are_taken() {
    let (server, Operators { open, .. }) = apart(&[]);
    let page = |api: &Api| String::from_utf8(api.send("GET", "/", &[("accept", "text/html")], None).bytes).unwrap();
    for page in [page(&open), page(&open.beside(&server))] {
        assert!(page.contains(&format!("curl -s {}/v1/orders", server.url())), "{page}");
        assert!(!page.contains(&format!("{}/v1/orders", open.base())), "{page}");
    }
}

#[test]
fn without_keys_the_address_of_operators_answers_this_machine_alone() {
    let (_server, operators) = alone();
    operators.get("/admin/v1/shards").ok(200);
    assert_eq!(operators.get("/metrics").status, 200);
    let send = |method: &str, path: &str, header: (&str, &str)| operators.send(method, path, &[header], None);
    send("GET", "/admin/v1/shards", ("host", "evil.example")).problem(421, "misdirected_request");
    send("POST", "/admin/v1/audit", ("origin", "http://evil.example")).problem(403, "forbidden_origin");
}

#[test]
fn operators_are_not_served_beyond_this_machine_without_keys() {
    let dir = tempfile::tempdir().unwrap();
    let started = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path().join("data"))
        .env(LISTEN.0, "0.0.0.0:0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success() && said.contains("refusing to listen") && said.contains("admin.listen"), "{said}");
}

#[test]
fn a_server_with_two_addresses_stops_in_order() {
    let (mut server, Operators { admin, .. }) = apart(&[]);
    admin.get("/admin/v1/shards").ok(200);
    assert!(server.terminate().success());
}
