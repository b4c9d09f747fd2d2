//! Lists of what is in memory: the orders of a customer, SKUs by the beginning of their names.
//!
//! Invariants: a page is read partition by partition, a bounded piece a turn, so that no list keeps orders waiting; a reader who
//! follows `next` to its end has seen all that was there from the first page to the last, and nothing twice.

use super::{execute, live, own, page_limit, refused};
use crate::events::cursor::named;
use crate::http::caller::Caller;
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::reply::{json_response, unanswered, unavailable};
use crate::http::view::{self, Edge, OrderListBody, StockListBody};
use crate::state::{App, Live};
use crate::wire::scalars;
use actix_web::HttpResponse;
use actix_web::web::Data;
use data_encoding::BASE64URL_NOPAD;
use holdfast_engine::answer::{Answer, OrdersPage, StockPage};
use holdfast_engine::command::{Command, OrderFilter};
use holdfast_engine::event::StockView;
use holdfast_engine::ids::{CustomerId, PartitionId, Seq, Sku};
use holdfast_engine::limits;
use holdfast_engine::order::Order;
use serde::Deserialize;

/// Turns of partitions that one page may cost. After them it ends, if need be with nothing in it.
const MAX_TURNS: usize = 256;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrdersOf {
    /// Compared byte by byte: nothing is normalised.
    #[param(value_type = scalars::Name)]
    customer_id: String,
    /// The `next` of the page before; nothing for the first page.
    #[serde(default)]
    #[param(value_type = Option<scalars::Cursor>)]
    after: String,
    /// A page may have fewer while more follow: read on until `next` is null.
    #[param(value_type = Option<scalars::PageLimit>)]
    limit: Option<usize>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StockOf {
    /// What the SKUs begin with; every SKU if left out. Compared byte by byte.
    #[serde(default)]
    #[param(value_type = Option<scalars::Sku>)]
    prefix: String,
    /// The `next` of the page before; nothing for the first page.
    #[serde(default)]
    #[param(value_type = Option<scalars::Cursor>)]
    after: String,
    /// A page may have fewer while more follow: read on until `next` is null.
    #[param(value_type = Option<scalars::PageLimit>)]
    limit: Option<usize>,
}

/// Where a reader goes on: in which partition, and behind what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor<T> {
    partition: u16,
    after: T,
    /// Nothing has left memory, as far as the list was read.
    complete: bool,
}

impl<T: Default> Cursor<T> {
    fn beginning() -> Self {
        Self { partition: 0, after: T::default(), complete: true }
    }

    fn next_partition(&mut self) {
        (self.partition, self.after) = (self.partition + 1, T::default());
    }
}

/// `<journal>~<list>.<partition>.<complete>.<behind>`. The name of the list keeps a cursor of one from being taken for one of another.
fn text<T>(live: &Live, list: &str, cursor: &Cursor<T>, behind: &str) -> String {
    let Cursor { partition, complete, .. } = cursor;
    format!("{}~{list}.{partition}.{}.{behind}", live.cursors.journal(), u8::from(*complete))
}

fn parse<T: Default>(live: &Live, list: &str, given: &str, behind: impl Fn(&str) -> Option<T>) -> Result<Cursor<T>, Problem> {
    if given.is_empty() {
        return Ok(Cursor::beginning());
    }
    let (journal, cursor) =
        read_cursor(list, given, behind).ok_or_else(|| Problem::parameter("after", "must be a cursor of this list"))?;
    live.cursors.same_journal(Some(journal)).map_err(|why| refused(&why))?;
    Ok(cursor)
}

fn read_cursor<'a, T>(list: &str, given: &'a str, behind: impl Fn(&str) -> Option<T>) -> Option<(&'a str, Cursor<T>)> {
    let (journal, place) = named(given)?;
    let mut parts = place.splitn(4, '.');
    let (name, partition, complete, after) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let complete = ["0", "1"].iter().position(|flag| *flag == complete)? == 1;
    let (partition, after) = (partition.parse().ok()?, behind(after)?);
    (name == list).then_some((journal?, Cursor { partition, after, complete }))
}

