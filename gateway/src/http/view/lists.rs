//! Pages of lists.

use super::{OrderBody, OrderOf, StockBody, stock_body};
use crate::wire::json::{Json, Value, to_json};
use crate::wire::scalars;
use crate::wire::times::Rfc3339;
use holdfast_engine::event::StockView;
use holdfast_engine::order::Order;
use holdfast_engine::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What stands beside the items of a page.
pub struct Edge {
    pub next: Option<String>,
    pub as_of: Timestamp,
    pub complete: bool,
}

/// Orders of a customer, in no order of time.
#[derive(ToSchema)]
#[schema(as = OrderList)]
pub struct OrderListBody<'a> {
    pub items: Vec<OrderBody<'a>>,
    /// To be sent as `after` for the next page, which may be empty; null behind the last one.
    #[schema(value_type = Option<scalars::Cursor>, required = true)]
    pub next: Option<&'a str>,
    /// What was answered before then is in the list.
    #[schema(value_type = scalars::Time)]
    pub as_of: Rfc3339,
    /// False: closed orders have left memory, or the data was restored from a backup, and the list may be without some of this customer's. It counts from the first page on.
    pub complete: bool,
}

/// SKUs, in no order of their names as a whole.
#[derive(Serialize, ToSchema)]
#[schema(as = StockList)]
pub struct StockListBody<'a> {
    pub items: Vec<StockBody<'a>>,
    /// To be sent as `after` for the next page, which may be empty; null behind the last one.
    #[schema(value_type = Option<scalars::Cursor>, required = true)]
    pub next: Option<&'a str>,
    /// What was answered before then is in the list.
    #[schema(value_type = scalars::Time)]
    pub as_of: Rfc3339,
    /// Always true: no SKU leaves memory.
    pub complete: bool,
}

struct Orders<'a>(&'a [Order], &'a Edge);

impl Value for Orders<'_> {
    fn write(&self, json: &mut Json) {
        let Self(orders, edge) = self;
        json.raw(r#"{"items":"#);
        json.list(orders.iter().map(OrderOf));
        json.member(r#","next":"#, &edge.next.as_deref());
        json.member(r#","as_of":"#, &Rfc3339(edge.as_of));
        json.raw(if edge.complete { r#","complete":true}"# } else { r#","complete":false}"# });
    }
}

pub fn orders_json(orders: &[Order], edge: &Edge) -> Vec<u8> {
    Json::of(&Orders(orders, edge))
}

pub fn stock_list_json(stock: &[StockView], edge: &Edge) -> Vec<u8> {
    let items = stock.iter().map(stock_body).collect();
    let Edge { next, as_of, complete } = edge;
    to_json(&StockListBody { items, next: next.as_deref(), as_of: Rfc3339(*as_of), complete: *complete })
}
