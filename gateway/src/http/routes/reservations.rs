//! Reservations: the stock side alone, without payment.

use super::orders::{Asked, about, read_reason};
use super::resource::resource;
use super::sender::Sender;
use super::{Placing, accepting, batch, execute, names};
use crate::http::body::Body;
use crate::http::body::json::{json, json_or_default};
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::request::{ExtendIn, ReasonIn, ReservationIn, check_reservation};
use crate::http::view::ReservationBody;
use crate::state::App;
use crate::wire::ids::Id;
use crate::wire::scalars;
use actix_web::http::Method;
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use holdfast_engine::command::Command;
use holdfast_engine::event::{Kind, Origin, Placed};
use holdfast_engine::ids::OrderId;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/v1/reservations").on(Method::POST, place))
        .service(resource("/v1/reservations:batch").on(Method::POST, batch::batch))
        .service(resource("/v1/reservations/{id}:commit").on(Method::POST, commit))
        .service(resource("/v1/reservations/{id}:extend").on(Method::POST, extend))
        .service(resource("/v1/reservations/{id}").on(Method::GET, get).on(Method::DELETE, release));
}

/// Hold units without an order.
#[utoipa::path(post, path = "/v1/reservations", tag = "reservations", operation_id = "place_reservation", request_body = ReservationIn,
    params(("Idempotency-Key" = scalars::IdempotencyKey, Header, description = "New for each reservation, the same for each retry.")),
    responses((status = 201, description = "The reservation, its units held.", body = ReservationBody<'static>)))]
pub async fn place(request: HttpRequest, app: Data<App>, caller: Caller, body: Body) -> Result<HttpResponse, Problem> {
    let (order, command, refusal) = place_command(&request, &app, &caller, body)?;
    accepting::unless_placed(&app, Sender::current(), order, refusal).await?;
    names::check(&app, Sender::current(), &command).await?;
    let location = format!("/v1/reservations/{}", Id::reservation(order));
    reply::placed(&caller.request_id, &location, execute(&app, command).await)
}

/// A reservation, and why it is not taken unless it was placed before.
type Wanted = (OrderId, Command, Option<Box<Problem>>);

fn place_command(request: &HttpRequest, app: &App, caller: &Caller, body: Body) -> Result<Wanted, Problem> {
    let wanted: ReservationIn = json(request, body)?;
    let key = caller.key(request, "reservations")?;
    let Placing { moment, partitions, refusal } = Placing::now(app, wanted.ttl_seconds)?;
    let request_id = caller.request_id.clone();
    let placed = check_reservation(wanted.owner.as_deref(), &wanted.lines, wanted.ttl_seconds, moment, request_id);
    let (order, origin) = (OrderId::derive(key, partitions), Origin::of(caller.client.clone(), None));
    let placed = Box::new(Placed { origin, ..placed.map_err(Problem::invalid)? });
    Ok((order, Command::Place { order, placed }, refusal))
}

/// One reservation; of an order's id, its stock side.
#[utoipa::path(get, path = "/v1/reservations/{id}", tag = "reservations", operation_id = "get_reservation",
    params(("id" = scalars::ReservationId, Path)),
    responses((status = 200, description = "The reservation.", body = ReservationBody<'static>)))]
pub async fn get(request: HttpRequest, app: Data<App>, caller: Caller, id: Path<String>) -> Result<HttpResponse, Problem> {
    about((&request, &caller), &app, Kind::Reservation, &id, |order| Ok(Command::GetOrder { order, kind: None })).await
}

/// Give the units back. Twice is once.
#[utoipa::path(delete, path = "/v1/reservations/{id}", tag = "reservations", operation_id = "release_reservation",
    params(("id" = scalars::ReservationId, Path)),
    responses((status = 204, description = "The units are back.")))]
pub async fn release(request: HttpRequest, app: Data<App>, caller: Caller, id: Path<String>) -> Result<HttpResponse, Problem> {
    let released = about((&request, &caller), &app, Kind::Reservation, &id, |order| {
        Ok(Command::Cancel { order, kind: Kind::Reservation, reason: None })
    })
    .await?;
    Ok(if released.status() == actix_web::http::StatusCode::OK { reply::without_body(&released) } else { released })
}

/// The units are sold. Twice is once.
#[utoipa::path(post, path = "/v1/reservations/{id}:commit", tag = "reservations", operation_id = "commit_reservation",
    request_body = ReasonIn, params(("id" = scalars::ReservationId, Path)),
    responses((status = 200, description = "The reservation, sold.", body = ReservationBody<'static>)))]
pub async fn commit(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let reason = read_reason(&request, body);
    about((&request, &caller), &app, Kind::Reservation, &id, |order| {
        Ok(Command::Confirm { order, kind: Kind::Reservation, reason: reason? })
    })
    .await
}

/// Hold longer, counted from now: `hold_seconds` at most. Never shorter, and only to `hold_life_seconds` after it was placed and `hold_extensions` times
/// (GET /v1/limits).
#[utoipa::path(post, path = "/v1/reservations/{id}:extend", tag = "reservations", operation_id = "extend_reservation",
    request_body = ExtendIn, params(("id" = scalars::ReservationId, Path)),
    responses((status = 200, description = "The reservation with its new end.", body = ReservationBody<'static>)))]
pub async fn extend(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let ttl = json_or_default::<ExtendIn>(&request, body).and_then(|ExtendIn { ttl_seconds }| {
        let mut checker = crate::http::request::Checker::default();
        let ttl_ms = checker.ttl_ms(ttl_seconds);
        let effective = if ttl_seconds.is_some() { ttl_ms } else { app.tuned.load().orders.ttl_seconds.saturating_mul(1000) };
        if checker.errors.is_empty() { Ok((effective, ttl_ms)) } else { Err(Problem::invalid(checker.errors)) }
    });
    about((&request, &caller), &app, Kind::Reservation, &id, |order| {
        ttl.map(|(ttl_ms, said_ms)| Asked::extension(order, ttl_ms, said_ms))
    })
    .await
}