/// The orders of a customer that the caller reaches and that are in memory: all that are not closed, and closed ones until they leave it.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", operation_id = "list_orders", params(OrdersOf),
    responses((status = 200, description = "A page of orders.", body = OrderListBody<'static>)))]
pub async fn orders(app: Data<App>, caller: Caller, query: Parameters<OrdersOf>) -> Result<HttpResponse, Problem> {
    read_orders(&app, &caller, query.0).await
}

/// SKUs with their stock, all or those whose names begin so.
#[utoipa::path(get, path = "/v1/inventory", tag = "stock", operation_id = "list_stock", params(StockOf),
    responses((status = 200, description = "A page of SKUs.", body = StockListBody<'static>)))]
pub async fn stock(app: Data<App>, query: Parameters<StockOf>) -> Result<HttpResponse, Problem> {
    read_stock(&app, query.0).await
}

async fn read_orders(app: &App, caller: &Caller, query: OrdersOf) -> Result<HttpResponse, Problem> {
    let rule = || Problem::parameter("customer_id", &CustomerId::rule());
    let (customer, limit) = (CustomerId::new(&query.customer_id).ok_or_else(rule)?, page_limit(query.limit)?);
    let live = live(app)?;
    let (as_of, partitions) = (live.clock.now(), live.handle.router().partitions.count());
    let mut cursor = parse(&live, "orders", &query.after, |behind| behind.parse::<Seq>().ok())?;
    let (mut found, mut lines, mut bytes) = (Vec::new(), 0, 0);
    for _ in 0..MAX_TURNS {
        let full = found.len() >= limit || lines >= limits::MAX_SCAN || bytes >= limits::MAX_PAGE_BYTES;
        if cursor.partition >= partitions || full {
            break;
        }
        let (partition, after) = (PartitionId(cursor.partition), cursor.after);
        let filter = OrderFilter::OfCustomer(customer.clone());
        let page = orders_page(app, Command::ListOrders { partition, filter, after, limit: limit - found.len() }).await?;
        cursor.complete &= !page.some_left;
        let reached = page.found.into_iter().filter(|(_, history)| own::sees(app, caller, history.origin().client));
        let orders = reached.map(|(id, history)| own::shown_to(caller, Order::of(id, history)));
        let counted = |order: &Order| {
            lines += order.placed().lines.len();
            bytes += order.shown_bytes();
        };
        found.extend(orders.inspect(counted));
        match page.next {
            Some(seq) => cursor.after = seq,
            None => cursor.next_partition(),
        }
    }
    let next = (cursor.partition < partitions).then(|| text(&live, "orders", &cursor, &cursor.after.to_string()));
    let edge = Edge { next, as_of, complete: cursor.complete };
    Ok(json_response(HttpResponse::Ok(), view::orders_json(&found, &edge), false))
}

async fn orders_page(app: &App, command: Command) -> Result<OrdersPage, Problem> {
    let reply = execute(app, command).await.map_err(unanswered)?;
    match reply.outcome {
        Ok(Answer::Orders(page)) => Ok(page),
        Ok(_) | Err(_) => Err(unavailable()),
    }
}

async fn read_stock(app: &App, query: StockOf) -> Result<HttpResponse, Problem> {
    let limit = page_limit(query.limit)?;
    let rule = || Problem::parameter("prefix", "must be the beginning of a SKU");
    let prefix = (!query.prefix.is_empty()).then(|| Sku::new(&query.prefix).ok_or_else(rule)).transpose()?;
    let live = live(app)?;
    let (as_of, partitions) = (live.clock.now(), live.handle.router().partitions.count());
    let mut cursor = parse(&live, "stock", &query.after, behind_sku)?;
    let (mut found, mut locations): (Vec<StockView>, usize) = (Vec::new(), 0);
    for _ in 0..MAX_TURNS {
        if cursor.partition >= partitions || found.len() >= limit || locations >= limits::MAX_SCAN {
            break;
        }
        let (partition, prefix, after) = (PartitionId(cursor.partition), prefix.clone(), cursor.after.clone());
        let page = stock_page(app, Command::ListStock { partition, prefix, after, limit: limit - found.len() }).await?;
        locations += page.found.iter().map(|stock| stock.locations.len()).sum::<usize>();
        found.extend(page.found);
        match page.next {
            Some(sku) => cursor.after = Some(sku),
            None => cursor.next_partition(),
        }
    }
    let behind = cursor.after.as_ref().map(|sku| BASE64URL_NOPAD.encode(sku.as_str().as_bytes()));
    let next = (cursor.partition < partitions).then(|| text(&live, "stock", &cursor, behind.as_deref().unwrap_or_default()));
    let edge = Edge { next, as_of, complete: cursor.complete };
    Ok(json_response(HttpResponse::Ok(), view::stock_list_json(&found, &edge), false))
}

/// The SKU a cursor stands behind: none at the beginning of a partition.
#[expect(clippy::option_option, reason = "no SKU, and no cursor, are two things")]
fn behind_sku(text: &str) -> Option<Option<Sku>> {
    if text.is_empty() {
        return Some(None);
    }
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    Sku::new(std::str::from_utf8(&bytes).ok()?).map(Some)
}

async fn stock_page(app: &App, command: Command) -> Result<StockPage, Problem> {
    let reply = execute(app, command).await.map_err(unanswered)?;
    match reply.outcome {
        Ok(Answer::StockList(page)) => Ok(page),
        Ok(_) | Err(_) => Err(unavailable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_a_list_names_its_journal_its_list_and_its_place() {
        let seq = |text: &str| text.parse::<Seq>().ok();
        let read = |text| read_cursor("orders", text, seq);
        let expected = Cursor { partition: 7, after: 12, complete: false };
        assert_eq!(read("0123456789abcdef~orders.7.0.12"), Some(("0123456789abcdef", expected)));
        for wrong in [
            "x",
            "7",
            "orders.7.0.12",
            "0123~orders.7.0.12",
            "0123456789abcdef~stock.7.0.12",
            "0123456789abcdef~orders.7.2.12",
            "0123456789abcdef~orders.7.0",
            "0123456789abcdef~orders.-1.0.12",
            "0123456789abcdef~orders.7.0.x",
            "0123456789abcdef~orders.65536.0.1",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_sku_in_a_cursor_may_be_any() {
        for name in ["MUG", "a.b~c", "größe字🛒"] {
            let sku = Sku::new(name).unwrap();
            assert_eq!(behind_sku(&BASE64URL_NOPAD.encode(name.as_bytes())), Some(Some(sku)), "{name}");
        }
        assert_eq!(behind_sku(""), Some(None));
        assert_eq!([behind_sku("!"), behind_sku("IA")], [None, None], "no base64, and no SKU");
    }
}
