//! Orders: found by id, by number, or by customer among those in memory.

use super::super::layout::{scrolling, time, words};
use super::super::table::{Column, Row, table};
use crate::wire::ids::Id;
use crate::wire::money;
use holdfast_engine::order::Order;
use holdfast_engine::quantity::Currency;
use maud::{Markup, html};

const COLUMNS: [Column; 6] = [
    Column::number("Number"),
    Column::text("Order"),
    Column::words("Status"),
    Column::text("Customer"),
    Column::plain("Placed"),
    Column::number("Total"),
];

/// What orders are found by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    Id,
    Number,
    Customer,
}

impl By {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Id, "id", "Id of an order or reservation"),
        (Self::Number, "number", "Number"),
        (Self::Customer, "customer", "Customer"),
    ];
}

/// What a search has found.
pub enum Results<'a> {
    /// Nothing was asked for.
    None,
    Refused(&'a str),
    Orders {
        found: &'a [Order],
        /// There are more in memory than are shown.
        more: bool,
        /// Orders have left memory: they are found by their ids.
        some_left: bool,
    },
}

pub fn page(by: By, query: &str, results: &Results<'_>) -> Markup {
    html! {
        form method="get" action="/console/orders" role="search" class="search" {
            div {
                label for="by" { "Find by" }
                select id="by" name="by" {
                    @for (entry, value, label) in By::ALL { option value=(value) selected[entry == by] { (label) } }
                }
            }
            div class="wide" {
                label for="q" { "What" }
                input id="q" name="q" value=(query) required autocomplete="off" spellcheck="false";
            }
            button { "Find" }
        }
        @match results {
            Results::None => p class="soft" { "By id any order is found. By number and by customer those in memory are: all that are not closed, and closed ones for a while." }
            Results::Refused(why) => p class="failure" id="refused" { (why) }
            Results::Orders { found, more, some_left } => {
                h2 { (found.len()) " found" }
                @if *more { p { "There are more; only the first are shown." } }
                @if *some_left { p class="soft" { "Closed orders have left memory: find those by their ids." } }
                @if !found.is_empty() { (scrolling("Orders found", &table(Some("found"), &COLUMNS, found.iter().map(row)))) }
            }
        }
    }
}

fn row(order: &Order) -> Row {
    let (placed, id) = (order.placed(), Id::order(order.id));
    vec![
        html! { (placed.number) },
        html! { a href={ "/console/orders/" (id) } { (id) } },
        words(order.status.name(order.kind())),
        html! { (placed.customer.unwrap_or("–")) },
        time(order.created_at()),
        html! { (total(order)) },
    ]
}

/// What the order costs.
pub(super) fn total(order: &Order) -> String {
    let currency = order.placed().currency;
    money::shown(order.amount().minor(), currency.as_ref().map(Currency::as_str))
}
