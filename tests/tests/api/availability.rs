//! Availability: many SKUs in one question.

use crate::client::Api;
use crate::shop::{fresh, hold, stocked};
use serde_json::{Value, json};

#[test]
fn every_sku_is_answered_in_the_order_asked() {
    let api = Api::shared();
    let (some, none, unknown) = (stocked(&api, 4), stocked(&api, 0), fresh("sku"));
    hold(&api, &some, 1);
    let answer = api.post("/v1/availability:query", &json!({"skus": [unknown, some, none, some]})).ok(200);
    let of = |sku: &str, available: u64| json!({"sku": sku, "available": available, "in_stock": available > 0});
    assert_eq!(answer, json!({"items": [of(&unknown, 0), of(&some, 3), of(&none, 0), of(&some, 3)]}));
}

#[test]
fn a_thousand_skus_are_answered_and_one_more_is_refused() {
    let api = Api::shared();
    let mut skus: Vec<String> = (0..999).map(|index| format!("absent-{index}")).collect();
    skus.push(stocked(&api, 2));
    let answer = api.post("/v1/availability:query", &json!({"skus": skus})).ok(200);
    let items = answer["items"].as_array().unwrap();
    assert!(
        items.iter().map(|item| &item["sku"]).eq(skus.iter().map(|sku| Value::from(sku.as_str())).collect::<Vec<_>>().iter())
    );
    assert_eq!(items[999]["available"], 2);
    skus.push("one-more".to_owned());
    api.post("/v1/availability:query", &json!({"skus": skus})).invalid("/skus");
}

#[test]
fn an_empty_question_has_an_empty_answer() {
    assert_eq!(Api::shared().post("/v1/availability:query", &json!({"skus": []})).ok(200), json!({"items": []}));
}

#[test]
fn a_name_that_can_be_no_sku_is_refused_by_its_place() {
    Api::shared().post("/v1/availability:query", &json!({"skus": ["fine", "not fine"]})).invalid("/skus/1");
}
