//! Reservations: the stock side alone, without payment.

use super::orders::{about, read_reason};
use super::table::resource;
use super::{execute, names, send};
use crate::app::App;
use crate::body::Body;
use crate::dto::{BatchIn, BatchItemIn, ExtendIn, ReasonIn, ReservationIn, check_reservation, grouped};
use crate::openapi::scalars;
use crate::problem::{FieldError, Problem};
use crate::reply::{self, Answering};
use crate::request::{Caller, json, json_or_default};
use crate::view::{self, BatchBody, ItemResult, ReservationBody};
use actix_web::http::Method;
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use holdfast_actors::Unanswered;
use holdfast_actors::replies::Pending;
use holdfast_engine::command::Command;
use holdfast_engine::event::Kind;
use holdfast_engine::ids::OrderId;
use holdfast_engine::limits;
use std::collections::HashSet;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/v1/reservations").on(Method::POST, place))
        .service(resource("/v1/reservations:batch").on(Method::POST, batch))
        .service(resource("/v1/reservations/{id}:commit").on(Method::POST, commit))
        .service(resource("/v1/reservations/{id}:extend").on(Method::POST, extend))
        .service(resource("/v1/reservations/{id}").on(Method::GET, get).on(Method::DELETE, release));
}

/// Hold units without an order.
#[utoipa::path(post, path = "/v1/reservations", tag = "reservations", operation_id = "place_reservation", request_body = ReservationIn,
    params(("Idempotency-Key" = scalars::IdempotencyKey, Header, description = "New for each reservation, the same for each retry.")),
    responses((status = 201, description = "The reservation, its units held.", body = ReservationBody<'static>)))]
pub async fn place(request: HttpRequest, app: Data<App>, body: Body) -> HttpResponse {
    let caller = match Caller::of(&request, &app) {
        Ok(caller) => caller,
        Err(problem) => return problem.response(),
    };
    let command = place_command(&request, &app, &caller, body);
    match command {
        Err(problem) => problem.by(caller.request_id.as_str()).response(),
        Ok((order, command)) => {
            let answering =
                Answering { request_id: caller.request_id.as_str(), location: format!("/v1/reservations/res_{order}") };
            if let Err(problem) = names::check(&app, &command).await {
                return answering.problem(problem);
            }
            reply::placed(answering, execute(&app, command).await)
        }
    }
}

fn place_command(request: &HttpRequest, app: &App, caller: &Caller, body: Body) -> Result<(OrderId, Command), Problem> {
    let wanted: ReservationIn = json(request, body)?;
    let key = caller.key(request, "reservations")?;
    let (now, partitions) = match &*app.live.load() {
        Some(live) => (live.clock.now(), live.handle.router().partitions),
        None => return Err(reply::unavailable()),
    };
    let request_id = caller.request_id.clone();
    let placed = check_reservation(wanted.owner.as_deref(), &wanted.lines, wanted.ttl_seconds, now, request_id);
    let order = OrderId::derive(key, partitions);
    Ok((order, Command::Place { order, placed: Box::new(placed.map_err(Problem::invalid)?) }))
}

/// Up to 4,096 reservations in one request, each by itself.
#[utoipa::path(post, path = "/v1/reservations:batch", tag = "reservations", operation_id = "place_reservations", request_body = BatchIn,
    responses((status = 200, description = "What became of each item, in their order.", body = BatchBody<'static>)))]
pub async fn batch(request: HttpRequest, app: Data<App>, body: Body) -> HttpResponse {
    let caller = match Caller::of(&request, &app) {
        Ok(caller) => caller,
        Err(problem) => return problem.response(),
    };
    let answering = Answering { request_id: caller.request_id.as_str(), location: String::new() };
    let items = match json::<BatchIn>(&request, body) {
        Ok(BatchIn { items }) if (1..=limits::MAX_BATCH).contains(&items.len()) => items,
        Ok(_) => {
            let message = format!("must have 1 to {} items", grouped(limits::MAX_BATCH as u64));
            return answering.problem(Problem::invalid(vec![FieldError::new("/items", message)]));
        }
        Err(problem) => return answering.problem(problem),
    };
    let commands: Vec<Prepared> = items.iter().map(|item| item_command(&app, &caller, item)).collect();
    let results = send_items(&app, &caller, with_readable_names(&app, commands).await).await;
    reply::json_response(HttpResponse::Ok(), view::batch_json(&results), false)
}

/// Refuses the items that bring a name nobody can read whole. Where there is none, which is nearly always, nothing is asked.
async fn with_readable_names(app: &App, items: Vec<Prepared>) -> Vec<Prepared> {
    let readable = |command: &Command| !matches!(command, Command::Place { placed, .. } if !names::readable(placed));
    if items.iter().flatten().all(|(_, command)| readable(command)) {
        return items;
    }
    let checked = items.into_iter().map(async |item| {
        let (order, command) = item?;
        names::check(app, &command).await?;
        Ok((order, command))
    });
    join_all(checked).await
}

type Prepared = Result<(OrderId, Command), Problem>;

/// All are sent before the first is waited for: that is what makes a batch cheap. Only an item whose key was in the batch
/// before waits for that one's answer, so that it gets the same.
async fn send_items(app: &App, caller: &Caller, items: Vec<Prepared>) -> Vec<ItemResult> {
    let mut keys = HashSet::new();
    let (mut first, mut repeated) = (Vec::new(), Vec::new());
    for (place, item) in items.into_iter().enumerate() {
        match &item {
            Ok((order, _)) if !keys.insert(*order) => repeated.push((place, item)),
            _ => first.push((place, item)),
        }
    }
    let mut results = send_wave(app, caller, first).await;
    results.extend(send_wave(app, caller, repeated).await);
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

async fn send_wave(app: &App, caller: &Caller, items: Vec<(usize, Prepared)>) -> Vec<(usize, ItemResult)> {
    let send = |item: Prepared| item.and_then(|(order, command)| send_item(app, command).map(|pending| (order, pending)));
    let sent: Vec<_> = items.into_iter().map(|(place, item)| (place, send(item))).collect();
    let results = sent.into_iter().map(async |(place, sent)| match sent {
        Ok((order, pending)) => (place, item_result(order, caller, pending.await.map_err(|_| Unanswered::Lost))),
        Err(problem) => (place, ItemResult::Refused(problem.of_an_item().by(caller.request_id.as_str()))),
    });
    join_all(results).await
}

fn item_command(app: &App, caller: &Caller, item: &BatchItemIn) -> Prepared {
    let key = caller.bind_key("reservations", &item.key);
    let key = key.ok_or_else(|| Problem::invalid(vec![FieldError::new("/key", "must be 1 to 255 visible ASCII characters")]))?;
    let (now, partitions) = match &*app.live.load() {
        Some(live) => (live.clock.now(), live.handle.router().partitions),
        None => return Err(reply::unavailable()),
    };
    let placed = check_reservation(item.owner.as_deref(), &item.lines, item.ttl_seconds, now, caller.request_id.clone());
    let order = OrderId::derive(key, partitions);
    Ok((order, Command::Place { order, placed: Box::new(placed.map_err(Problem::invalid)?) }))
}

fn send_item(app: &App, command: Command) -> Result<Pending, Problem> {
    match send(app, command) {
        Ok(pending) => Ok(pending),
        Err(why) => Err(reply::unanswered(why)),
    }
}

fn item_result(order: OrderId, caller: &Caller, outcome: reply::Outcome) -> ItemResult {
    let answer = match outcome {
        Ok(reply) => reply.outcome,
        Err(_) => return ItemResult::Unknown(order),
    };
    match answer.map(reply::order_of) {
        Err(rejection) => ItemResult::Refused(reply::rejected(&rejection).by(caller.request_id.as_str())),
        Ok(None) => ItemResult::Unknown(order),
        Ok(Some(order)) => match reply::refused_order(&order) {
            Some(problem) => ItemResult::Refused(problem),
            None => ItemResult::Reserved(Box::new(order)),
        },
    }
}

/// One reservation; of an order's id, its stock side.
#[utoipa::path(get, path = "/v1/reservations/{id}", tag = "reservations", operation_id = "get_reservation",
    params(("id" = scalars::ReservationId, Path)),
    responses((status = 200, description = "The reservation.", body = ReservationBody<'static>)))]
pub async fn get(request: HttpRequest, app: Data<App>, id: Path<String>) -> HttpResponse {
    about(&request, &app, Kind::Reservation, &id, |order| Ok(Command::GetOrder { order, kind: None })).await
}

/// Give the units back. Twice is once.
#[utoipa::path(delete, path = "/v1/reservations/{id}", tag = "reservations", operation_id = "release_reservation",
    params(("id" = scalars::ReservationId, Path)),
    responses((status = 204, description = "The units are back.")))]
pub async fn release(request: HttpRequest, app: Data<App>, id: Path<String>) -> HttpResponse {
    let released = about(&request, &app, Kind::Reservation, &id, |order| {
        Ok(Command::Cancel { order, kind: Kind::Reservation, reason: None })
    })
    .await;
    if released.status() == actix_web::http::StatusCode::OK { reply::without_body(&released) } else { released }
}

/// The units are sold. Twice is once.
#[utoipa::path(post, path = "/v1/reservations/{id}:commit", tag = "reservations", operation_id = "commit_reservation",
    request_body = ReasonIn, params(("id" = scalars::ReservationId, Path)),
    responses((status = 200, description = "The reservation, sold.", body = ReservationBody<'static>)))]
pub async fn commit(request: HttpRequest, app: Data<App>, id: Path<String>, body: Body) -> HttpResponse {
    let reason = read_reason(&request, body);
    about(&request, &app, Kind::Reservation, &id, |order| {
        Ok(Command::Confirm { order, kind: Kind::Reservation, reason: reason? })
    })
    .await
}

/// Hold longer, counted from now. Never shorter.
#[utoipa::path(post, path = "/v1/reservations/{id}:extend", tag = "reservations", operation_id = "extend_reservation",
    request_body = ExtendIn, params(("id" = scalars::ReservationId, Path)),
    responses((status = 200, description = "The reservation with its new end.", body = ReservationBody<'static>)))]
pub async fn extend(request: HttpRequest, app: Data<App>, id: Path<String>, body: Body) -> HttpResponse {
    let ttl = json_or_default::<ExtendIn>(&request, body).and_then(|ExtendIn { ttl_seconds }| {
        let mut checker = crate::dto::Checker::default();
        let ttl_ms = checker.ttl_ms(ttl_seconds);
        if checker.errors.is_empty() { Ok(ttl_ms) } else { Err(Problem::invalid(checker.errors)) }
    });
    about(&request, &app, Kind::Reservation, &id, |order| Ok(Command::Extend { order, ttl_ms: ttl? })).await
}
