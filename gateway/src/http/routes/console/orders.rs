//! Orders on the console: one by its id, or a search by number or customer among those in memory.
//!
//! Invariant: there is one search at a time, and it asks one partition after the other, so that it takes no more from orders than one
//! list of the API does.

use super::door::{self, Entrance};
use super::respond;
use crate::console::layout::Around;
use crate::console::pages::orders::{By, Results};
use crate::console::pages::{Page, order as order_page, orders as orders_page};
use crate::console::session::Operator;
use crate::http::parameters::Parameters;
use crate::http::problem::{Code, Problem};
use crate::http::reply::{self, unanswered, unavailable};
use crate::http::routes::ids::Named;
use crate::http::routes::{execute, live};
use crate::state::App;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use holdfast_engine::answer::{Answer, OrdersPage};
use holdfast_engine::command::{Command, OrderFilter};
use holdfast_engine::event::Kind;
use holdfast_engine::ids::{CustomerId, PartitionId};
use holdfast_engine::order::Order;

/// Orders that are shown of a customer.
const MOST: usize = 100;
/// Turns of partitions that a search may cost.
const MAX_TURNS: usize = 4_096;

#[derive(serde::Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    by: By,
    #[serde(default)]
    q: String,
}

/// What a search has found.
#[derive(Default)]
struct Found {
    orders: Vec<Order>,
    more: bool,
    some_left: bool,
}

pub(super) async fn search(request: HttpRequest, app: Data<App>, wanted: Parameters<Wanted>) -> HttpResponse {
    let operator = match door::enter(&request, &app) {
        Entrance::Open(operator) => operator,
        Entrance::Closed(response) => return response,
    };
    let Parameters(Wanted { by, q }) = wanted;
    let (query, around) = (q.trim(), around("Orders", &operator));
    let found = match by {
        _ if query.is_empty() => return respond::page(&around, &orders_page::page(by, query, &Results::None)),
        By::Id => match Named::parse(&app, kind(query), query) {
            Ok(_) => return respond::see_other(&format!("/console/orders/{query}")),
            Err(problem) => Err(problem),
        },
        By::Number => by_number(&app, query).await,
        By::Customer => by_customer(&app, query).await,
    };
    match found {
        Ok(Found { orders, more, some_left }) => {
            respond::page(&around, &orders_page::page(by, query, &Results::Orders { found: &orders, more, some_left }))
        }
        Err(problem) => {
            let contents = orders_page::page(by, query, &Results::Refused(&problem.detail));
            respond::with_status(problem.status_code(), &around, &contents)
        }
    }
}

fn around<'a>(title: &'a str, operator: &'a Operator) -> Around<'a> {
    Around { page: Page::Orders, title, operator: Some(operator), live: None }
}

fn kind(id: &str) -> Kind {
    if id.starts_with(crate::wire::ids::RESERVATION) { Kind::Reservation } else { Kind::Order }
}

/// A number says which partition gave it out.
async fn by_number(app: &App, text: &str) -> Result<Found, Problem> {
    let number: u64 = text.parse().ok().filter(|number| *number > 0).ok_or_else(|| invalid("a number has digits alone"))?;
    let partitions = live(app)?.handle.router().partitions.count();
    let of = u16::try_from((number - 1) % u64::from(partitions)).map_err(|_| unavailable())?;
    find(app, of..of + 1, &OrderFilter::Numbered(number), 1).await
}

async fn by_customer(app: &App, text: &str) -> Result<Found, Problem> {
    let customer = CustomerId::new(text).ok_or_else(|| invalid(&format!("a customer's id {}", CustomerId::rule())))?;
    let partitions = live(app)?.handle.router().partitions.count();
    find(app, 0..partitions, &OrderFilter::OfCustomer(customer), MOST).await
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}

async fn find(app: &App, partitions: std::ops::Range<u16>, filter: &OrderFilter, most: usize) -> Result<Found, Problem> {
    let busy = || Problem::new(Code::Overloaded, "somebody else searches: try again when that search is done");
    let _turn = app.console.search.try_acquire().map_err(|_| busy())?;
    let (mut found, mut turns) = (Found::default(), 0);
    for partition in partitions.map(PartitionId) {
        let mut after = 0;
        loop {
            if found.orders.len() >= most || turns >= MAX_TURNS {
                found.more = matches!(filter, OrderFilter::OfCustomer(_));
                return Ok(found);
            }
            turns += 1;
            let limit = most - found.orders.len();
            let page = page(app, Command::ListOrders { partition, filter: filter.clone(), after, limit }).await?;
            found.some_left |= page.some_left;
            found.orders.extend(page.found.into_iter().map(|(id, history)| Order::of(id, history)));
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
    }
    Ok(found)
}

async fn page(app: &App, command: Command) -> Result<OrdersPage, Problem> {
    match execute(app, command).await.map_err(unanswered)?.outcome {
        Ok(Answer::Orders(page)) => Ok(page),
        Ok(_) | Err(_) => Err(unavailable()),
    }
}

pub(super) async fn one(request: HttpRequest, app: Data<App>, id: Path<String>) -> HttpResponse {
    let operator = match door::enter(&request, &app) {
        Entrance::Open(operator) => operator,
        Entrance::Closed(response) => return response,
    };
    match read(&app, &id).await {
        Ok(order) => {
            let title = match order.kind() {
                Kind::Order => "Order",
                Kind::Reservation => "Reservation",
            };
            respond::page(&around(title, &operator), &order_page::page(&order, operator.role))
        }
        Err(problem) => respond::refusal(&problem, Page::Orders, "Order", &operator),
    }
}

async fn read(app: &App, id: &str) -> Result<Order, Problem> {
    let order = Named::parse(app, kind(id), id)?.order;
    let answer = reply::known(execute(app, Command::GetOrder { order, kind: None }).await)?;
    answer.and_then(|(answer, _)| reply::order_of(answer)).ok_or_else(unavailable)
}
