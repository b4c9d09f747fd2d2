//! The largest requests that the limits admit, and those one beyond.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::server::{Options, Server};
use serde_json::{Value, json};
use std::time::Duration;
use ureq::Agent;
use ureq::http::Request;

const LINES: usize = 500;
const MIB: usize = 1024 * 1024;

/// What came back, whole.
struct Answer {
    status: u16,
    replayed: bool,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(600).collect()
    }

    #[track_caller]
    fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.shown());
        self.json()
    }

    #[track_caller]
    fn refused(&self, status: u16, code: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }
}

struct Shop {
    server: Server,
    agent: Agent,
}

impl Shop {
    fn open() -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(120)));
        Self { server: Server::start(Options::new()), agent: config.build().new_agent() }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.server.url()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut response = match method {
            "GET" => self.agent.run(request.body(()).unwrap()).unwrap(),
            _ => self.agent.run(request.body(body).unwrap()).unwrap(),
        };
        let replayed = response.headers().contains_key("idempotent-replayed");
        let status = response.status().as_u16();
        Answer { status, replayed, body: response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap() }
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json"), ("idempotency-key", key)], &body.to_string())
    }

    /// Puts this on the shelves: SKU, location, units.
    fn import(&self, rows: impl Iterator<Item = (String, String, u32)>) {
        let row = |(sku, location, units)| format!("{{\"sku\":\"{sku}\",\"location\":\"{location}\",\"on_hand\":{units}}}\n");
        let rows: String = rows.map(row).collect();
        let answer = self.send("POST", "/v1/inventory/imports", &[("content-type", "application/x-ndjson")], &rows);
        let imported = format!("\"imported\":{},\"refused\":0", rows.lines().count());
        assert!(answer.shown().contains(&imported), "{}", answer.shown());
    }

    /// The epochs of the shards: a shard that was rebuilt has another one.
    fn epochs(&self) -> Vec<Value> {
        let shards = self.get("/admin/v1/shards").is(200);
        shards["shards"].as_array().unwrap().iter().map(|shard| shard["epoch"].clone()).collect()
    }

    /// No shard went down, every invariant holds, and nobody was hurt.
    #[track_caller]
    fn unharmed(&self, epochs: &[Value]) {
        assert_eq!(self.epochs(), epochs, "a shard was rebuilt: {}", self.server.log());
        let audit = self.send("POST", "/admin/v1/audit", &[], "").is(200);
        assert_eq!(audit["violations"], json!([]), "{audit}");
    }

    fn events(&self) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/v1/events?limit=200&after={after}")).is(200);
            match page["events"].as_array().unwrap().as_slice() {
                [] => return events,
                found => events.extend(found.iter().cloned()),
            }
            after = page["next"].as_str().unwrap().to_owned();
        }
    }
}

/// A name of so many characters of four bytes each.
fn wide(number: usize, characters: usize) -> String {
    let start = format!("{number:06}");
    format!("{start}{}", "🛒".repeat(characters - start.len()))
}

fn short(number: usize) -> String {
    format!("S{number:03}")
}

fn lines(sku: impl Fn(usize) -> String, count: usize, units: usize) -> Vec<Value> {
    (0..count).map(|number| json!({"sku": sku(number), "quantity": units, "unit_price": 1})).collect()
}

fn order(lines: &[Value]) -> Value {
    json!({"customer_id": "ada", "currency": "EUR", "lines": lines})
}

/// Defect: 26 KB that any client may send made a fact of 8.45 MB: a panic, at each retry again, and no order for anybody meanwhile.
#[test]
fn an_order_of_26_kb_whose_units_are_in_128_000_places_is_refused_and_others_are_served() {
    let shop = Shop::open();
    let places = |number| (0..256).map(move |place| (short(number), format!("{place:064}"), 10));
    shop.import((0..LINES).flat_map(places).chain([("PLAIN".to_owned(), "berlin".to_owned(), 9)]));
    let epochs = shop.epochs();
    let all = order(&lines(short, LINES, 2_560));
    assert!(all.to_string().len() < 32 * 1024);
    let refused = shop.post("/v1/orders", "all", &all);
    let problem = refused.refused(409, "too_many_locations");
    assert_eq!([&problem["limit"], &problem["retryable"]], [&json!("allocations_per_order"), &json!(false)]);
    assert_eq!(problem["lines"].as_array().unwrap().len(), LINES);
    assert_eq!(problem["lines"][0], json!({"line": 1, "sku": "S000", "requested": 2_560, "available": 80}));
    let again = shop.post("/v1/orders", "all", &all);
    assert!(again.replayed && again.body == refused.body, "a retry is answered alike");
    let kept = shop.get(&format!("/v1/orders/{}", problem["order_id"].as_str().unwrap())).is(200);
    assert_eq!([&kept["status"], &kept["reason"]], ["rejected", "too_many_locations"]);
    let stock = shop.get("/v1/inventory/S000").is(200);
    assert_eq!((stock["locations"].as_array().unwrap().len(), &stock["held"]), (256, &json!(0)), "it holds nothing");
    // The same by every other way to hold units.
    let reserved: Vec<Value> = (0..LINES).map(|number| json!({"sku": short(number), "quantity": 2_560})).collect();
    shop.post("/v1/reservations", "res", &json!({"lines": reserved})).refused(409, "too_many_locations");
    let batch = shop.post("/v1/reservations:batch", "b", &json!({"items": [{"key": "item", "lines": reserved}]})).is(200);
    assert_eq!(batch["results"][0]["code"], "too_many_locations");
    // As many of them as may be: from all places of a few SKUs, from some places of all.
    shop.post("/v1/orders", "few", &order(&lines(short, 16, 2_560))).is(201);
    shop.post("/v1/orders", "many", &order(&lines(|number| short(number % 400 + 16), 484, 50))).is(201);
    shop.post("/v1/orders", "plain", &order(&lines(|_| "PLAIN".to_owned(), 1, 1))).is(201);
    shop.unharmed(&epochs);
}

