//! What a caller relates an order to: shown in the order and in each of its events, for as long as there is anything of it.

use crate::auth::new_key;
use crate::client::{Answer, Api};
use crate::shop::{PATIENCE, counts, fresh, id, order, place, post, put, reservation, stock, stocked, with};
use holdfast_engine::codec::read_frame;
use holdfast_engine::event::{Event, OrderFact, Origin};
use holdfast_engine::ids::Partitions;
use holdfast_storage::embedded::EmbeddedJournal;
use holdfast_storage::{Log, LogId};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;

/// With all that such an id may have.
const CART: &str = "cart-7:{\"a\\b\"}~!";

fn related(api: &Api, key: &str, correlation: &str, body: &Value) -> Answer {
    api.json("POST", "/v1/orders", &[("idempotency-key", key), ("x-correlation-id", correlation)], body)
}

fn events(api: &Api) -> Vec<Value> {
    let page = api.get("/v1/events?limit=1000").ok(200);
    page["events"].as_array().unwrap().clone()
}

/// The types of the events of an order, which all show this.
#[track_caller]
fn shown(api: &Api, order: &Value, correlation: &Value) -> Vec<String> {
    let all = events(api);
    let of_order: Vec<&Value> = all.iter().filter(|event| event["subject"] == order["id"]).collect();
    for event in &of_order {
        assert_eq!(event.get("correlationid").unwrap_or(&Value::Null), correlation, "{event}");
    }
    of_order.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("holdfast.").to_owned()).collect()
}

#[track_caller]
fn leaves_memory(api: &Api, order: &Value) {
    let has = |event: &Value| event["data"]["order_ids"].as_array().is_some_and(|left| left.contains(&order["id"]));
    assert!(poll(PATIENCE, || events(api).iter().any(has).then_some(())).is_some(), "{order} never left memory");
}

#[test]
fn an_order_and_each_of_its_events_show_what_it_was_related_to() {
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "mug", "berlin", 10);
    let placed = related(&api, "one", CART, &order("mug", 1)).ok(201);
    let other = place(&api, &order("mug", 1));
    for order in [&placed, &other] {
        api.act(&format!("/v1/orders/{}:cancel", id(order))).ok(200);
    }
    assert_eq!((&placed["correlation_id"], other.get("correlation_id")), (&json!(CART), None));
    assert_eq!(shown(&api, &placed, &json!(CART))[..3], ["order.placed", "order.held", "order.cancelled"]);
    assert_eq!(shown(&api, &other, &Value::Null)[..3], ["order.placed", "order.held", "order.cancelled"]);
    let of_stock = events(&api).into_iter().filter(|event| event["subject"] == "mug").collect::<Vec<_>>();
    assert!(!of_stock.is_empty() && of_stock.iter().all(|event| event.get("correlationid").is_none()));
}

/// From the log after `kill -9`, from a snapshot after a stop, and from its row once it is closed.
#[test]
fn what_an_order_is_related_to_stays_over_kill_restart_and_out_of_memory() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "mug", "berlin", 10);
    let first = ["closed", "open"].map(|key| related(&api, key, CART, &order("mug", 1)));
    let [closed, open] = first.each_ref().map(|answer| answer.ok(201));
    server.kill();
    server.restart();
    let api = Api::of(&server);
    api.act(&format!("/v1/orders/{}:confirm", id(&closed))).ok(200);
    leaves_memory(&api, &closed);
    assert!(server.terminate().success());
    server.restart();
    let api = Api::of(&server);
    api.act(&format!("/v1/orders/{}:cancel", id(&open))).ok(200);
    for order in [&closed, &open] {
        assert_eq!(api.get(&format!("/v1/orders/{}", id(order))).ok(200)["correlation_id"], CART);
        assert!(shown(&api, order, &json!(CART)).len() >= 3);
    }
    for (key, first) in ["closed", "open"].iter().zip(&first) {
        let again = related(&api, key, "another", &order("mug", 1));
        assert_eq!((again.status, again.text(), again.replayed()), (first.status, first.text(), true));
    }
    assert!(server.terminate().success());
    let (sound, said) = server.verify();
    assert!(sound, "{said}");
}

#[test]
fn a_retry_with_another_correlation_id_or_none_gets_the_first_answer() {
    let api = Api::shared();
    let (sku, key) = (stocked(&api, 5), fresh("key"));
    let first = related(&api, &key, "first", &order(&sku, 2));
    for again in [related(&api, &key, "second", &order(&sku, 2)), api.keyed("/v1/orders", &key, &order(&sku, 2))] {
        assert_eq!((again.status, again.text(), again.replayed()), (201, first.text(), true));
    }
    assert_eq!(first.json()["correlation_id"], "first");
    counts(&stock(&api, &sku), &json!({"held": 2}));
    let other = with(order(&sku, 2), json!({"customer_id": "eve"}));
    related(&api, &key, "first", &other).problem(422, "idempotency_key_reused");
}

