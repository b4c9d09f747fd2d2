//! From what the engine answered to an HTTP response: the one table of rejections, and the rule for unknown outcomes.
//!
//! Invariant: a mutation that may have happened is never answered as failed: it gets 202 and where to look.

use crate::http::problem::{Code, FieldError, Problem};
use crate::http::view;
use crate::state::App;
use crate::wire::figures::grouped;
use crate::wire::ids::{Attempt, Id};
use crate::wire::json::to_json;
use crate::wire::names::allowed;
use crate::wire::scalars;
use actix_web::http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use holdfast_actors::Unanswered;
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::event::{Buckets, HoldLimit, Kind, Shortage, StoredResponse};
use holdfast_engine::ids::RequestId;
use holdfast_engine::limits;
use holdfast_engine::order::{Order, Status};
use holdfast_engine::rejection::Rejection;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

pub type Outcome = Result<Reply, Unanswered>;

/// An answer, and whether it was given before. `None`: nobody knows yet what became of the command.
///
/// # Errors
/// The problem with a command that was refused, or not taken.
pub fn known(outcome: Outcome) -> Result<Option<(Answer, bool)>, Problem> {
    match outcome {
        Ok(Reply { outcome: Ok(answer), replayed, .. }) => Ok(Some((answer, replayed))),
        Ok(Reply { outcome: Err(rejection), .. }) => Err(rejected(&rejection)),
        Err(Unanswered::Lost) => Ok(None),
        Err(why) => Err(unanswered(why)),
    }
}

/// 202: it may have happened. A retry with the same key tells, and who looks at `location` sees it.
pub fn unknown(request_id: &RequestId, location: &str) -> HttpResponse {
    let body = OutcomeUnknown {
        status: "unknown",
        detail: "the outcome is not known yet: look at `location`, or send the same request with the same key again",
        location,
        request_id: request_id.as_str(),
    };
    HttpResponse::Accepted().insert_header((LOCATION, location)).insert_header((RETRY_AFTER, "1")).json(body)
}

/// The request may have been executed. Whoever asks again will know.
#[derive(Serialize, ToSchema)]
pub struct OutcomeUnknown<'a> {
    #[schema(schema_with = outcome_unknown)]
    status: &'static str,
    detail: &'static str,
    /// Where to look.
    location: &'a str,
    #[schema(value_type = scalars::RequestId)]
    request_id: &'a str,
}

fn outcome_unknown() -> Schema {
    scalars::words(["unknown"]).into()
}

/// A payment that was started.
#[derive(Serialize, ToSchema)]
pub struct PaymentStarted<'a> {
    #[schema(value_type = scalars::AttemptId)]
    attempt_id: String,
    /// Where the buyer pays; null if there is nothing to do any more.
    #[schema(value_type = Option<scalars::Link>, required = true)]
    redirect_url: Option<&'a str>,
    #[schema(schema_with = started_status)]
    status: &'static str,
}

fn started_status() -> Schema {
    scalars::words(["pending", "captured"]).into()
}

/// What to say of a command that the engine did not take.
pub fn unanswered(why: Unanswered) -> Problem {
    match why {
        Unanswered::Overloaded => Problem::new(Code::Overloaded, "too many requests are in hand"),
        Unanswered::ShareTaken => {
            let detail = "this client has all the requests in hand that one client may have; others are served";
            Problem::new(Code::Overloaded, detail)
        }
        Unanswered::Unavailable => unavailable(),
        Unanswered::Lost => lost(),
        Unanswered::Unreadable => {
            Problem::new(Code::Internal, "a row of the tables that this needs cannot be read; nothing was executed")
        }
        Unanswered::Poisoned => {
            let detail = "this request stopped the engine twice and is refused until the server is started again; nothing was executed this time";
            Problem::new(Code::Internal, detail)
        }
    }
}

const NOT_TAKEN: &str = "the journal does not take writes now; nothing was executed";

/// Says why there is no engine, as `/readyz` does, where that is why a request was not executed. What may have been executed is told as it is.
pub fn explained(problem: Problem, request: &HttpRequest) -> Problem {
    let down = || {
        let app = request.app_data::<Data<App>>()?;
        let reason = app.down.load_full().filter(|_| app.live.load().is_none())?;
        Some(Problem { detail: format!("{reason}; nothing was executed"), ..problem.clone() })
    };
    if problem.detail == NOT_TAKEN { down().unwrap_or(problem) } else { problem }
}

