//! What a batch of reservations answers: a result for each item, written once.

use super::{Id, ReservationBody, ReservationOf};
use crate::json::{Json, Value};
use crate::problem::Problem;
use holdfast_engine::event::Kind;
use holdfast_engine::ids::OrderId;
use holdfast_engine::order::Order;
use utoipa::ToSchema;

/// Results in the order of the items.
#[derive(ToSchema)]
pub struct BatchBody<'a> {
    pub results: Vec<BatchResult<'a>>,
}

/// What became of one item. A refused one has the members of a problem document, with `status`, and neither `state` nor `reservation`.
#[derive(ToSchema)]
pub struct BatchResult<'a> {
    /// The HTTP status that the item alone would have had: 201, 202 if its outcome is not known, or that of its problem.
    pub status: u16,
    /// The status of the reservation.
    pub state: Option<&'a str>,
    pub id: Option<&'a str>,
    /// The whole reservation.
    pub reservation: Option<ReservationBody<'a>>,
    /// Of a refused item.
    pub code: Option<&'a str>,
    /// Of a refused item.
    pub detail: Option<&'a str>,
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
