//! Lists: the orders of a customer and the SKUs of the shop, in pages.

use crate::client::Api;
use crate::shop::{PATIENCE, fresh, hold, id, order, place, put, stocked, with};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Every item of a list, read in pages to its end, and whether the list is complete.
fn all(api: &Api, path: &str) -> (Vec<Value>, bool) {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}&after={after}")).ok(200);
        assert!(page["as_of"].as_str().unwrap().ends_with('Z'), "{page}");
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return (items, page["complete"].as_bool().unwrap()),
        }
    }
}

fn ids(items: &[Value], member: &str) -> BTreeSet<String> {
    items.iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_orders_of_a_customer_are_listed_once_each_in_pages_of_any_size() {
    let api = Api::shared();
    let (sku, customer) = (stocked(&api, 1000), fresh("ada"));
    let body = with(order(&sku, 1), json!({"customer_id": customer, "metadata": {"cart": 1}}));
    let placed: Vec<Value> = (0..40).map(|_| place(&api, &body)).collect();
    place(&api, &order(&sku, 1));
    for limit in [1, 7, 1000] {
        let (items, _) = all(&api, &format!("/v1/orders?customer_id={customer}&limit={limit}"));
        assert_eq!(items.len(), 40, "limit {limit}");
        assert_eq!(ids(&items, "id"), ids(&placed, "id"), "limit {limit}");
    }
    let (items, _) = all(&api, &format!("/v1/orders?customer_id={customer}"));
    let listed = items.iter().find(|item| item["id"] == placed[0]["id"]).unwrap();
    assert_eq!(*listed, api.get(&format!("/v1/orders/{}", id(&placed[0]))).ok(200), "an item is the whole order");
}

#[test]
fn reservations_and_orders_of_others_are_not_in_the_list() {
    let api = Api::shared();
    let sku = stocked(&api, 9);
    let customer = fresh("ada");
    let held = hold(&api, &sku, 1);
    assert_eq!(api.get(&format!("/v1/orders?customer_id={customer}")).ok(200)["items"], json!([]));
    let owner = held["owner"].as_str().unwrap_or("nobody");
    assert_eq!(all(&api, &format!("/v1/orders?customer_id={owner}")).0.len(), 0);
}

#[test]
fn a_list_without_closed_orders_says_that_it_is_not_complete() {
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "MUG", "berlin", 9);
    let (open, closed) = (place(&api, &order("MUG", 1)), place(&api, &order("MUG", 1)));
    let list = || all(&api, "/v1/orders?customer_id=ada&limit=1");
    let (items, complete) = list();
    assert_eq!((items.len(), complete), (2, true));
    api.act(&format!("/v1/orders/{}:confirm", id(&closed))).ok(200);
    let left = poll(PATIENCE, || Some(list()).filter(|(_, complete)| !complete));
    let (items, _) = left.unwrap_or_else(|| panic!("the closed order never left memory"));
    assert_eq!(ids(&items, "id"), ids(&[open], "id"));
    assert_eq!(api.get(&format!("/v1/orders/{}", id(&closed))).ok(200)["status"], "confirmed", "by its id it is there");
}

#[test]
fn skus_are_listed_by_what_they_begin_with() {
    let api = Api::shared();
    let prefix = fresh("list");
    let names: BTreeSet<String> = (0..30).map(|n| format!("{prefix}/{n}ß")).collect();
    names.iter().for_each(|name| drop(put(&api, &name.replace('/', "%2F").replace('ß', "%C3%9F"), "berlin", 3)));
    for limit in [1, 7, 1000] {
        let (items, complete) = all(&api, &format!("/v1/inventory?prefix={prefix}%2F&limit={limit}"));
        assert_eq!((items.len(), complete), (30, true), "limit {limit}");
        assert_eq!(ids(&items, "sku"), names, "limit {limit}");
        assert!(items.iter().all(|item| item["available"] == 3 && item["locations"][0]["location"] == "berlin"));
    }
    assert_eq!(all(&api, &format!("/v1/inventory?prefix={prefix}%2F7")).0.len(), 1);
    assert!(all(&api, "/v1/inventory?limit=1000").0.len() >= 30);
}

#[test]
fn parameters_that_mean_nothing_are_refused_by_name() {
    let api = Api::shared();
    for (path, word) in [
        ("/v1/orders", "customer_id"),
        ("/v1/orders?customer_id=", "customer_id"),
        ("/v1/orders?customer_id=a%00b", "customer_id"),
        ("/v1/orders?customer_id=ada&customer_id=bob", "customer_id"),
        ("/v1/orders?customer_id=ada&limit=0", "limit"),
        ("/v1/orders?customer_id=ada&limit=1001", "limit"),
        ("/v1/orders?customer_id=ada&limit=x", ""),
        ("/v1/orders?customer_id=ada&status=open", "status"),
        ("/v1/orders?customer_id=ada&after=x", "cursor"),
        ("/v1/inventory?limit=-1", ""),
        ("/v1/inventory?limit=1001", "limit"),
        ("/v1/inventory?prefix=a%20b", "prefix"),
        ("/v1/inventory?after=7", "cursor"),
        ("/v1/inventory?customer_id=ada", "customer_id"),
    ] {
        let problem = api.get(path).problem(400, "invalid_request");
        assert!(problem["errors"][0]["message"].as_str().unwrap().contains(word), "{path}: {problem}");
    }
}

#[test]
fn a_cursor_of_another_list_or_another_server_is_refused() {
    let api = Api::shared();
    // Two: a list that ends on its first page has no cursor.
    (0..2).for_each(|_| drop(stocked(&api, 1)));
    let page = api.get("/v1/inventory?limit=1").ok(200);
    let cursor = page["next"].as_str().unwrap();
    api.get(&format!("/v1/orders?customer_id=ada&after={cursor}")).problem(400, "invalid_request");
    let foreign = format!("0123456789abcdef{}", &cursor[16..]);
    api.get(&format!("/v1/inventory?after={foreign}")).problem(409, "cursor_not_of_this_history");
    api.get(&format!("/v1/inventory?after={cursor}")).ok(200);
}
