//! How the pages look: at every width, light and dark, and when the server is silent. Pictures of all of them go to `target/console`.

use crate::browser::Browser;
use crate::site::Site;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/console")
}

/// Name and address of each page, of a server with orders.
pub(crate) fn pages(site: &Site) -> Vec<(&'static str, String)> {
    let order = site.place("shown", "ada", "MUG", &[]);
    let id = order["id"].as_str().unwrap();
    site.form("/console/audit", "", "");
    let paths = [
        ("overview", "/console".to_owned()),
        ("shards", "/console/shards".to_owned()),
        ("orders", "/console/orders".to_owned()),
        ("found", "/console/orders?by=customer&q=ada".to_owned()),
        ("hostile", "/console/orders?by=customer&q=%3Cimg%2Fonerror%3Dx%3E".to_owned()),
        ("order", format!("/console/orders/{id}")),
        ("settings", "/console/settings".to_owned()),
        ("changes", "/console/changes".to_owned()),
        ("audit", "/console/audit".to_owned()),
    ];
    paths.into_iter().map(|(name, path)| (name, format!("{}{path}", site.server.url()))).collect()
}

/// What a page has in itself, and the page that a browser begins with.
fn is_the_browsers(url: &str) -> bool {
    url.starts_with("data:") || url.starts_with("chrome:")
}

#[test]
fn every_page_fits_every_width_in_light_and_dark_and_asks_nobody_else() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    browser.requests();
    browser.complaints();
    for (name, address) in pages(&site) {
        let grounds = ["light", "dark"].map(|scheme| {
            browser.scheme(scheme);
            for width in [320, 1280] {
                browser.width(width);
                browser.open(&address);
                let [content, screen] =
                    ["scrollWidth", "clientWidth"].map(|of| browser.run(&format!("return document.documentElement.{of}")));
                assert_eq!(content, screen, "{name} is wider than {width}");
                browser.picture(&pictures().join(format!("{name}-{scheme}-{width}.png")));
            }
            browser.run("return getComputedStyle(document.body).backgroundColor")
        });
        assert_ne!(grounds[0], grounds[1], "{name}");
    }
    let own = site.server.url();
    let foreign: Vec<String> =
        browser.requests().into_iter().filter(|url| !url.starts_with(&own) && !is_the_browsers(url)).collect();
    assert_eq!(foreign, Vec::<String>::new());
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}

/// They stood beyond the right edge: a phone showed names without values.
#[test]
fn what_a_row_is_about_is_seen_on_a_phone_without_scrolling() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    browser.width(320);
    for (path, cell) in [
        ("/console/settings", "#settings td:nth-of-type(2)"),
        ("/console/orders?by=customer&q=ada", "main table td:nth-of-type(2)"),
        ("/console/shards", "#hottest td:last-of-type"),
    ] {
        browser.open(&format!("{}{path}", site.server.url()));
        browser.until(&format!("document.querySelector({cell:?}).getBoundingClientRect().right <= 320"));
    }
    // A name breaks between its words: on a wide screen it is one line.
    browser.width(1280);
    browser.open(&format!("{}/console/settings", site.server.url()));
    browser.until("[...document.querySelectorAll('#settings code')].every(name => name.getClientRects().length === 1)");
}

#[test]
fn the_page_of_who_is_not_signed_in_fits_too() {
    let Some(browser) = Browser::start() else { return };
    let guarded = crate::site::Guarded::start(holdfast_tests::server::Options::new());
    for (scheme, width) in [("light", 320), ("dark", 320), ("light", 1280), ("dark", 1280)] {
        browser.scheme(scheme);
        browser.width(width);
        browser.open(&format!("{}/console", guarded.site.server.url()));
        assert_eq!(browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"), true);
        browser.picture(&pictures().join(format!("login-{scheme}-{width}.png")));
    }
}

#[test]
fn a_page_says_since_when_the_server_is_silent_and_takes_it_back() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    browser.open(&format!("{}/console", site.server.url()));
    browser.until("document.querySelector('#stale').hidden");
    site.server.pause();
    browser.until("!document.querySelector('#stale').hidden");
    // What was true is no longer told as if it were.
    let colour = |of: &str| browser.run(&format!("return getComputedStyle(document.querySelector('{of}')).color"));
    assert_eq!(colour(".verdict"), colour(".soft"));
    let said = browser.text("#stale").unwrap();
    assert!(said.starts_with("Stale: the server has sent nothing since ") && said.ends_with(" UTC."), "{said}");
    browser.picture(&pictures().join("stale.png"));
    site.server.resume();
    browser.until("document.querySelector('#stale').hidden");
}
