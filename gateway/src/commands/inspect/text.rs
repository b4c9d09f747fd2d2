//! What `holdfast inspect` found, for people.

use super::super::table;
use serde_json::Value;

/// What an item of a timeline has a column for.
const COLUMNS: [&str; 3] = ["seq", "type", "at"];

pub(super) fn journal(found: &Value) -> String {
    rows_of(found, &["commits", "events", "bytes", "partitions"])
}

pub(super) fn partitions(found: &Value) -> String {
    let names = ["partition", "sequence", "orders_in_memory", "skus", "holds", "snapshots"];
    listed(&found["partitions"], &names)
}

pub(super) fn metrics(found: &Value) -> String {
    listed(&found["metrics"], &["name", "kind", "labels", "help"])
}

pub(super) fn order(found: &Value) -> String {
    let stands = if found["archived"] == true { "closed, in the tables" } else { "in memory" };
    let head = format!("{}  partition {}, {stands}", cell(&found["id"]), cell(&found["partition"]));
    let rows: Vec<Vec<String>> = items(&found["facts"]).map(fact).collect();
    format!("{head}\n\n{}", table::lines(&["SEQ", "TIME", "FACT", "WHAT"], &rows))
}

pub(super) fn sku(found: &Value) -> String {
    let stock = &found["stock"];
    let buckets = ["available", "on_hand", "held", "pinned", "committed", "safety_stock", "damaged", "quality_control"];
    let counters = listed(&Value::Array(vec![stock.clone()]), &buckets);
    let head = format!("{}  partition {}, version {}", cell(&stock["sku"]), cell(&found["partition"]), cell(&stock["version"]));
    let locations = listed(&stock["locations"], &[&["location", "priority"], &buckets[..]].concat());
    let holds = listed(&found["holds"], &["order_id", "generation", "state", "units"]);
    [head, counters, locations, holds].join("\n\n")
}

/// A line for each object, a column for each of its members.
fn listed(objects: &Value, names: &[&str]) -> String {
    let row = |object: &Value| names.iter().map(|name| cell(&object[*name])).collect();
    let rows: Vec<Vec<String>> = items(objects).map(row).collect();
    let headings: Vec<String> = names.iter().map(|name| name.replace('_', " ").to_uppercase()).collect();
    table::lines(&headings.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
}

fn rows_of(object: &Value, names: &[&str]) -> String {
    listed(&Value::Array(vec![object.clone()]), names)
}

fn fact(item: &Value) -> Vec<String> {
    let kind = cell(&item["type"]);
    let kind = kind.strip_prefix(crate::events::TYPE_PREFIX).unwrap_or(&kind).to_owned();
    vec![cell(&item["seq"]), cell(&item["at"]), kind, members(item, &COLUMNS)]
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Words as they are, lists with commas, members as in a fact.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(_) => format!("({})", members(value, &[])),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Those that are there, as `name=value`.
fn members(object: &Value, without: &[&str]) -> String {
    let members = object.as_object().into_iter().flatten();
    let shown = members.filter(|(name, value)| !without.contains(&name.as_str()) && !value.is_null());
    shown.map(|(name, value)| format!("{name}={}", cell(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_order_is_its_facts_with_times_as_dates_and_ids_in_full() {
        let id = format!("ord_{}", "0".repeat(26));
        let facts = json!([
            {"seq": 9, "type": "holdfast.order.placed", "at": "2026-11-21T09:17:37.911Z", "customer_id": "ada", "metadata": null},
            {"seq": 10, "type": "holdfast.order.held", "at": "2026-11-21T09:17:37.912Z", "lines": [{"quantity": 2, "sku": "mug"}]},
        ]);
        let found = json!({"id": id, "partition": 3, "archived": false, "facts": facts});
        let expected = format!(
            "{id}  partition 3, in memory\n\n\
             SEQ  TIME                      FACT          WHAT\n\
             \x20 9  2026-11-21T09:17:37.911Z  order.placed  customer_id=ada\n\
             \x2010  2026-11-21T09:17:37.912Z  order.held    lines=(quantity=2 sku=mug)"
        );
        assert_eq!(order(&found), expected);
    }

    #[test]
    fn partitions_are_a_table() {
        let row = json!({"partition": 0, "sequence": 12, "orders_in_memory": 1, "skus": 2, "holds": 1, "snapshots": [12, 5]});
        let expected = "PARTITION  SEQUENCE  ORDERS IN MEMORY  SKUS  HOLDS  SNAPSHOTS\n        0        12                 1     2      1  12,5";
        assert_eq!(partitions(&json!({"partitions": [row]})), expected);
    }
}
