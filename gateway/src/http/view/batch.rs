//! What a batch of reservations answers: a result for each item, written once.

use super::{ReservationBody, ReservationOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::wire::ids::Id;
use crate::wire::json::{Json, Value};
use crate::wire::scalars;
use holdfast_engine::event::Kind;
use holdfast_engine::ids::OrderId;
use holdfast_engine::order::Order;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

/// Results in the order of the items.
#[derive(ToSchema)]
#[schema(as = BatchResults)]
#[expect(dead_code, reason = "results are written member by member")]
pub struct BatchBody<'a> {
    results: Vec<BatchResult<'a>>,
}

/// What became of one item.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "results are written member by member")]
enum BatchResult<'a> {
    Made(BatchReservation<'a>),
    Unknown(BatchUnknown),
    Refused(Box<ProblemDocument>),
}

/// An item that is reserved. `status` is the HTTP status that it alone would have had.
#[derive(ToSchema)]
#[expect(dead_code, reason = "results are written member by member")]
struct BatchReservation<'a> {
    #[schema(schema_with = created)]
    status: u16,
    /// The status of the reservation.
    #[schema(value_type = scalars::ReservationStatus)]
    state: String,
    #[schema(value_type = scalars::ReservationId)]
    id: String,
    /// The whole of it.
    reservation: ReservationBody<'a>,
}

/// An item that may have been executed: its `status` is 202.
#[derive(ToSchema)]
#[expect(dead_code, reason = "results are written member by member")]
struct BatchUnknown {
    #[schema(schema_with = accepted)]
    status: u16,
    #[schema(value_type = scalars::ReservationId)]
    id: String,
}

fn created() -> Schema {
    scalars::status(201)
}

fn accepted() -> Schema {
    scalars::status(202)
}

/// What became of one item.
pub enum ItemResult {
    Reserved(Box<Order>),
    /// It may have been executed.
    Unknown(OrderId),
    Refused(Problem),
}

impl Value for ItemResult {
    fn write(&self, json: &mut Json) {
        match self {
            ItemResult::Reserved(order) => {
                json.member(r#"{"status":"#, &201_u32);
                json.member(r#","state":"#, order.status.name(Kind::Reservation));
                json.member(r#","id":"#, &Id::reservation(order.id));
                json.member(r#","reservation":"#, &ReservationOf(order));
                json.raw("}");
            }
            ItemResult::Unknown(order) => {
                json.member(r#"{"status":"#, &202_u32);
                json.member(r#","id":"#, &Id::reservation(*order));
                json.raw("}");
            }
            ItemResult::Refused(problem) => json.raw(&serde_json::Value::Object(problem.body()).to_string()),
        }
    }
}

struct Results<'a>(&'a [ItemResult]);

impl Value for Results<'_> {
    fn write(&self, json: &mut Json) {
        json.member(r#"{"results":"#, self.0);
        json.raw("}");
    }
}

/// The answer to a batch.
pub fn batch_json(results: &[ItemResult]) -> Vec<u8> {
    Json::of(&Results(results))
}