/// The facts that limits admit are written, read, shown and replayed like small ones.
#[test]
fn the_largest_order_is_placed_paid_given_up_listed_published_and_replayed() {
    let mut shop = Shop::open();
    let sku = |number| wide(number, 128);
    let places = |number| (0..8).map(move |place| (sku(number), wide(place, 64), 2));
    shop.import((0..LINES).flat_map(places));
    let epochs = shop.epochs();
    let mut largest = order(&lines(sku, LINES, 8));
    for line in largest["lines"].as_array_mut().unwrap() {
        line["seller_id"] = wide(0, 256).into();
    }
    // Control characters come and go as escapes of six bytes.
    let control = "\u{1}".repeat((16 * 1024 - 2) / 6);
    (largest["metadata"], largest["shipping_address"]) = (json!(control), json!(control));
    assert!((MIB * 3 / 4..MIB).contains(&largest.to_string().len()), "{}", largest.to_string().len());
    let mut paying = largest.clone();
    paying["payment"] = json!({"provider": "sandbox", "return_url": format!("http://localhost/{}", "r".repeat(2_000))});
    let placed = shop.post("/v1/orders", "paid", &paying);
    let paid = placed.is(201);
    let allocations = |order: &Value| {
        let lines = order["lines"].as_array().unwrap();
        lines.iter().map(|line| line["allocations"].as_array().unwrap().len()).sum::<usize>()
    };
    assert_eq!(allocations(&paid), LINES * 4, "two units at each place");
    let attempt = paid["payment"]["attempt_id"].as_str().unwrap();
    shop.send("POST", &format!("/sandbox/payments/{attempt}/approve"), &[], "").is(200);
    let held = shop.post("/v1/orders", "held", &largest).is(201);
    let cancel = format!("/v1/orders/{}:cancel", held["id"].as_str().unwrap());
    let cancelled = shop.post(&cancel, "cancel", &json!({"reason": wide(0, 256)})).is(200);
    assert_eq!(cancelled["status"], "cancelled");
    let path = format!("/v1/orders/{}", paid["id"].as_str().unwrap());
    let confirmed = shop.get(&path).is(200);
    assert_eq!([&confirmed["status"], &confirmed["metadata"]], [&json!("confirmed"), &json!(control)]);
    let listed = shop.get("/v1/orders?customer_id=ada&limit=1000");
    assert!(listed.is(200)["items"].is_array() && listed.body.len() < 4 * MIB, "{}", listed.body.len());
    let timeline = shop.get(&format!("{path}/timeline"));
    assert!(timeline.is(200)["items"].as_array().unwrap().len() >= 5 && timeline.body.len() < 4 * MIB);
    // Its audit is an event too.
    shop.unharmed(&epochs);
    let events = shop.events();
    let held_events = events.iter().filter(|event| event["type"] == "holdfast.order.held").count();
    assert_eq!(held_events, 2);
    shop.server.kill();
    shop.server.restart();
    let again = shop.post("/v1/orders", "paid", &paying);
    assert!(again.replayed && again.body == placed.body, "{}", again.shown());
    assert_eq!(shop.get(&path).is(200), confirmed);
    // What left memory for the tables is told whenever the tables have it.
    let of_orders = |events: Vec<Value>| -> Vec<Value> {
        events.into_iter().filter(|event| !event["type"].as_str().unwrap().starts_with("holdfast.archive.")).collect()
    };
    assert_eq!(of_orders(shop.events()).len(), of_orders(events).len(), "a restart makes nothing new");
    let (verified, said) = (shop.server.terminate().success(), shop.server.verify());
    assert!(verified && said.0, "{}", said.1);
}

