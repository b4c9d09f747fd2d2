//! What of the facts each role of a key is shown.

use crate::auth::key_of;
use crate::client::Api;
use crate::shop::{id, paying, place, put};
use crate::tuning::tune;
use holdfast_tests::server::{Options, Server};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};

/// A server with a key of each role: a storefront, a viewer, an admin.
fn keyed() -> (Server, [Api; 3]) {
    let mut server = Server::prepare(Options::new().env("HOLDFAST__SANDBOX__ENABLED", "true"));
    let keys = ["storefront", "viewer", "admin"].map(|role| key_of(&server, &["--name", role, "--role", role]));
    server.restart();
    let apis = keys.map(|key| Api::of(&server).with_key(&key));
    (server, apis)
}

/// The types of all events in pages of this size, and the cursor behind them.
fn types(api: &Api, limit: usize) -> (Vec<String>, String) {
    let (mut types, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/v1/events?after={after}&limit={limit}")).ok(200);
        let found = page["events"].as_array().unwrap();
        page["next"].as_str().unwrap().clone_into(&mut after);
        if found.is_empty() {
            return (types, after);
        }
        types.extend(found.iter().map(|event| event["type"].as_str().unwrap().to_owned()));
    }
}

const CHANGED: &str = "holdfast.operator.changed";

/// Whoever had the key of a shop read which limits there are, who changed them, and why.
#[test]
fn what_operators_change_is_for_viewers_and_admins_and_cursors_are_the_same_for_all() {
    let (_server, [shop, viewer, admin]) = keyed();
    put(&shop, "first", "berlin", 1);
    for credits in 100..110 {
        tune(&admin, &json!({"engine.credits": credits}));
    }
    put(&shop, "last", "berlin", 1);
    for limit in [1, 2, 1000] {
        let (all, end) = types(&admin, limit);
        assert_eq!(all.iter().filter(|kind| *kind == CHANGED).count(), 10);
        assert_eq!(types(&viewer, limit), (all.clone(), end.clone()));
        let others: Vec<String> = all.into_iter().filter(|kind| kind != CHANGED).collect();
        let (seen, next) = types(&shop, limit);
        assert_eq!(seen, others, "pages of {limit}");
        assert_eq!(admin.get(&format!("/v1/events?after={next}")).ok(200)["events"], json!([]), "it is behind all of them");
    }
    let stream = BufReader::new(shop.open("/v1/events/stream", &[]).into_body().into_reader());
    let told: Vec<String> = stream.lines().map(Result::unwrap).take_while(|line| !line.contains("\"sku\":\"last\"")).collect();
    assert!(told.iter().all(|line| !line.contains("operator")), "{told:?}");
}

/// Whoever has the link can pay: a viewer could press the buttons.
#[test]
fn links_to_pay_are_for_storefronts_and_admins() {
    let (_server, [shop, viewer, admin]) = keyed();
    put(&shop, "mug", "berlin", 5);
    let placed = place(&shop, &paying("mug", 1));
    let link = placed["payment"]["redirect_url"].as_str().unwrap();
    let order = format!("/v1/orders/{}", id(&placed));
    let paths = [order.clone(), format!("{order}/timeline"), "/v1/orders?customer_id=ada".to_owned(), "/v1/events".to_owned()];
    for path in &paths {
        let shows = |api: &Api| String::from_utf8(api.get(path).bytes).unwrap().contains(link);
        assert_eq!([&shop, &viewer, &admin].map(shows), [true, false, true], "{path}");
    }
    let seen = viewer.get(&order).ok(200);
    assert_eq!((&seen["payment"]["redirect_url"], &seen["status"]), (&Value::Null, &placed["status"]));
}
