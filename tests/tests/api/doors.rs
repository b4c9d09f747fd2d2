//! Who reaches the operators' side of a server, `/admin` and the console, where it has an address of its own.
//!
//! Invariant: what is expected follows from the rules written here. A route of the console that is in none of these lists fails the test.

use crate::client::{Answer, Api};
use crate::contract::Contract;
use crate::contract::calls::Call;
use crate::operators::{Operators, alone, apart};
use crate::shop::PATIENCE;
use holdfast_tests::server::{Server, poll};
use std::time::{Duration, Instant};

/// The table of the server, for the paths in it alone.
const TABLE: &str = include_str!("../../../gateway/src/http/table.rs");

const PAGES: [&str; 8] = [
    "/console",
    "/console/shards",
    "/console/orders",
    "/console/orders/ord_00000000000000000000000000",
    "/console/settings",
    "/console/changes",
    "/console/audit",
    "/console/live?page=overview",
];
const FORMS: [&str; 6] = [
    "/console/shards/move",
    "/console/shards/plan",
    "/console/shards/apply",
    "/console/settings/plan",
    "/console/settings/apply",
    "/console/audit",
];
/// Those who have no session need them.
const OPEN: [&str; 3] = ["/console/login", "/console/logout", "/console/files/{file}"];

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[test]
fn every_route_of_the_console_is_in_these_lists() {
    let rows = TABLE.lines().filter_map(|line| line.split("path: \"").nth(1)?.split('"').next());
    let listed = |path: &str| {
        let same = |known: &&str| {
            known.split('?').next() == Some(path) || *known == path.replace("{id}", "ord_00000000000000000000000000")
        };
        PAGES.iter().chain(&FORMS).chain(&OPEN).any(same)
    };
    let missing: Vec<&str> = rows.filter(|path| path.starts_with("/console") && !listed(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn page(api: &Api, path: &str, cookie: &str) -> Answer {
    api.send("GET", path, &[("cookie", cookie)], None)
}

fn press(api: &Api, path: &str, cookie: &str, origin: &str) -> Answer {
    api.send("POST", path, &[("cookie", cookie), ("origin", origin), FORM], Some(b""))
}

fn sign_in(api: &Api, key: &Api) -> Answer {
    let body = format!("key={}", key.key());
    api.send("POST", "/console/login", &[("origin", api.base()), FORM], Some(body.as_bytes()))
}

/// The cookie of a session of whoever has this key.
fn session(api: &Api, key: &Api) -> String {
    let answer = sign_in(api, key);
    answer
        .header("set-cookie")
        .and_then(|cookie| cookie.split(';').next())
        .unwrap_or_else(|| panic!("{}", answer.shown()))
        .to_owned()
}

/// It shows nothing and does nothing.
fn is_closed(operators: &Api, cookie: &str) {
    for path in PAGES {
        let answer = page(operators, path, cookie);
        let shut =
            if path.contains("/live") { answer.status == 401 } else { answer.header("location") == Some("/console/login") };
        assert!(shut, "{path}: {}", answer.shown());
    }
    for path in FORMS {
        press(operators, path, cookie, operators.base()).problem(401, "unauthorized");
    }
}

#[test]
fn the_console_shows_viewers_everything_and_obeys_admins_alone() {
    let (server, Operators { open, storefront, viewer, admin }) = apart(&[]);
    is_closed(&open, "");
    assert_eq!(sign_in(&open, &storefront).status, 403);
    let [viewing, acting] = [&viewer, &admin].map(|key| session(&open, key));
    for path in PAGES.into_iter().filter(|path| !path.contains("/live")) {
        for cookie in [&viewing, &acting] {
            let answer = page(&open, path, cookie);
            assert!(matches!(answer.status, 200 | 404) && answer.header("location").is_none(), "{path}: {}", answer.shown());
        }
    }
    for path in FORMS {
        press(&open, path, &viewing, open.base()).problem(403, "forbidden");
        for origin in ["http://evil.example", "null"] {
            press(&open, path, &acting, origin).problem(403, "forbidden_origin");
        }
        let obeyed = press(&open, path, &acting, open.base());
        assert!(!matches!(obeyed.status, 401 | 403 | 404), "{path}: {}", obeyed.shown());
    }
    let api = open.beside(&server);
    for path in PAGES.into_iter().chain(FORMS).chain(["/console/login"]) {
        assert_eq!(page(&api, path, &acting).status, 404, "it is not beside the API: {path}");
    }
}

#[test]
fn a_session_that_has_rested_too_long_or_whose_key_is_taken_back_reaches_nothing() {
    let (server, Operators { open, viewer, admin, .. }) = apart(&[("HOLDFAST__CONSOLE__IDLE_SECONDS", "1")]);
    let (rested, begun) = (session(&open, &admin), Instant::now());
    // Looking at it would use it.
    poll(PATIENCE, || (begun.elapsed() > Duration::from_millis(1_100)).then_some(())).unwrap();
    is_closed(&open, &rested);
    let revoked = session(&open, &viewer);
    let dir = server.data_dir().display().to_string();
    assert!(server.run(&["key", "revoke", "viewer", "--data-dir", &dir]).0.success());
    poll(PATIENCE, || (viewer.get("/v1/limits").status == 401).then_some(())).expect("it is taken back");
    is_closed(&open, &revoked);
}

#[test]
fn without_keys_nothing_for_operators_is_reached_under_the_name_of_another_host() {
    let (_server, open): (Server, Api) = alone();
    let evil = [("host", "evil.example"), ("origin", "http://evil.example"), FORM];
    for path in PAGES {
        assert_eq!(open.send("GET", path, &evil[..1], None).status, 421, "{path}");
    }
    assert_eq!(page(&open, "/console", "").status, 200);
    for path in FORMS {
        assert!(matches!(open.send("POST", path, &evil, Some(b"")).status, 421 | 403), "{path}");
    }
    for (path, call) in of_operators() {
        assert_eq!(call.with("host", "evil.example").send(&open).status, 421, "{path}");
    }
}

/// A call of every described operation for operators.
fn of_operators() -> Vec<(String, Call)> {
    let contract = Contract::of(Api::shared().base()).unwrap();
    let operations = contract.operations().filter(|(path, ..)| path.starts_with("/admin/") || *path == "/metrics");
    let call = |(path, method, operation): (&str, &str, crate::contract::Operation<'_>)| {
        (format!("{method} {path}"), Call::shaped(method, path, operation.described["requestBody"].is_object()))
    };
    operations.map(call).collect()
}

#[test]
fn each_role_reaches_at_the_address_of_operators_what_it_reaches_elsewhere() {
    let (_server, Operators { open, storefront, viewer, admin }) = apart(&[]);
    for (path, call) in of_operators() {
        let reads = path.starts_with("get ") || path.ends_with(":plan");
        call.send(&open).problem(401, "unauthorized");
        call.send(&storefront).problem(403, "forbidden");
        let seen = call.send(&viewer);
        assert_eq!(!matches!(seen.status, 401 | 403), reads, "{path}: {}", seen.shown());
        let obeyed = call.send(&admin);
        assert!(!matches!(obeyed.status, 401 | 403), "{path}: {}", obeyed.shown());
        if !path.starts_with("get ") {
            call.clone().with("origin", "https://evil.example").send(&admin).problem(403, "forbidden_origin");
        }
    }
}
