//! Events: a page from any cursor, a stream that follows. Nothing missing, nothing twice.

use crate::client::Api;
use crate::shop::{fresh, hold, id, order, paying, place, put, stocked};
use holdfast_tests::server::{Options, Server};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

/// A server with a few hundred events over many partitions, some of one commit, some alone.
fn busy() -> (Server, Api) {
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let api = api.clone();
            scope.spawn(move || trade(&api, thread));
        }
    });
    (server, api)
}

fn trade(api: &Api, thread: usize) {
    let sku = fresh("sku");
    ["a", "b"].iter().for_each(|location| drop(put(api, &sku, location, 20)));
    for round in 0..4 {
        let placed = place(api, &if round % 2 == 0 { order(&sku, 2) } else { paying(&sku, 1) });
        let held = hold(api, &sku, 1);
        if (round + thread).is_multiple_of(3) {
            api.act(&format!("/v1/orders/{}:cancel", id(&placed))).ok(200);
            api.delete(&format!("/v1/reservations/{}", id(&held)));
        }
    }
}

/// Everything after `cursor`, in pages of `limit`, each event with the cursor of the page it came with.
fn read_all(api: &Api, cursor: &str, limit: usize) -> (Vec<Value>, String) {
    let (mut events, mut after) = (Vec::new(), cursor.to_owned());
    loop {
        let page = api.get(&format!("/v1/events?after={after}&limit={limit}")).ok(200);
        let found = page["events"].as_array().unwrap();
        assert!(found.len() <= limit);
        let next = page["next"].as_str().unwrap().to_owned();
        if found.is_empty() {
            return (events, next);
        }
        events.extend(found.iter().cloned());
        after = next;
    }
}

/// Every partition counts 1, 2, 3, … and no id comes twice.
fn dense(events: &[Value]) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for event in events {
        let (partition, sequence) = (event["partition"].as_u64().unwrap(), event["sequence"].as_u64().unwrap());
        let before = last.insert(partition, sequence).unwrap_or(0);
        assert_eq!(sequence, before + 1, "partition {partition}: {event}");
    }
    let mut ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len());
}