pub fn unavailable() -> Problem {
    Problem::new(Code::DurabilityUnavailable, NOT_TAKEN)
}

/// Of what may have been executed, and may be asked for again.
pub fn lost() -> Problem {
    Problem::new(Code::DurabilityUnavailable, "nobody knows whether this was executed: look, or ask for it again")
}

/// A response with a JSON body.
pub fn json_response(mut response: HttpResponseBuilder, body: Vec<u8>, replayed: bool) -> HttpResponse {
    response.insert_header((CONTENT_TYPE, APPLICATION_JSON));
    if replayed {
        response.insert_header((IDEMPOTENT_REPLAYED, "true"));
    }
    response.body(body)
}

/// The `ETag` of a version.
pub fn etag(version: impl ToString) -> String {
    ["\"", &version.to_string(), "\""].concat()
}

/// The table of rejections.
pub fn rejected(rejection: &Rejection) -> Problem {
    match rejection {
        Rejection::NotFound => Problem::new(Code::NotFound, "there is nothing under this id"),
        Rejection::UnknownSku(sku) => Problem::new(Code::UnknownSku, format!("nobody ever stocked {sku}")),
        Rejection::Short(shortage) => short(std::slice::from_ref(shortage)),
        Rejection::KeyReused => Problem::new(Code::IdempotencyKeyReused, "this key belongs to a request with another body"),
        Rejection::KeyInProgress => {
            Problem::new(Code::IdempotencyInProgress, "the first request with this key is not answered yet")
        }
        Rejection::InvalidTransition { kind, status } => invalid_transition(status.name(*kind), allowed(*status, *kind)),
        Rejection::ReservationExpired => expired(),
        Rejection::VersionMismatch { current } => {
            let problem = Problem::new(Code::PreconditionFailed, format!("the version is {current} now"));
            problem.with("current_version", *current)
        }
        Rejection::BelowTaken { taken, count } => below_taken(*taken, *count),
        Rejection::LocationInUse { buckets } => in_use(buckets),
        Rejection::TooMany => {
            let (units, locations) = (grouped(limits::MAX_BUCKET.into()), limits::MAX_LOCATIONS);
            let detail = format!(
                "a bucket or the list of locations is at its limit: bucket_units is {units}, locations_per_sku is {locations}"
            );
            Problem::new(Code::LimitReached, detail)
        }
        Rejection::HoldTooLong { max_ms } => hold_too_long(max_ms / 1000),
        Rejection::HoldLimit(limit) => hold_limit(*limit),
    }
}

/// A hold that is to last longer than the operator allows now.
pub fn hold_too_long(longest: u64) -> Problem {
    Problem::invalid(vec![FieldError::new("/ttl_seconds", format!("must be 1 to {longest}"))])
}

fn hold_limit(limit: HoldLimit) -> Problem {
    match limit {
        HoldLimit::Life { max_ms } => {
            let detail = format!(
                "the hold would end later than {} s after it was placed, which is hold_life_seconds",
                grouped(max_ms / 1000)
            );
            Problem::over(Code::LimitReached, "hold_life_seconds", detail)
        }
        HoldLimit::Extensions { max } => {
            let detail = format!("the hold was extended {} times, which is hold_extensions", grouped(max.into()));
            Problem::over(Code::LimitReached, "hold_extensions", detail)
        }
    }
}

fn below_taken(taken: u64, count: i64) -> Problem {
    let problem = Problem::new(Code::CountBelowTaken, format!("{taken} are taken, the count says {count}"));
    problem.with("taken", taken).with("count", count)
}

fn in_use(buckets: &Buckets) -> Problem {
    let Buckets { on_hand, held, pinned, committed, damaged, quality_control, safety_target: _ } = buckets;
    let all = [("on_hand", on_hand), ("held", held), ("pinned", pinned), ("committed", committed)].into_iter();
    let all = all.chain([("damaged", damaged), ("quality_control", quality_control)]);
    let counts: Vec<(&str, u32)> = all.map(|(name, units)| (name, units.units())).filter(|(_, units)| *units > 0).collect();
    let shown: Vec<String> = counts.iter().map(|(name, units)| format!("{units} {name}")).collect();
    let problem = Problem::new(Code::LocationInUse, format!("the location counts {}", shown.join(", ")));
    problem.with("counts", counts.into_iter().map(|(name, units)| (name.to_owned(), units.into())).collect::<Map<_, _>>())
}