#[test]
fn a_correlation_id_that_is_none_is_refused_before_anything_is_done() {
    let api = Api::shared();
    let (sku, key) = (stocked(&api, 5), fresh("key"));
    let refused = |headers: &[(&str, &str)]| {
        let headers = [&[("idempotency-key", key.as_str())], headers].concat();
        let problem = api.json("POST", "/v1/orders", &headers, &order(&sku, 1)).problem(400, "invalid_request");
        let message = problem["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("X-Correlation-Id") && message.contains("1 to 64 visible ASCII"), "{message}");
    };
    let long = "c".repeat(65);
    for wrong in ["", "two words", "tab\there", &long] {
        refused(&[("x-correlation-id", wrong)]);
    }
    refused(&[("x-correlation-id", "one"), ("x-correlation-id", "one")]);
    assert!(!related(&api, &key, &long[..64], &order(&sku, 1)).replayed());
    // Where there is no order to relate it is nobody's business.
    let ignored =
        api.json("POST", "/v1/reservations", &[("idempotency-key", &fresh("key")), ("x-correlation-id", "two words")], &{
            reservation(&sku, 1)
        });
    ignored.ok(201);
}

#[test]
fn the_description_has_the_header_and_the_members() {
    let description = Api::shared().get("/openapi.json").ok(200);
    let parameters = description["paths"]["/v1/orders"]["post"]["parameters"].as_array().unwrap();
    let header = parameters.iter().find(|parameter| parameter["name"] == "X-Correlation-Id").unwrap();
    assert_eq!((&header["in"], &header["required"]), (&json!("header"), &json!(false)));
    let schema = "#/components/schemas/CorrelationId";
    assert_eq!(header["schema"]["$ref"], schema);
    let limits = &description["components"]["schemas"]["CorrelationId"];
    assert_eq!((&limits["minLength"], &limits["maxLength"]), (&json!(1), &json!(64)));
    for (of, member) in [("Order", "correlation_id"), ("CloudEvent", "correlationid")] {
        let schema = &description["components"]["schemas"][of];
        assert!(schema["properties"][member].to_string().contains("CorrelationId"), "{of}: {schema}");
        assert!(!schema["required"].as_array().unwrap().contains(&json!(member)), "{of}");
    }
}

/// The name of the key that each order was placed with, in the order of the log, and what it is related to.
fn origins(data: &Path) -> Vec<Option<Box<Origin>>> {
    let journal = EmbeddedJournal::observe(data, Partitions::new(64).unwrap()).unwrap();
    let mut origins = Vec::new();
    let mut take = |_, frame: &[u8]| {
        for entry in read_frame(frame)? {
            if let Event::Order { fact, .. } = entry?.decode()?.event
                && let OrderFact::Placed(placed) = &*fact
            {
                origins.push(placed.origin.clone());
            }
        }
        Ok(ControlFlow::Continue(()))
    };
    journal.read(LogId(0), 0, &mut take).unwrap();
    origins
}

#[test]
fn an_order_keeps_the_name_of_the_key_it_was_placed_with() {
    let mut server = Server::prepare(Options::new().env("HOLDFAST__JOURNAL__BACKEND", "embedded"));
    let key = new_key(&server, "storefront");
    server.restart();
    let api = Api::of(&server).with_key(&key);
    put(&api, "mug", "berlin", 10);
    place(&api, &order("mug", 1));
    related(&api, "related", "cart", &order("mug", 1)).ok(201);
    post(&api, "/v1/reservations", &reservation("mug", 1)).ok(201);
    let items = json!({"items": [{"key": "item", "lines": [{"sku": "mug", "quantity": 1}]}]});
    api.post("/v1/reservations:batch", &items).ok(200);
    assert!(server.terminate().success());
    let origins = origins(server.data_dir()).into_iter().map(|origin| {
        let Origin { client, correlation } = *origin.unwrap();
        (client.unwrap().to_string(), correlation.map(|correlation| correlation.to_string()))
    });
    let mut expected = vec![("storefront".to_owned(), None); 4];
    expected[1].1 = Some("cart".to_owned());
    assert_eq!(origins.collect::<Vec<_>>(), expected);
}

#[test]
fn an_order_from_nowhere_is_written_as_it_was_before_there_were_origins() {
    let mut server = Server::start(Options::new().env("HOLDFAST__JOURNAL__BACKEND", "embedded"));
    let api = Api::of(&server);
    put(&api, "mug", "berlin", 10);
    place(&api, &order("mug", 1));
    assert!(server.terminate().success());
    assert_eq!(origins(server.data_dir()), [None]);
}