/// Every other change at its largest, and one beyond: taken, or refused before anything of it is executed.
#[test]
fn the_largest_body_of_every_change_is_taken_and_one_beyond_is_refused() {
    let shop = Shop::open();
    let sku = wide(7, 128);
    let text = wide(0, 256);
    shop.import((0..1_000).map(|number| (wide(number, 128), "berlin".to_owned(), 2_000_000)));
    let epochs = shop.epochs();
    let path: String = sku.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let location: String = wide(0, 64).bytes().map(|byte| format!("%{byte:02X}")).collect();
    let count = [("content-type", "application/json"), ("if-match", "*"), ("idempotency-key", "count")];
    shop.send("PUT", &format!("/v1/inventory/{path}/locations/{location}"), &count, "{\"on_hand\":2000000000}").is(200);
    let adjustment = json!({"location": wide(0, 64), "bucket": "damaged", "delta": 1, "reason": text, "reference": text});
    shop.post(&format!("/v1/inventory/{path}/adjustments"), "adjust", &adjustment).is(201);
    let movements = shop.get(&format!("/v1/inventory/{path}/movements")).is(200);
    assert_eq!(movements["items"].as_array().unwrap().last().unwrap()["reference"], text, "{movements}");
    let queried = json!({"skus": (0..1_000).map(|number| wide(number, 128)).collect::<Vec<_>>()});
    assert_eq!(shop.post("/v1/availability:query", "q", &queried).is(200)["items"].as_array().unwrap().len(), 1_000);
    // As many items as a batch may have, each as large as a body then has room for.
    let item = |number: usize| {
        let key = format!("{number:0>100}");
        json!({"key": key, "owner": "o".repeat(90), "lines": [{"sku": "B", "quantity": 1}]})
    };
    shop.import([("B".to_owned(), wide(1, 64), 5_000)].into_iter());
    let items: Vec<Value> = (0..4_096).map(item).collect();
    let batch = json!({"items": items});
    assert!((MIB * 7 / 8..MIB).contains(&batch.to_string().len()), "{}", batch.to_string().len());
    let results = shop.post("/v1/reservations:batch", "batch", &batch).is(200);
    let results = results["results"].as_array().unwrap();
    assert_eq!(results.iter().filter(|result| result["status"] == 201).count(), 4_096);
    let held = results[0]["id"].as_str().unwrap();
    let extended = shop.post(&format!("/v1/reservations/{held}:extend"), "e", &json!({"ttl_seconds": 86_400})).is(200);
    assert_eq!(extended["status"], "held");
    shop.post(&format!("/v1/reservations/{held}:commit"), "c", &json!({"reason": text})).is(200);
    let facts = shop.events().len();
    let mut items = items;
    items.push(item(4_096));
    let items: Vec<Value> = items.into_iter().map(|item| json!({"key": item["key"], "lines": item["lines"]})).collect();
    let small = |number: usize| json!({"sku": wide(number % 1_000, 128), "quantity": 1, "unit_price": 1});
    let beyond = [
        ("/v1/reservations:batch", json!({"items": items}), "batch_items"),
        ("/v1/orders", order(&(0..=LINES).map(small).collect::<Vec<_>>()), "lines_per_order"),
        ("/v1/availability:query", json!({"skus": vec!["B"; 1_001]}), "availability_skus"),
    ];
    for (path, body, limit) in beyond {
        let problem = shop.post(path, "beyond", &body).refused(400, "invalid_request");
        assert!(problem["detail"].as_str().unwrap().contains(limit), "{problem}");
    }
    let mut bloated = order(&[small(0)]);
    bloated["metadata"] = json!("\u{1}".repeat(16 * 1024 / 6 + 1));
    let problem = shop.post("/v1/orders", "bloated", &bloated).refused(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/metadata");
    let padded = format!("{}{}", " ".repeat(MIB), order(&[small(0)]));
    let headers = [("content-type", "application/json"), ("idempotency-key", "padded")];
    let problem = shop.send("POST", "/v1/orders", &headers, &padded).refused(413, "too_large");
    assert_eq!(problem["limit"], "body_bytes");
    assert_eq!(shop.events().len(), facts, "nothing of what was refused was executed");
    shop.unharmed(&epochs);
}

/// Defect: a page of a customer's orders had as much in it as they brought: tens of megabytes for one request.
#[test]
fn a_list_of_large_orders_comes_in_pages_that_stay_small() {
    let shop = Shop::open();
    shop.import([("MUG".to_owned(), "berlin".to_owned(), 1_000)].into_iter());
    let document = "x".repeat(16 * 1024 - 2);
    let line = json!({"sku": "MUG", "quantity": 1, "unit_price": 1, "metadata": document});
    let mut body = order(&[line.clone(), line]);
    (body["metadata"], body["shipping_address"]) = (json!(document), json!(document));
    let placed = (0..120).map(|number| shop.post("/v1/orders", &format!("k{number}"), &body).is(201)["id"].clone());
    let placed: std::collections::BTreeSet<String> = placed.map(|id| id.as_str().unwrap().to_owned()).collect();
    let (mut seen, mut after) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let page = shop.get(&format!("/v1/orders?customer_id=ada&limit=1000&after={after}"));
        assert!(page.body.len() < 2 * MIB, "a page of {} bytes", page.body.len());
        let page = page.is(200);
        for item in page["items"].as_array().unwrap() {
            assert!(seen.insert(item["id"].as_str().unwrap().to_owned()), "twice: {}", item["id"]);
        }
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, placed);
}