fn invalid_transition(state: &str, allowed: &[&str]) -> Problem {
    let problem = Problem::new(Code::InvalidTransition, format!("it is {state}"));
    problem.with("state", state).with("allowed", allowed.to_vec())
}

fn expired() -> Problem {
    Problem::new(Code::ReservationExpired, "the hold has expired; its units are back in stock")
}

/// The problem an order that came to nothing stands for, with the id it is kept under.
pub fn refused_order(order: &Order) -> Option<Problem> {
    let kind = order.kind();
    let problem = match order.status {
        Status::Rejected if order.too_many_locations() => scattered(&order.shortages()),
        Status::Rejected => short(&order.shortages()),
        Status::Expired => expired(),
        Status::Cancelled => invalid_transition(order.status.name(kind), allowed(order.status, kind)),
        Status::Reserving | Status::AwaitingPayment | Status::PaymentInFlight | Status::PaymentUnknown => return None,
        Status::Confirmed | Status::LatePayment | Status::Refunded => return None,
    };
    let (name, id) = match kind {
        Kind::Order => ("order_id", Id::order(order.id)),
        Kind::Reservation => ("reservation_id", Id::reservation(order.id)),
    };
    Some(problem.with(name, id.as_str()).by(order.placed().request_id))
}

pub(crate) fn short(shortages: &[Shortage]) -> Problem {
    let unknown: Vec<&str> = shortages.iter().filter(|s| s.available.is_none()).map(|s| s.sku.as_str()).collect();
    let lines: Vec<Value> = shortages.iter().map(shortage_json).collect();
    let problem = match unknown.as_slice() {
        [] => Problem::new(Code::OutOfStock, "not enough units are available"),
        skus => Problem::new(Code::UnknownSku, format!("nobody ever stocked {}", skus.join(", "))),
    };
    problem.with("lines", lines)
}

/// Units enough, in more locations than an order of so many SKUs may take from.
pub(crate) fn scattered(shortages: &[Shortage]) -> Problem {
    let detail = format!(
        "the units are in too many locations: allocations_per_order is {}, and each SKU of an order has an equal share of them",
        grouped(limits::MAX_ALLOCATIONS as u64)
    );
    let lines: Vec<Value> = shortages.iter().map(shortage_json).collect();
    Problem::over(Code::TooManyLocations, "allocations_per_order", detail).with("lines", lines)
}

fn shortage_json(shortage: &Shortage) -> Value {
    json!({
        "line": shortage.line,
        "sku": shortage.sku.as_str(),
        "requested": shortage.requested.units(),
        "available": shortage.available.unwrap_or(0),
    })
}

/// An answer to a POST that placed an order or reservation, which is at `location` then.
///
/// # Errors
/// The problem with one that was not taken.
pub fn placed(request_id: &RequestId, location: &str, outcome: Outcome) -> Result<HttpResponse, Problem> {
    let known = known(outcome)?.and_then(|(answer, replayed)| Some((order_of(answer)?, replayed)));
    let Some((order, replayed)) = known else { return Ok(unknown(request_id, location)) };
    if let Some(problem) = refused_order(&order) {
        let mut response = problem.response();
        if replayed {
            let headers = response.headers_mut();
            headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        return Ok(response);
    }
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, location));
    response.insert_header((ETAG, etag(order.version())));
    let body = match order.kind() {
        Kind::Order => view::order_json(&order),
        Kind::Reservation => view::reservation_json(&order),
    };
    Ok(json_response(response, body, replayed))
}

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The order of an answer.
pub fn order_of(answer: Answer) -> Option<Order> {
    match answer {
        Answer::Order { id, history } => Some(Order::of(id, history)),
        Answer::Stock(_) | Answer::Stored(_) | Answer::Availability(_) | Answer::Recorded => None,
        Answer::Orders(_) | Answer::StockList(_) | Answer::LocationClosed { .. } | Answer::Changes(_) => None,
    }
}

/// 200 with an order or reservation and its ETag.
pub fn order_response(order: &Order, kind: Kind, replayed: bool) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((ETAG, etag(order.version())));
    let body = match kind {
        Kind::Order => view::order_json(order),
        Kind::Reservation => view::reservation_json(order),
    };
    json_response(response, body, replayed)
}

/// 204 for a resource that is no more, instead of the resource.
pub fn without_body(response: &HttpResponse) -> HttpResponse {
    let mut gone = HttpResponse::NoContent().finish();
    let replayed = response.headers().get(IDEMPOTENT_REPLAYED).cloned();
    replayed.into_iter().for_each(|replayed| drop(gone.headers_mut().insert(IDEMPOTENT_REPLAYED, replayed)));
    gone
}

