//! Movements over HTTP: what moved the stock of a SKU, in pages after a cursor.
//!
//! Invariant: a cursor that is not of this history is refused, never taken for "nothing new".

use super::ids::sku_of;
use super::{execute, internal, live, page_limit, refused, unread};
use crate::events::cursor::{Cursors, Refused, check_value, named};
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::request::BucketIn;
use crate::state::App;
use crate::wire::ids::Id;
use crate::wire::json::to_json;
use crate::wire::names;
use crate::wire::scalars;
use crate::wire::times::Rfc3339;
use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path};
use holdfast_engine::command::Command;
use holdfast_engine::ids::Sku;
use holdfast_storage::rows::{self, Movement, MovementKind};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use utoipa::openapi::Schema;
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The `next` of the page before; nothing for the beginning.
    #[serde(default)]
    #[param(value_type = Option<scalars::Cursor>)]
    after: String,
    #[param(value_type = Option<scalars::PageLimit>)]
    limit: Option<usize>,
}

/// A page of movements.
#[derive(Serialize, ToSchema)]
struct Movements {
    items: Vec<MovementBody>,
    #[schema(value_type = scalars::Cursor)]
    next: String,
}

/// What moved the stock of a SKU.
#[derive(Serialize, ToSchema)]
#[schema(as = Movement)]
struct MovementBody {
    /// Counts the movements of the SKU from 1.
    seq: u64,
    #[schema(schema_with = movement_kinds)]
    kind: &'static str,
    /// Null where it is of no location.
    #[schema(value_type = Option<scalars::LocationName>, required = true)]
    location: Option<String>,
    quantity: i64,
    #[schema(value_type = scalars::Time)]
    at: Rfc3339,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BucketIn>, nullable = false)]
    bucket: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<scalars::OrderId>, nullable = false)]
    order_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<scalars::Label>, nullable = false)]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<scalars::Label>, nullable = false)]
    reference: Option<String>,
}

fn movement_kinds() -> Schema {
    use MovementKind::{Adjusted, Committed, Expired, Held, LocationClosed, Pinned, Released, Set, ThresholdSet, Unpinned};
    let kinds = [Set, Adjusted, ThresholdSet, Held, Pinned, Unpinned, Committed, Released, Expired, LocationClosed];
    scalars::words(kinds.map(kind_name)).into()
}

/// The movement that a reader has read up to. In text `<journal>~<number>-<check>`, or a number alone: so they were given out
/// before they had names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cursor {
    journal: Option<String>,
    number: u64,
    check: Option<u32>,
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (journal, rest) = named(text).ok_or(())?;
        let (number, check) = match (journal, rest.split_once('-')) {
            (Some(_), Some((number, check))) => (number, Some(check_value(check).ok_or(())?)),
            (None, None) => (rest, None),
            (Some(_), None) | (None, Some(_)) => return Err(()),
        };
        Ok(Self { journal: journal.map(str::to_owned), number: number.parse().map_err(drop)?, check })
    }
}

/// What moved the stock of a SKU, numbered from 1.
#[utoipa::path(get, path = "/v1/inventory/{sku}/movements", tag = "stock", operation_id = "list_movements",
    params(("sku" = scalars::Sku, Path, example = "DEMO-SHIRT"), Page),
    responses((status = 200, description = "A page, oldest first.", body = Movements)))]