#[test]
fn an_event_is_a_cloudevent_with_partition_and_sequence() {
    let (_server, api) = busy();
    let (events, _) = read_all(&api, "", 1000);
    for event in &events {
        assert_eq!(event["specversion"], "1.0");
        for member in ["id", "source", "type", "subject", "time", "datacontenttype"] {
            assert!(event[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {event}");
        }
        assert!(event["time"].as_str().unwrap().ends_with('Z') && event["data"].is_object());
    }
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    for kind in
        ["stock.set", "stock.held", "order.placed", "order.held", "reservation.placed", "payment.started", "order.cancelled"]
    {
        assert!(kinds.contains(&format!("holdfast.{kind}").as_str()), "{kind}");
    }
}

fn by_partition(events: &[Value]) -> BTreeMap<u64, Vec<&Value>> {
    let mut lists: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for event in events {
        lists.entry(event["partition"].as_u64().unwrap()).or_default().push(event);
    }
    lists
}

/// The list may grow behind a reader (closed orders are archived a moment later); what was read of a partition stays as it
/// was. Partitions have no order between them: a journal may have a log for each.
#[track_caller]
fn begins_with(longer: &[Value], list: &[Value]) {
    let whole = by_partition(longer);
    for (partition, events) in by_partition(list) {
        let read = &whole[&partition];
        assert!(read.len() >= events.len() && read[..events.len()] == events[..], "partition {partition} differs");
    }
}

/// Each list shows of each partition the first events, in order.
#[track_caller]
fn same(one: &[Value], other: &[Value]) {
    let other = by_partition(other);
    for (partition, events) in by_partition(one) {
        let Some(others) = other.get(&partition) else { continue };
        assert!(events.iter().zip(others).all(|(one, other)| one == other), "partition {partition} differs");
    }
}

#[test]
fn pages_of_any_size_give_the_same_dense_list() {
    let (_server, api) = busy();
    let (mut shortest, _) = read_all(&api, "", 1000);
    assert!(shortest.len() > 200, "{}", shortest.len());
    for limit in [1, 3, 1000] {
        let (events, _) = read_all(&api, "", limit);
        begins_with(&events, &shortest);
        dense(&events);
        shortest = events;
    }
}

#[test]
fn reading_goes_on_from_any_cursor() {
    let (_server, api) = busy();
    let (whole, _) = read_all(&api, "", 1000);
    let (mut after, mut read) = (String::new(), Vec::new());
    loop {
        let page = api.get(&format!("/v1/events?after={after}&limit=1")).ok(200);
        let Some(next) = page["events"].as_array().unwrap().first() else { break };
        let pair = api.get(&format!("/v1/events?after={after}&limit=2")).ok(200);
        assert_eq!(pair["events"][0], *next, "after {after}");
        read.push(next.clone());
        after = page["next"].as_str().unwrap().to_owned();
    }
    dense(&read);
    begins_with(&read, &whole);
}

#[test]
fn cursors_and_events_are_the_same_after_kill_9() {
    let (mut server, api) = busy();
    let (before, cursor) = read_all(&api, "", 1000);
    server.kill();
    server.restart();
    let api = Api::of(&server);
    let (after, _) = read_all(&api, "", 1000);
    begins_with(&after, &before);
    put(&api, "new", "berlin", 1);
    let (tail, _) = read_all(&api, &cursor, 1000);
    assert!(tail.iter().any(|event| event["subject"] == "new"));
    dense(&read_all(&api, "", 1000).0);
}

#[test]
fn the_end_of_the_list_gives_its_own_cursor_back() {
    let (_server, api) = busy();
    let at_the_end = holdfast_tests::server::poll(crate::shop::PATIENCE, || {
        let (_, end) = read_all(&api, "", 1000);
        let page = api.get(&format!("/v1/events?after={end}")).ok(200);
        (page["events"] == serde_json::json!([])).then_some((page, end))
    });
    let (page, end) = at_the_end.unwrap();
    assert_eq!(page["next"], end);
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    let api = Api::shared();
    for after in ["x", "1", "1-", "-1", "1-x", "1-99999999999", "99999999999999999999-1"] {
        api.get(&format!("/v1/events?after={after}")).problem(400, "invalid_request");
        api.send("GET", "/v1/events/stream", &[("last-event-id", after)], None).problem(400, "invalid_request");
    }
    api.get("/v1/events?limit=x").problem(400, "invalid_request");
    api.get("/v1/events?nonsense=1").problem(400, "invalid_request");
}

#[test]
fn a_cursor_from_the_future_is_refused_and_never_means_nothing_new() {
    let (_server, api) = busy();
    let (_, end) = read_all(&api, "", 1000);
    let (name, _) = end.split_once('~').unwrap();
    let future = ["999999999-0", "999999999-7", "60000.1-0", "1-9999"].map(str::to_owned).into_iter();
    for after in future.clone().chain(future.map(|place| format!("{name}~{place}"))) {
        for path in ["/v1/events", "/v1/events/stream"] {
            api.get(&format!("{path}?after={after}")).problem(409, "cursor_not_of_this_history");
        }
        let last = [("last-event-id", after.as_str())];
        api.send("GET", "/v1/events/stream", &last, None).problem(409, "cursor_not_of_this_history");
    }
}

/// Without the name of the journal and without check values.
fn as_of_before(cursor: &str) -> String {
    let (_, places) = cursor.split_once('~').unwrap();
    let bare = |place: &str| place.splitn(3, '-').take(2).collect::<Vec<_>>().join("-");
    places.split('_').map(bare).collect::<Vec<_>>().join("_")
}

#[test]
fn a_cursor_of_before_cursors_had_names_is_read_on_from() {
    let (_server, api) = busy();
    for limit in [1, 2, 7, 100] {
        let cursor = api.get(&format!("/v1/events?limit={limit}")).ok(200)["next"].as_str().unwrap().to_owned();
        let before = as_of_before(&cursor);
        assert!(!before.contains('~') && before.len() < cursor.len());
        let [one, other] = [&cursor, &before].map(|after| api.get(&format!("/v1/events?limit=50&after={after}")).ok(200));
        assert_eq!(one["events"][0], other["events"][0], "{before}");
        same(one["events"].as_array().unwrap(), other["events"].as_array().unwrap());
        assert!(other["next"].as_str().unwrap().contains('~'), "what is given out has a name");
    }
}

#[test]
fn a_cursor_needs_no_escaping_in_a_url_or_a_header() {
    let (_server, api) = busy();
    let (_, end) = read_all(&api, "", 1000);
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    assert!(end.bytes().all(unreserved), "{end}");
}

/// Reads `count` events of a stream: `(id, data)`.
fn follow(api: &Api, last: Option<&str>, count: usize) -> Vec<(String, Value)> {
    let headers: Vec<(&str, &str)> = last.iter().map(|last| ("last-event-id", *last)).collect();
    let response = api.open("/v1/events/stream", &headers);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut events, mut cursor) = (Vec::new(), String::new());
    for line in BufReader::new(response.into_body().into_reader()).lines().map(Result::unwrap) {
        if let Some(id) = line.strip_prefix("id: ") {
            cursor = id.to_owned();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            events.push((cursor.clone(), serde_json::from_str(data).unwrap()));
        }
        if events.len() == count {
            return events;
        }
    }
    panic!("the stream ended after {} of {count}", events.len());
}

#[test]
fn a_stream_tells_the_same_list_and_resumes_after_its_last_event_id() {
    let (_server, api) = busy();
    let (whole, _) = read_all(&api, "", 1000);
    let first = follow(&api, None, whole.len() / 2);
    let rest = follow(&api, Some(&first.last().unwrap().0), whole.len() - first.len());
    let streamed: Vec<Value> = first.into_iter().chain(rest).map(|(_, event)| event).collect();
    dense(&streamed);
    same(&streamed, &whole);
}

#[test]
fn the_id_of_a_streamed_event_is_a_cursor_of_pages() {
    let (_server, api) = busy();
    let (whole, _) = read_all(&api, "", 1000);
    let mut read: Vec<Value> = Vec::new();
    let first = follow(&api, None, 10);
    let page = api.get(&format!("/v1/events?after={}&limit=5", first[9].0)).ok(200);
    read.extend(first.into_iter().map(|(_, event)| event));
    read.extend(page["events"].as_array().unwrap().iter().cloned());
    assert_eq!(read.len(), 15);
    dense(&read);
    same(&read, &whole);
}

#[test]
fn a_stream_follows_what_happens_after_it_was_opened() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let (_, end) = read_all(&api, "", 1000);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| follow_until(&api, &end, &sku));
        let held = hold(&api, &sku, 1);
        let held = id(&held).replace("res_", "ord_");
        (reader.join().unwrap(), held)
    });
    assert_eq!(seen.0["data"]["order_id"], seen.1);
}

