//! Stock: counts per location, adjustments, thresholds.

use super::ids::sku_of;
use super::movements::movements;
use super::resource::resource;
use super::sender::Sender;
use super::{execute, internal, names};
use crate::http::body::Body;
use crate::http::body::json::json;
use crate::http::caller::Caller;
use crate::http::etag::{if_match, required_if_match};
use crate::http::percent::encode_segment;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::request::{AdjustmentIn, Checker, StockIn, ThresholdIn};
use crate::http::table::IMPORTS;
use crate::http::view::{self, StockBody};
use crate::state::App;
use crate::wire::scalars;
use actix_web::guard;
use actix_web::http::Method;
use actix_web::http::header::ETAG;
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use holdfast_engine::answer::Answer;
use holdfast_engine::command::{Command, CommandKey, Terms};
use holdfast_engine::ids::Fingerprint;

pub fn configure(service: &mut ServiceConfig) {
    service
        .service(resource("/v1/inventory").on(Method::GET, super::lists::stock))
        // A SKU may have this name: whatever is no import is about the SKU.
        .service(resource(IMPORTS).guard(guard::Post()).on(Method::POST, super::imports::import))
        .service(resource("/v1/inventory/{sku}/locations/{location}").on(Method::PUT, set).on(Method::DELETE, close))
        .service(resource("/v1/inventory/{sku}/adjustments").on(Method::POST, adjust))
        .service(resource("/v1/inventory/{sku}/movements").on(Method::GET, movements))
        .service(resource("/v1/inventory/{sku}").on(Method::GET, get).on(Method::PATCH, set_threshold));
}

fn stock_response(stock: &holdfast_engine::event::StockView) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((ETAG, reply::etag(stock.version)));
    reply::json_response(response, view::stock_json(stock), false)
}

async fn about_stock(caller: &Caller, app: &App, sku: &str, command: Command) -> Result<HttpResponse, Problem> {
    names::check(app, Sender::current(), &command).await?;
    let reads = command.reads();
    match reply::known(execute(app, command).await)? {
        Some((Answer::Stock(stock), _)) => Ok(stock_response(&stock)),
        Some((Answer::LocationClosed { version }, _)) => {
            Ok(HttpResponse::NoContent().insert_header((ETAG, reply::etag(version))).finish())
        }
        Some((Answer::Stored(kept), replayed)) => Ok(reply::kept(&kept, replayed, "")),
        Some(_) if reads => Err(internal(&format!("what was read of {sku} is no stock"))),
        Some(_) | None => Ok(reply::unknown(&caller.request_id, &format!("/v1/inventory/{}", encode_segment(sku)))),
    }
}

/// Set the count of one location.
#[utoipa::path(put, path = "/v1/inventory/{sku}/locations/{location}", tag = "stock", operation_id = "set_stock", request_body = StockIn,
    params(("sku" = scalars::Sku, Path, example = "DEMO-SHIRT"), ("location" = scalars::LocationName, Path, example = "berlin"),
        ("If-Match" = String, Header, example = "*", description = "`\"<version>\"`, `\"0\"` if the location does not exist yet, or `*`")),
    responses((status = 200, description = "The SKU with its new count.", body = StockBody<'static>)))]
pub async fn set(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (sku, location) = path.into_inner();
    let command = set_command(&request, &caller, (&sku, &location), body)?;
    about_stock(&caller, &app, &sku, command).await
}

fn set_command(request: &HttpRequest, caller: &Caller, (sku, location): (&str, &str), body: Body) -> Result<Command, Problem> {
    let expected = required_if_match(request.headers())?;
    let wanted: StockIn = json(request, body)?;
    let sku = sku_of(sku)?;
    let mut checker = Checker::default();
    let location = checker.location(location, String::new);
    let on_hand = checker.units(wanted.on_hand, "/on_hand");
    let safety_stock = wanted.safety_stock.and_then(|units| checker.units(units, "/safety_stock"));
    match (location, on_hand) {
        (Some(location), Some(on_hand)) if checker.errors.is_empty() => {
            let priority = wanted.priority;
            // Neither name has a space in it.
            let route = format!("count {sku} {location}");
            let key = caller.optional_key(request, &route, Fingerprint::of(&(on_hand, safety_stock, priority)))?;
            let command = Command::SetStock { sku, location, on_hand, safety_stock, priority, expected };
            Ok(command.under(Terms { versions: None, key }))
        }
        _ => Err(Problem::invalid(checker.errors)),
    }
}

/// Close a location that counts nothing, for example one whose name was mistyped. Its safety stock and priority go with it.
///
/// The version is that of the SKU, which goes on: opened again (`If-Match: "0"`) the location is a new one. A retry after a lost
/// answer gets 404: the location is closed.
#[utoipa::path(delete, path = "/v1/inventory/{sku}/locations/{location}", tag = "stock", operation_id = "close_location",
    params(("sku" = scalars::Sku, Path, example = "DEMO-SHIRT"), ("location" = scalars::LocationName, Path, example = "berlni"),
        ("If-Match" = String, Header, example = "*", description = "`\"<version>\"`, or `*`")),
    responses((status = 204, description = "It is closed.")))]
