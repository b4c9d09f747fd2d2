//! One order or reservation: where it stands, its lines, and everything that happened to it.

use super::super::layout::{scrolling, time, words};
use super::super::table::{Column, Row, table};
use super::orders::total;
use crate::events::{TYPE_PREFIX, timeline_item};
use crate::keys::Role;
use crate::wire::ids::Id;
use crate::wire::names;
use holdfast_engine::event::{Kind, OrderRecord};
use holdfast_engine::order::{Order, Stage};
use maud::{Markup, html};
use serde_json::Value;

/// Members that the page has said already.
const SAID: [&str; 4] = ["seq", "type", "at", "order_id"];

pub fn id(order: &Order) -> Id {
    match order.kind() {
        Kind::Order => Id::order(order.id),
        Kind::Reservation => Id::reservation(order.id),
    }
}

const LINES: [Column; 5] =
    [Column::text("SKU"), Column::number("Quantity"), Column::number("Held"), Column::number("Pinned"), Column::number("Sold")];

/// As somebody of this role sees it.
pub fn page(order: &Order, role: Role) -> Markup {
    let (placed, kind) = (order.placed(), order.kind());
    html! {
        dl class="tiles" {
            (tile("id", "Id", &html! { (id(order)) }))
            (tile("number", "Number", &html! { (placed.number) }))
            (tile("status", "Status", &words(order.status.name(kind))))
            @if kind == Kind::Order {
                (tile("payment", "Payment", &html! { (names::payment_status(order.payment_status())) }))
                (tile("total", "Total", &html! { (total(order)) }))
            }
            (tile("customer", "Customer", &html! { (placed.customer.unwrap_or("–")) }))
            (tile("placed", "Placed", &time(order.created_at())))
            (tile("expires", "Expires", &time(order.expires_at)))
            (tile("partition", "Partition", &html! { (order.id.partition().0) }))
            (tile("version", "Version", &html! { (order.version()) }))
        }
        h2 { "Lines" }
        (scrolling("Lines", &lines(order)))
        h2 { "Timeline" }
        (scrolling("Timeline", &timeline(order, role)))
    }
}

fn tile(id: &str, label: &str, value: &Markup) -> Markup {
    html! { div { dt { (label) } dd id=(id) class="text" { (value) } } }
}

fn lines(order: &Order) -> Markup {
    let at = |stage, units: u32| html! { (if order.stage() == stage { units } else { 0 }) };
    let rows = order.lines().map(|line| {
        let (sku, quantity) = (html! { (line.line.sku) }, html! { (line.line.quantity.units()) });
        let [held, pinned, sold] = [Stage::Held, Stage::Pinned, Stage::Committed].map(|stage| at(stage, line.units.units()));
        vec![sku, quantity, held, pinned, sold]
    });
    table(Some("lines"), &LINES, rows)
}

fn timeline(order: &Order, role: Role) -> Markup {
    let records: Vec<OrderRecord> = order.history().records().collect();
    let item = |record| timeline_item(order.id, order.kind(), record).shown_to(role);
    let items = records.iter().map(|record| serde_json::to_value(item(record)).unwrap_or_default());
    let rows = records.iter().zip(items).map(|(record, item)| happened(record, &item));
    table(Some("timeline"), &[Column::plain("What"), Column::plain("When"), Column::text("More")], rows)
}

fn happened(record: &OrderRecord, item: &Value) -> Row {
    vec![html! { (what(item)) }, time(record.at), members(item)]
}

/// The type of a fact, as the API has it, in words.
fn what(item: &Value) -> String {
    let name = item["type"].as_str().unwrap_or_default();
    name.strip_prefix(TYPE_PREFIX).unwrap_or(name).replace(['.', '_'], " ")
}

fn members(item: &Value) -> Markup {
    let members =
        item.as_object().into_iter().flatten().filter(|(name, value)| !SAID.contains(&name.as_str()) && !value.is_null());
    html! { ul class="members" { @for (name, value) in members { li { (name.replace('_', " ")) ": " (shown(value)) } } } }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join("; "),
        Value::Object(members) => {
            let pairs = members.iter().filter(|(_, value)| !value.is_null());
            pairs.map(|(name, value)| format!("{} {}", name.replace('_', " "), shown(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