/// The first hold on this SKU that a stream tells.
fn follow_until(api: &Api, last: &str, sku: &str) -> Value {
    let response = api.open("/v1/events/stream", &[("last-event-id", last)]);
    let lines = BufReader::new(response.into_body().into_reader()).lines().map(Result::unwrap);
    let mut events = lines.filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    events.find(|event| event["type"] == "holdfast.stock.held" && event["subject"] == sku).unwrap()
}

#[test]
fn crossing_a_threshold_is_told_once_each_way() {
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "mug", "berlin", 3);
    api.json("PATCH", "/v1/inventory/mug", &[], &serde_json::json!({"low_stock_threshold": 1})).ok(200);
    let held = hold(&api, "mug", 2);
    let last = hold(&api, "mug", 1);
    api.delete(&format!("/v1/reservations/{}", id(&last)));
    api.delete(&format!("/v1/reservations/{}", id(&held)));
    let (events, _) = read_all(&api, "", 1000);
    let levels: Vec<&str> = events
        .iter()
        .filter(|event| event["subject"] == "mug" && event["data"]["version"].is_null())
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(levels.iter().filter(|level| level.ends_with("stock.depleted")).count(), 1, "{levels:?}");
    assert!(
        levels.iter().any(|level| level.ends_with("stock.low")) && levels.last().unwrap().ends_with("stock.restored"),
        "{levels:?}"
    );
}