pub async fn movements(app: Data<App>, sku: Path<String>, page: Parameters<Page>) -> Result<HttpResponse, Problem> {
    let Parameters(page) = page;
    let none = |()| Problem::parameter("after", "is no cursor of this server");
    let after: Cursor = page.after.parse().map_err(none)?;
    let limit = page_limit(page.limit)?;
    let sku = sku_of(&sku)?;
    let stock = execute(&app, Command::GetStock { sku: sku.clone() }).await;
    match stock {
        Ok(reply) => drop(reply.outcome.map_err(|rejection| reply::rejected(&rejection))?),
        Err(why) => return Err(reply::unanswered(why)),
    }
    let live = live(&app)?;
    // What was moved before this request is in the answer: the projection catches up first.
    let (done, flushed) = tokio::sync::oneshot::channel();
    live.projector.flush(Box::new(move |flushed| drop(done.send(flushed))));
    flushed.await.map_err(|_| reply::unavailable())?.map_err(|error| unread(&error))?;
    let read = move || read_after(&live, &sku, &after, limit);
    let (next, found) = web::block(read).await.map_err(|error| internal(&error))?.map_err(|why| refused(&why))?;
    let page = Movements { items: found.iter().map(movement_body).collect(), next };
    Ok(reply::json_response(HttpResponse::Ok(), to_json(&page), false))
}

/// The cursor behind the page, and the page. Reads the movement that `after` stands on with it, to compare them.
fn read_after(live: &crate::state::Live, sku: &Sku, after: &Cursor, limit: usize) -> Result<(String, Vec<Movement>), Refused> {
    live.cursors.same_journal(after.journal.as_deref())?;
    let again = usize::from(after.number > 0);
    let mut found = rows::movements(&*live.journal, sku, after.number.saturating_sub(1), limit + again)?;
    let next = found.last().map_or_else(|| "0".to_owned(), |last| cursor_behind(&live.cursors, last));
    if again > 0 {
        compare(after, found.first())?;
        found.remove(0);
    }
    Ok((next, found))
}

fn cursor_behind(cursors: &Cursors, movement: &Movement) -> String {
    format!("{}~{}-{:08x}", cursors.journal(), movement.seq, movement.check())
}

fn compare(after: &Cursor, stands_on: Option<&Movement>) -> Result<(), Refused> {
    let Some(movement) = stands_on.filter(|movement| movement.seq == after.number) else {
        return Err(Refused::NotOfThisHistory("the cursor has read more movements than there are"));
    };
    if after.check.is_some_and(|check| check != movement.check()) {
        return Err(Refused::NotOfThisHistory("the cursor has read another movement than what is there"));
    }
    Ok(())
}

fn kind_name(kind: MovementKind) -> &'static str {
    match kind {
        MovementKind::Set => "set",
        MovementKind::Adjusted => "adjusted",
        MovementKind::ThresholdSet => "threshold_set",
        MovementKind::Held => "held",
        MovementKind::Pinned => "pinned",
        MovementKind::Unpinned => "unpinned",
        MovementKind::Committed => "committed",
        MovementKind::Released => "released",
        MovementKind::Expired => "expired",
        MovementKind::LocationClosed => "location_closed",
    }
}

fn movement_body(movement: &Movement) -> MovementBody {
    MovementBody {
        seq: movement.seq,
        kind: kind_name(movement.kind),
        location: movement.location.as_ref().map(ToString::to_string),
        quantity: movement.quantity,
        at: Rfc3339(movement.at),
        bucket: movement.bucket.map(names::bucket),
        order_id: movement.order.map(|order| Id::order(order).to_string()),
        reason: movement.reason.as_ref().map(ToString::to_string),
        reference: movement.reference.as_ref().map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_movements_is_a_name_a_number_and_a_check_value_or_a_number_alone() {
        let read = |text: &str| text.parse::<Cursor>();
        let named = Cursor { journal: Some("0123456789abcdef".to_owned()), number: 5, check: Some(0xAB) };
        assert_eq!(read("0123456789abcdef~5-000000ab"), Ok(named));
        assert_eq!(read("5"), Ok(Cursor { number: 5, ..Cursor::default() }));
        assert_eq!((read(""), read("0")), (Ok(Cursor::default()), Ok(Cursor::default())));
        for wrong in
            ["x", "-1", "5-000000ab", "0123456789abcdef~5", "0123456789abcdef~-000000ab", "0123~5-000000ab", "~5-000000ab"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