pub async fn close(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (sku, location) = path.into_inner();
    let expected = required_if_match(request.headers())?;
    let mut checker = Checker::default();
    let location = checker.location(&location, String::new).ok_or_else(|| Problem::invalid(checker.errors))?;
    let command = Command::CloseLocation { sku: sku_of(&sku)?, location, expected };
    about_stock(&caller, &app, &sku, command).await
}

/// Add or take away units of a bucket, with a reason.
#[utoipa::path(post, path = "/v1/inventory/{sku}/adjustments", tag = "stock", operation_id = "adjust_stock", request_body = AdjustmentIn,
    params(("sku" = scalars::Sku, Path, example = "DEMO-SHIRT"),
        ("Idempotency-Key" = scalars::IdempotencyKey, Header, description = "New for each adjustment, the same for each retry.")),
    responses((status = 201, description = "The SKU as it is now.", body = StockBody<'static>)))]
pub async fn adjust(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    sku: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let command = adjust_command(&request, &caller, &sku, body)?;
    about_stock(&caller, &app, &sku, command).await
}

fn adjust_command(request: &HttpRequest, caller: &Caller, sku: &str, body: Body) -> Result<Command, Problem> {
    let wanted: AdjustmentIn = json(request, body)?;
    let sku = sku_of(sku)?;
    let hash = caller.key(request, &format!("inventory/{sku}/adjustments"))?;
    let mut checker = Checker::default();
    let location = checker.location(&wanted.location, || "/location".to_owned());
    let reason = checker.label(&wanted.reason, || "/reason".to_owned());
    let reference = checker.some_label(wanted.reference.as_deref(), || "/reference".to_owned());
    checker.delta(wanted.delta, "/delta");
    let (Some(location), Some(reason), true) = (location, reason, checker.errors.is_empty()) else {
        return Err(Problem::invalid(checker.errors));
    };
    let bucket = wanted.bucket.into();
    let fingerprint = Fingerprint::of(&(&location, bucket, wanted.delta, &reason, &reference));
    let key = CommandKey { hash, fingerprint, request_id: caller.request_id.clone() };
    let command = Command::AdjustStock { sku, location, bucket, delta: wanted.delta, reason, reference, key };
    Ok(command.under(Terms { versions: if_match(request.headers())?, key: None }))
}

/// One SKU with its locations.
#[utoipa::path(get, path = "/v1/inventory/{sku}", tag = "stock", operation_id = "get_stock",
    params(("sku" = scalars::Sku, Path, example = "DEMO-SHIRT")),
    responses((status = 200, description = "The SKU.", body = StockBody<'static>)))]
pub async fn get(app: Data<App>, caller: Caller, sku: Path<String>) -> Result<HttpResponse, Problem> {
    about_stock(&caller, &app, &sku, Command::GetStock { sku: sku_of(&sku)? }).await
}

/// When stock counts as low.
#[utoipa::path(patch, path = "/v1/inventory/{sku}", tag = "stock", operation_id = "set_stock_threshold", request_body = ThresholdIn,
    params(("sku" = scalars::Sku, Path, example = "DEMO-SHIRT")),
    responses((status = 200, description = "The SKU with its new threshold.", body = StockBody<'static>)))]
pub async fn set_threshold(
    request: HttpRequest,
    app: Data<App>,
    caller: Caller,
    sku: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let command = threshold_command(&request, &caller, &sku, body)?;
    about_stock(&caller, &app, &sku, command).await
}

fn threshold_command(request: &HttpRequest, caller: &Caller, sku: &str, body: Body) -> Result<Command, Problem> {
    let ThresholdIn { low_stock_threshold } = json(request, body)?;
    let mut checker = Checker::default();
    let threshold = checker.units(low_stock_threshold, "/low_stock_threshold");
    let threshold = threshold.ok_or_else(|| Problem::invalid(checker.errors))?;
    let sku = sku_of(sku)?;
    let key = caller.optional_key(request, &format!("threshold {sku}"), Fingerprint::of(&threshold))?;
    let versions = if_match(request.headers())?;
    Ok(Command::SetThreshold { sku, threshold }.under(Terms { versions, key }))
}
