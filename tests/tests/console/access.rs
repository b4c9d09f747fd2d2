//! Who may look and who may act: sessions, keys, origins, hosts.

use crate::browser::{Browser, PATIENCE};
use crate::site::{Answer, Guarded, Site};
use holdfast_tests::server::{Options, binary, poll};
use std::process::Command;

const PAGES: [&str; 6] =
    ["/console", "/console/shards", "/console/orders", "/console/settings", "/console/changes", "/console/audit"];

fn is_shown_to_the_door(answer: &Answer) -> bool {
    (answer.status, answer.header("location")) == (303, Some("/console/login"))
}

#[test]
fn without_a_session_nothing_is_shown_and_nothing_is_done() {
    let guarded = Guarded::start(Options::new());
    let site = &guarded.site;
    for cookie in ["", "holdfast_console=", "holdfast_console=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        for path in PAGES {
            assert!(is_shown_to_the_door(&site.get(path, &[("cookie", cookie)])), "{path} {cookie}");
        }
        assert_eq!(site.get("/console/live?page=overview", &[("cookie", cookie)]).code(), "unauthorized");
        assert_eq!(site.form("/console/audit", cookie, "").code(), "unauthorized");
    }
    // A key is no session.
    assert!(is_shown_to_the_door(&site.get("/console", &[("authorization", &format!("Bearer {}", guarded.admin))])));
}

#[test]
fn a_session_is_kept_from_scripts_and_other_sites_and_ends_when_somebody_signs_out() {
    let guarded = Guarded::start(Options::new());
    let site = &guarded.site;
    let answer = site.form("/console/login", "", &format!("key={}", guarded.viewer));
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/;"] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
    assert!(!cookie.contains("Secure"), "on loopback there is no TLS");
    let cookie = answer.cookie();
    assert_eq!(site.get("/console", &[("cookie", &cookie)]).status, 200);
    let elsewhere =
        [("origin", "https://ops.example"), ("host", "ops.example"), ("content-type", "application/x-www-form-urlencoded")];
    let answer = site.send("POST", "/console/login", &elsewhere, &format!("key={}", guarded.viewer));
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.contains("; Secure")), "{answer:?}");
    assert_eq!(site.form("/console/logout", &cookie, "").status, 303);
    assert!(is_shown_to_the_door(&site.get("/console", &[("cookie", &cookie)])));
}

#[test]
fn a_viewer_sees_everything_and_is_refused_what_only_an_admin_may() {
    let guarded = Guarded::start(Options::new());
    let site = &guarded.site;
    let [viewer, admin] = [&guarded.viewer, &guarded.admin].map(|key| site.signed_in(key));
    for path in PAGES {
        let page = site.get(path, &[("cookie", &viewer)]);
        assert_eq!(page.status, 200, "{path}");
        let buttons = page.text.matches("<button").count() - usize::from(path == "/console/orders");
        assert_eq!(buttons, 1, "to sign out: {path}");
    }
    assert_eq!(site.form("/console/audit", &viewer, "").code(), "forbidden");
    assert_eq!(
        (site.form("/console/audit", &admin, "").status, site.get("/console/audit", &[("cookie", &admin)]).status),
        (303, 200)
    );
    let trail = site.get("/console/changes", &[("cookie", &viewer)]).whole();
    assert!(trail.contains("console.sign_in") && trail.contains(">audit<") && trail.contains(">viewer<"), "{trail}");
}

/// Whoever has the link can pay: a viewer could press the buttons.
#[test]
fn the_link_that_lets_a_buyer_pay_is_on_pages_of_an_admin_alone() {
    let guarded = Guarded::start(Options::new().env("HOLDFAST__SANDBOX__ENABLED", "true"));
    let (site, admin) = (&guarded.site, format!("Bearer {}", guarded.admin));
    site.fill(&[("authorization", &admin)]);
    let placed = site.place_to_pay("paid", "grace", "MUG", &[("authorization", &admin)]);
    let (id, link) = (placed["id"].as_str().unwrap(), placed["payment"]["redirect_url"].as_str().unwrap());
    let [viewer, admin] = [&guarded.viewer, &guarded.admin].map(|key| site.signed_in(key));
    let order = format!("/console/orders/{id}");
    for (path, of_admin) in [(order.as_str(), true), ("/console/orders?by=customer&q=grace", false)] {
        let [seen, acting] = [&viewer, &admin].map(|cookie| site.get(path, &[("cookie", cookie)]).text);
        assert!(seen.contains(id) && !seen.contains(link) && !seen.contains("/sandbox/payments/"), "{path}: {seen}");
        assert!(acting.contains(id) && acting.contains(link) == of_admin, "{path}: {acting}");
    }
    let seen = site.get(&order, &[("cookie", &viewer)]).text;
    assert!(seen.contains("payment opened"), "all that happened is there: {seen}");
}

