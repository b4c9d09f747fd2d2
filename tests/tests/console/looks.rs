//! How the pages look: at every width, light and dark, and when the server is silent. Pictures of all of them go to `target/console`.

use crate::browser::Browser;
use crate::site::Site;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/console")
}

/// A page, and how a browser comes to it.
pub(crate) struct Page {
    pub(crate) name: &'static str,
    address: String,
    /// What is written into which field of the page at the address, whose form is then sent.
    written: Option<(&'static str, &'static str)>,
}

impl Page {
    pub(crate) fn new(name: &'static str, address: String) -> Self {
        Self { name, address, written: None }
    }

    pub(crate) fn open(&self, browser: &Browser) {
        browser.open(&self.address);
        if let Some((field, text)) = self.written {
            let form = format!("const field = document.querySelector('{field}'); field.value = '{text}'; field.form.submit()");
            browser.run(&form);
            browser.until("document.readyState === 'complete' && location.pathname.endsWith('/plan')");
        }
    }
}

/// Every page, of a server with orders.
pub(crate) fn pages(site: &Site) -> Vec<Page> {
    let order = site.place("shown", "ada", "MUG", &[]);
    let id = order["id"].as_str().unwrap();
    site.form("/console/audit", "", "");
    site.change("engine.credits", "4096", &"long".repeat(30));
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
        ("missing", "/console/orders/ord_00000000000000000000000000".to_owned()),
    ];
    let url = site.server.url();
    let pages = paths.into_iter().map(|(name, path)| Page::new(name, format!("{url}{path}")));
    pages.chain(of_forms(&url)).collect()
}

/// Pages that are the answer to a form.
fn of_forms(url: &str) -> [Page; 3] {
    [
        ("settings-plan", "settings", ("#value", "3")),
        ("settings-refused", "settings", ("#value", "none")),
        ("shards-plan", "shards", ("#shards-wanted", "4")),
    ]
    .map(|(name, path, written)| Page { name, address: format!("{url}/console/{path}"), written: Some(written) })
}

/// What a page has in itself, and the page that a browser begins with.
fn is_the_browsers(url: &str) -> bool {
    url.starts_with("data:") || url.starts_with("chrome:")
}

/// What scrolls sideways: the page, or a table of it.
const SIDEWAYS: &str = "
    document.querySelectorAll('details').forEach(closed => closed.open = true);
    const wide = [...document.querySelectorAll('html, .scroll')].filter(box => box.scrollWidth > box.clientWidth);
    return wide.map(box => box.ariaLabel || 'the page')";

/// Of a page that says why there is no other.
fn is_of_a_refusal(complaint: &Value) -> bool {
    let pages = ["/console/orders/ord_0000", "/console/settings/plan"];
    complaint["message"].as_str().is_some_and(|text| pages.iter().any(|page| text.contains(page)))
}

#[test]
fn every_page_fits_every_width_in_light_and_dark_and_asks_nobody_else() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    browser.requests();
    browser.complaints();
    for page in pages(&site) {
        let name = page.name;
        let grounds = ["light", "dark"].map(|scheme| {
            browser.scheme(scheme);
            for width in [320, 1280] {
                browser.width(width);
                page.open(&browser);
                assert_eq!(browser.run(SIDEWAYS), json!([]), "{name} at {width}");
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
    let complaints: Vec<Value> = browser.complaints().into_iter().filter(|one| !is_of_a_refusal(one)).collect();
    assert_eq!(complaints, Vec::<Value>::new());
}

/// Cells that are not seen whole or not behind the name of their column, and how many tables there are.
const ON_A_PHONE: &str = "
    const edge = document.documentElement.clientWidth;
    const isWithin = box => box.width > 0 && box.left >= 0 && box.right <= edge;
    const isWhole = cell => isWithin(cell.getBoundingClientRect()) && cell.scrollWidth <= cell.clientWidth;
    const isNamed = (cell, name) => getComputedStyle(cell, '::before').content.startsWith(JSON.stringify(name));
    document.querySelectorAll('details').forEach(closed => closed.open = true);
    const tables = [...document.querySelectorAll('table')];
    const wrong = tables.flatMap(table => {
        const names = [...table.tHead.rows[0].cells].map(name => name.textContent);
        const cells = [...table.tBodies[0].rows].flatMap(row => [...row.cells]);
        return cells.filter(cell => !isWhole(cell) || !isNamed(cell, names[cell.cellIndex])).map(cell => cell.textContent);
    });
    return [wrong, tables.length]";

/// The last columns stood beyond the right edge: a phone showed names without values.
#[test]
fn on_a_phone_every_cell_is_seen_whole_behind_the_name_of_its_column() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    browser.width(320);
    let tables = pages(&site).into_iter().map(|page| {
        page.open(&browser);
        let seen = browser.run(ON_A_PHONE);
        assert_eq!(seen[0], json!([]), "{}", page.name);
        seen[1].as_u64().unwrap()
    });
    assert!(tables.sum::<u64>() >= 10, "tables are looked at");
}

/// What is told of tables to whoever hears the page: roles and texts in their order.
fn told(browser: &Browser) -> Vec<(String, String)> {
    let tree = browser.devtools("Accessibility.getFullAXTree", &json!({}));
    // A place where a name may break is told as a space, whether it breaks or not.
    let text = |node: &Value, of: &str| node[of]["value"].as_str().unwrap_or_default().replace(' ', "");
    let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
    let told = nodes.map(|node| (text(node, "role"), text(node, "name")));
    told.filter(|(role, _)| PARTS.contains(&role.as_str()) || role == "StaticText").collect()
}

const PARTS: [&str; 6] = ["table", "rowgroup", "row", "columnheader", "rowheader", "cell"];

/// A style that lays out a table as blocks can take from it that it is one, and what a style puts in front of a cell can be read out.
#[test]
fn a_table_is_told_the_same_on_a_phone_as_on_a_wide_screen() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    for page in pages(&site).iter().filter(|page| ["found", "order", "settings", "changes"].contains(&page.name)) {
        let [phone, wide] = [320, 1280].map(|width| {
            browser.width(width);
            page.open(&browser);
            told(&browser)
        });
        assert_eq!(phone, wide, "{}", page.name);
        for part in PARTS {
            assert!(phone.iter().any(|(role, _)| role == part), "{}: {part} is not in {phone:?}", page.name);
        }
    }
}

#[test]
fn a_name_of_a_setting_is_one_line_on_a_wide_screen() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
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