/// An answer that was kept under a key, the same bytes each time it is asked for.
pub fn kept(kept: &StoredResponse, replayed: bool, base_url: &str) -> HttpResponse {
    match kept {
        StoredResponse::Adjusted(stock) => {
            let mut response = HttpResponse::Created();
            response.insert_header((ETAG, etag(stock.version)));
            json_response(response, view::stock_json(stock), replayed)
        }
        StoredResponse::Payment { attempt, redirect_url } => {
            let mut response = HttpResponse::Created();
            response.insert_header((LOCATION, format!("{base_url}/v1/orders/{}", Id::order(attempt.order))));
            let status = if redirect_url.is_some() { "pending" } else { "captured" };
            let redirect_url = redirect_url.as_ref().map(|url| url.as_str());
            let body = PaymentStarted { attempt_id: Attempt(*attempt).to_string(), status, redirect_url };
            json_response(response, to_json(&body), replayed)
        }
        StoredResponse::AdjustmentRefused { request_id, rejection } | StoredResponse::Refused { request_id, rejection } => {
            replay_problem(rejected(rejection), request_id.as_str(), replayed)
        }
        StoredResponse::PaymentRefused { request_id, state } => {
            let problem = if state == "expired" { expired() } else { past(state) };
            replay_problem(problem, request_id.as_str(), replayed)
        }
        StoredResponse::Set(stock) => {
            let mut response = HttpResponse::Ok();
            response.insert_header((ETAG, etag(stock.version)));
            json_response(response, view::stock_json(stock), replayed)
        }
        StoredResponse::Moved { order, .. } => unreachable!("the answer about {order} is made of its facts"),
    }
}

/// What a state of an order that was refused a payment stands for, by its name.
fn past(state: &str) -> Problem {
    let allowed = Status::named(Kind::Order, state).map_or(&[][..], |status| allowed(status, Kind::Order));
    invalid_transition(state, allowed)
}

fn replay_problem(problem: Problem, request_id: &str, replayed: bool) -> HttpResponse {
    let mut response = problem.by(request_id).response();
    if replayed {
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, yes);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{Moment, ReservationLineIn, check_reservation};
    use crate::settings::Settings;
    use actix_web::test::TestRequest;
    use holdfast_engine::event::{History, OrderFact, OrderRecord};
    use holdfast_engine::ids::{OrderId, RequestId};
    use holdfast_engine::time::Timestamp;
    use std::sync::Arc;

    #[actix_web::test]
    async fn where_there_is_no_engine_the_answer_says_why() {
        let app = App::without_engine(Settings::default());
        app.down.store(Some(Arc::new("recovering: 3 of 9".to_owned())));
        let request = TestRequest::default().app_data(Data::new(app)).to_http_request();
        let detail = |problem| explained(problem, &request).detail;
        assert_eq!(detail(unavailable()), "recovering: 3 of 9; nothing was executed");
        assert_eq!(detail(Problem::new(Code::NotFound, "no such order")), "no such order");
        for of_a_lost_one in [lost(), unanswered(Unanswered::Lost)] {
            assert_eq!(detail(of_a_lost_one), "nobody knows whether this was executed: look, or ask for it again");
        }
    }

    fn code_after(fact: OrderFact) -> Option<Code> {
        let line = ReservationLineIn { sku: "MUG".to_owned(), quantity: 1 };
        let moment = Moment { now: Timestamp::new(1), ttl_ms: 900_000 };
        let placed = check_reservation(None, &[line], None, moment, RequestId::new("req_1").unwrap()).unwrap();
        let record = |seq, fact: OrderFact| OrderRecord { seq, at: Timestamp::new(seq), fact: fact.into() };
        let history = History::new(&[record(1, OrderFact::Placed(placed.into())), record(2, fact)]).unwrap();
        refused_order(&Order::of(OrderId::from_bytes([0; 16]), history)).map(|problem| problem.code)
    }

    /// Over HTTP both are races: the first answer has to be later than the end.
    #[test]
    fn what_was_given_up_or_expired_before_its_first_answer_is_refused_as_that() {
        assert_eq!(code_after(OrderFact::Cancelled { reason: None }), Some(Code::InvalidTransition));
        assert_eq!(code_after(OrderFact::Expired), Some(Code::ReservationExpired));
        assert_eq!(code_after(OrderFact::Held { holds: Vec::new() }), None);
    }
}
