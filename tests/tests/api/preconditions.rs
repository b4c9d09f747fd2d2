//! If-Match: who has not seen the stock does not overwrite it.

use crate::client::{Answer, Api};
use crate::shop::{fresh, hold, stock};
use serde_json::json;

fn set(api: &Api, sku: &str, location: &str, condition: Option<&str>) -> Answer {
    let path = format!("/v1/inventory/{sku}/locations/{location}");
    let headers: Vec<(&str, &str)> = condition.iter().map(|condition| ("if-match", *condition)).collect();
    api.json("PUT", &path, &headers, &json!({"on_hand": 7}))
}

#[test]
fn a_count_without_a_condition_is_refused() {
    set(&Api::shared(), &fresh("sku"), "berlin", None).problem(428, "precondition_required");
}

#[test]
fn zero_means_that_the_location_must_not_exist_yet() {
    let api = Api::shared();
    let sku = fresh("sku");
    set(&api, &sku, "berlin", Some("\"0\"")).ok(200);
    set(&api, &sku, "berlin", Some("\"0\"")).problem(412, "precondition_failed");
    set(&api, &sku, "lyon", Some("\"0\"")).ok(200);
}

#[test]
fn a_version_must_be_the_current_one() {
    let api = Api::shared();
    let sku = fresh("sku");
    let version = set(&api, &sku, "berlin", Some("\"0\"")).ok(200)["version"].as_u64().unwrap();
    let next = set(&api, &sku, "berlin", Some(&format!("\"{version}\""))).ok(200)["version"].as_u64().unwrap();
    assert!(next > version);
    let refused = set(&api, &sku, "berlin", Some(&format!("\"{version}\"")));
    assert_eq!(refused.problem(412, "precondition_failed")["current_version"], next);
}

#[test]
fn a_hold_moves_the_version() {
    let api = Api::shared();
    let sku = fresh("sku");
    let answer = set(&api, &sku, "berlin", Some("*"));
    hold(&api, &sku, 1);
    set(&api, &sku, "berlin", answer.header("etag")).problem(412, "precondition_failed");
    let etag = api.get(&format!("/v1/inventory/{sku}"));
    set(&api, &sku, "berlin", etag.header("etag")).ok(200);
}

#[test]
fn a_star_takes_any_version() {
    let api = Api::shared();
    let sku = fresh("sku");
    set(&api, &sku, "berlin", Some("*")).ok(200);
    set(&api, &sku, "berlin", Some("*")).ok(200);
}

#[test]
fn a_refused_condition_changes_nothing() {
    let api = Api::shared();
    let sku = fresh("sku");
    set(&api, &sku, "berlin", Some("*")).ok(200);
    let before = stock(&api, &sku);
    set(&api, &sku, "berlin", Some("\"77\"")).problem(412, "precondition_failed");
    assert_eq!(stock(&api, &sku), before);
}

#[test]
fn a_tag_that_is_no_version_matches_nothing() {
    let api = Api::shared();
    for condition in ["\"abc\"", "\"-1\"", "\"\"", "\"99999999999999999999\""] {
        set(&api, &fresh("sku"), "berlin", Some(condition)).problem(412, "precondition_failed");
    }
}

#[test]
fn a_version_of_a_sku_that_does_not_exist_is_a_mismatch() {
    set(&Api::shared(), &fresh("sku"), "berlin", Some("\"3\"")).problem(412, "precondition_failed");
}