#[test]
fn a_wrong_key_is_refused_and_the_sixth_in_a_minute_is_too_many() {
    let guarded = Guarded::start(Options::new());
    let site = &guarded.site;
    let wrong = || site.form("/console/login", "", "key=hf_wrong");
    let statuses: Vec<u16> = (0..6).map(|_| wrong().status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    assert!(wrong().header("retry-after").is_some());
    let storefront = site.form("/console/login", "", &format!("key={}", guarded.storefront));
    assert_eq!((storefront.status, storefront.header("set-cookie")), (403, None));
    assert!(storefront.text.contains("viewer or admin"));
    assert!(!site.signed_in(&guarded.viewer).is_empty(), "a right key is taken all the same");
}

#[test]
fn a_session_that_rests_ends_and_so_does_one_whose_key_is_taken_back() {
    let guarded = Guarded::start(Options::new().env("HOLDFAST__CONSOLE__IDLE_SECONDS", "1"));
    let site = &guarded.site;
    let rested = site.signed_in(&guarded.viewer);
    // Looking at it would use it.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert!(is_shown_to_the_door(&site.get("/console", &[("cookie", &rested)])));
    let revoked = site.signed_in(&guarded.viewer);
    let done =
        Command::new(binary()).args(["key", "revoke", "viewer", "--data-dir"]).arg(site.server.data_dir()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let ended = poll(PATIENCE, || is_shown_to_the_door(&site.get("/console", &[("cookie", &revoked)])).then_some(()));
    assert!(ended.is_some());
}

#[test]
fn nothing_is_done_for_a_page_of_another_origin_or_for_no_page_at_all() {
    let guarded = Guarded::start(Options::new());
    let (site, form) = (&guarded.site, ("content-type", "application/x-www-form-urlencoded"));
    let cookie = site.signed_in(&guarded.admin);
    let (own, cookie) = (site.server.url(), ("cookie", cookie.as_str()));
    let post = |headers: &[(&str, &str)]| site.send("POST", "/console/audit", headers, "");
    for refused in [
        &[cookie][..],
        &[cookie, form],
        &[cookie, ("x-holdfast-console", "1")],
        &[cookie, form, ("origin", "http://evil.example")],
        &[cookie, form, ("origin", "null")],
        &[cookie, ("origin", own.as_str()), ("content-type", "application/json")],
        &[cookie, form, ("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!((post(refused).status, post(refused).code()), (403, "forbidden_origin".to_owned()), "{refused:?}");
    }
    assert_eq!(post(&[cookie, ("origin", own.as_str()), ("x-holdfast-console", "1")]).status, 303);
}

#[test]
fn without_keys_everybody_is_admin_who_names_the_server_by_a_name_of_loopback() {
    let site = Site::start(Options::new());
    for path in PAGES {
        assert_eq!(site.get(path, &[]).status, 200, "{path}");
        assert_eq!(site.get(path, &[("host", "evil.example")]).code(), "misdirected_request", "{path}");
    }
    assert_eq!(site.form("/console/audit", "", "").status, 303);
    let insecure = Site::start(Options::new().arg("--insecure"));
    assert_eq!(insecure.get("/console", &[("host", "evil.example")]).code(), "misdirected_request");
    assert_eq!(insecure.get("/console", &[]).status, 200);
}

#[test]
fn the_console_can_be_turned_off() {
    let site = Site::start(Options::new().env("HOLDFAST__CONSOLE__ENABLED", "false"));
    for path in ["/console", "/console/login", "/console/live?page=overview"] {
        assert_eq!(site.get(path, &[]).status, 404, "{path}");
    }
    assert!(!site.get("/", &[("accept", "text/html")]).text.contains("/console"));
}

#[test]
fn every_answer_of_the_console_carries_its_policy_and_pages_are_kept_nowhere() {
    let site = Site::stocked();
    let style =
        site.get("/console", &[]).text.split("href=\"/console/files/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let file = format!("/console/files/{style}");
    for path in PAGES.into_iter().chain([file.as_str(), "/console/orders?by=customer&q=ada"]) {
        let answer = site.get(path, &[]);
        let policy = answer.header("content-security-policy").unwrap();
        for directive in
            ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "form-action 'self'"]
        {
            assert!(policy.split("; ").any(|part| part == directive), "{path}: {policy}");
        }
        for directive in ["frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(directive), "{path}: {policy}");
        }
        let kept = answer.header("cache-control").unwrap();
        assert_eq!(kept, if path == file { "public, max-age=31536000, immutable" } else { "no-store" }, "{path}");
        for inline in [" style=", "<style", " onclick", "<script>"] {
            assert!(!answer.text.contains(inline), "{path} has {inline}");
        }
    }
}

#[test]
fn a_viewer_in_a_browser_has_no_button_but_the_one_to_sign_out() {
    let Some(browser) = Browser::start() else { return };
    let guarded = Guarded::start(Options::new());
    let url = guarded.site.server.url();
    browser.open(&format!("{url}/console/audit"));
    assert_eq!(browser.url(), format!("{url}/console/login"));
    browser.keys(&format!("{}\u{e007}", guarded.viewer));
    browser.until("document.title.startsWith('Overview')");
    browser.open(&format!("{url}/console/audit"));
    assert_eq!(
        browser.run("return [...document.querySelectorAll('button')].map(b => b.textContent)"),
        serde_json::json!(["Sign out"])
    );
    let refused = "fetch('/console/audit', {method: 'POST', headers: {'X-Holdfast-Console': '1'}}).then(a => done(a.status))";
    assert_eq!(browser.run_async(refused), 403);
}
