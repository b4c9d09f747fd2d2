//! What the pages show is what the API says, and stays text.

use crate::browser::Browser;
use crate::site::{HOSTILE, Site};
use serde_json::{Value, json};

/// Rows of the page as the API would say them: shard, depth, orders, SKUs, holds.
const ROWS: &str = "return [...document.querySelectorAll('#shards tbody tr')].map(row => [row.querySelector('th'), \
                    row.querySelector('.depth'), row.children[7], row.children[8], row.children[9]].map(cell => \
                    Number(cell.textContent.replaceAll(',', ''))))";

fn rows(shards: &[Value]) -> Value {
    let row = |shard: &Value| json!([shard["shard"], shard["depth"], shard["orders"], shard["skus"], shard["holds"]]);
    shards.iter().map(row).collect()
}

#[test]
fn the_numbers_of_the_shards_are_those_of_the_api_and_follow_them() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    browser.open(&format!("{}/console/shards", site.server.url()));
    assert_eq!(browser.run(ROWS), rows(&site.shards()));
    site.place("another", "ada", "MUG", &[]);
    let expected = rows(&site.shards());
    let script = format!("JSON.stringify((() => {{ {ROWS} }})()) === {}", json!(expected.to_string()));
    browser.until(&script);
}

#[test]
fn the_overview_counts_orders_and_draws_them() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    browser.open(&format!("{}/console", site.server.url()));
    assert_eq!(browser.text("#verdict").as_deref(), Some("✓ Orders are taken."));
    assert_eq!(browser.text("#orders-placed").as_deref(), Some("4"));
    site.place("another", "ada", "MUG", &[]);
    browser.until(
        "document.querySelector('#orders-placed').textContent === '5' && document.querySelector('.plot polyline') !== null",
    );
}

#[test]
fn an_order_is_found_by_id_by_number_and_by_customer_with_all_that_happened_to_it() {
    let site = Site::stocked();
    let order = site.place("mine", "grace", "MUG", &[]);
    let (id, number) = (order["id"].as_str().unwrap(), &order["number"]);
    let by_id = site.get(&format!("/console/orders?by=id&q={id}"), &[]);
    assert_eq!((by_id.status, by_id.header("location")), (303, Some(format!("/console/orders/{id}").as_str())));
    for (by, query) in [("number", number.to_string()), ("customer", "grace".to_owned())] {
        let page = site.get(&format!("/console/orders?by={by}&q={query}"), &[]);
        assert!(page.status == 200 && page.text.contains(id) && page.text.contains("1 found"), "{by}: {}", page.text);
    }
    // Where a name may break.
    let page = site.get(&format!("/console/orders/{id}"), &[]).whole();
    for expected in ["order placed", "order held", "2.50 EUR", "awaiting_payment", "grace", "MUG"] {
        assert!(page.contains(expected), "{expected} is not in {page}");
    }
    for (query, status) in
        [("by=id&q=nonsense", 404), ("by=number&q=x", 400), ("by=number&q=0", 400), ("by=customer&q=nobody", 200)]
    {
        assert_eq!(site.get(&format!("/console/orders?{query}"), &[]).status, status, "{query}");
    }
    assert_eq!(site.get("/console/orders/ord_00000000000000000000000000", &[]).status, 404);
}

#[test]
fn a_customer_and_a_sku_that_are_called_like_html_are_text() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    browser.complaints();
    browser.open(&format!("{}/console/orders?by=customer&q=%3Cimg%2Fonerror%3Dx%3E", site.server.url()));
    assert_eq!(browser.run("return document.querySelector('#q').value"), HOSTILE);
    assert!(browser.text("#found tbody").unwrap().contains(HOSTILE));
    browser.click("#found tbody a");
    browser.until("document.querySelector('#timeline') !== null");
    assert_eq!(browser.text("#customer").as_deref(), Some(HOSTILE));
    assert_eq!(browser.text("#lines tbody th").as_deref(), Some(HOSTILE));
    assert!(!browser.has("img"));
    assert_eq!(browser.complaints(), Vec::<Value>::new());
}

#[test]
fn without_a_script_pages_are_whole_and_load_themselves_again() {
    let site = Site::stocked();
    for (path, expected) in
        [("/console", "Orders are taken."), ("/console/shards", "Partitions"), ("/console/audit", "Start an audit")]
    {
        let page = site.get(path, &[]).text;
        assert!(page.contains(expected) && page.contains("<noscript><meta http-equiv=\"refresh\""), "{path}: {page}");
    }
    assert!(!site.get("/console/orders", &[]).text.contains("http-equiv"), "somebody may be writing there");
    assert_eq!(site.form("/console/audit", "", "").header("location"), Some("/console/audit"));
}
