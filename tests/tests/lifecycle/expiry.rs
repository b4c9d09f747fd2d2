//! Holds end on time on the live server.

use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const HOLDS: usize = 200;
/// Moments on a quiet machine; a timer that does not ring would never end a hold.
const MOMENTS: Duration = Duration::from_secs(60);

fn time(value: &Value) -> Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no time: {value}"))
}

fn hold(client: &Client, number: usize) -> (String, Timestamp) {
    let body = json!({"lines": [{"sku": format!("SKU-{}", number % 20), "quantity": 1}], "ttl_seconds": 1});
    let answer = client.ask(&Request::keyed("/v1/reservations", format!("hold-{number}"), &body)).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.shown());
    let body = answer.json();
    (body["id"].as_str().unwrap().replacen("res_", "ord_", 1), time(&body["expires_at"]))
}

/// Reads new events and notes when each hold's units went back.
fn note_released(client: &Client, cursor: &mut String, released: &mut BTreeMap<String, Timestamp>) {
    let page = client.json(&Request::get(format!("/v1/events?limit=1000&after={cursor}"))).unwrap();
    for event in page["events"].as_array().unwrap() {
        if event["type"] == "holdfast.stock.released" {
            released.insert(event["data"]["order_id"].as_str().unwrap().to_owned(), time(&event["time"]));
        }
    }
    *cursor = page["next"].as_str().unwrap().to_owned();
}

#[test]
fn units_of_expired_holds_are_back_in_stock_within_moments() {
    let server = Server::start(Options::new());
    let client = Client::new(&server.url());
    for sku in 0..20 {
        client.json(&Request::put(format!("/v1/inventory/SKU-{sku}/locations/main"), 0, &json!({"on_hand": HOLDS}))).unwrap();
    }
    let due: BTreeMap<String, Timestamp> = (0..HOLDS).map(|number| hold(&client, number)).collect();
    let (mut cursor, mut released) = (String::new(), BTreeMap::new());
    let mut seen_lag = 0;
    let all = poll(2 * MOMENTS, || {
        let before = released.len();
        note_released(&client, &mut cursor, &mut released);
        if released.len() > before {
            let last = due.iter().filter(|(order, _)| released.contains_key(*order)).map(|(_, due)| *due).max().unwrap();
            seen_lag = seen_lag.max((Timestamp::now() - last).get_milliseconds());
        }
        (released.len() >= HOLDS).then_some(())
    });
    assert!(all.is_some(), "{} of {HOLDS} holds expired", released.len());
    let lags: Vec<i64> = due.iter().map(|(order, due)| released[order].as_millisecond() - due.as_millisecond()).collect();
    let (least, most) = (lags.iter().min().unwrap(), lags.iter().max().unwrap());
    eprintln!("expiry of {HOLDS} holds: {least} to {most} ms after their time, seen by a reader within {seen_lag} ms");
    assert!(*least >= 0, "a hold ended {least} ms before its time");
    assert!(*most < MOMENTS.as_millis() as i64, "a hold ended {most} ms after its time");
    let stock = client.json(&Request::get("/v1/inventory/SKU-0")).unwrap();
    assert_eq!((stock["held"].as_u64(), stock["available"].as_u64()), (Some(0), Some(HOLDS as u64)), "{stock}");
}
