//! Events as the outside sees them: CloudEvents 1.0, read after a cursor, items of a timeline.
//!
//! Invariant: every record of the journal is an event, in the dense sequence of its partition: nothing missing, nothing twice.

pub mod cursor;
pub mod page;
pub mod reading;
#[cfg(test)]
mod tests;

use crate::openapi::scalars;
use crate::view::{Id, Rfc3339};
pub use cursor::Cursor;
use holdfast_engine::event::{
    Allocation, ArchiveFact, Event, KeyFact, Kind, Level, OrderFact, OrderRecord, PartitionFact, Record, RefundReason,
    ReleaseCause, Shortage, SkuHold, StockFact,
};
use holdfast_engine::ids::{OrderId, PartitionId, Seq};
pub use page::Page;
pub use reading::{Published, read};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// Begins every type of an event.
pub const TYPE_PREFIX: &str = "holdfast.";

/// An event in the structured JSON form of CloudEvents 1.0, wherever it is sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CloudEvent {
    #[schema(schema_with = spec_version)]
    specversion: &'static str,
    /// The same in every copy of the event.
    pub id: String,
    source: &'static str,
    #[serde(rename = "type")]
    #[schema(schema_with = event_type)]
    pub event_type: String,
    /// Order id or SKU.
    pub subject: String,
    #[schema(value_type = scalars::Time)]
    time: Rfc3339,
    datacontenttype: &'static str,
    partition: u16,
    /// Counts the events of the partition without a gap.
    #[schema(value_type = u64)]
    sequence: Seq,
    /// By type: one JSON Schema each in docs/events.
    #[schema(value_type = scalars::Members)]
    data: Map<String, Value>,
}

fn spec_version() -> Schema {
    scalars::words(["1.0"]).into()
}

impl CloudEvent {
    pub fn of(partition: PartitionId, record: &Record) -> Self {
        let Described { name, subject, data } = describe(&record.event);
        Self {
            specversion: "1.0",
            id: format!("{}-{}", partition.0, record.seq),
            source: "/holdfast",
            event_type: format!("{TYPE_PREFIX}{name}"),
            subject,
            time: Rfc3339(record.at),
            datacontenttype: "application/json",
            partition: partition.0,
            sequence: record.seq,
            data,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        // Strings, numbers and maps of them: there is no way for this to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// One fact in the timeline of an order, with what its event has in `data`.
#[derive(Serialize, ToSchema)]
pub struct TimelineItem {
    #[schema(value_type = u64)]
    seq: Seq,
    #[schema(schema_with = event_type)]
    r#type: String,
    #[schema(value_type = scalars::Time)]
    at: Rfc3339,
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, Value>)]
    data: Map<String, Value>,
}

/// The type of an event. Read it openly: later releases may add types.
fn event_type() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^holdfast\.[a-z]+\.[a-z_]+$")).into()
}

/// One fact in the timeline of an order.
pub fn timeline_item(order: OrderId, kind: Kind, record: &OrderRecord) -> TimelineItem {
    let (name, data) = order_fact(order, Some(kind), &record.fact);
    TimelineItem { seq: record.seq, r#type: format!("{TYPE_PREFIX}{name}"), at: Rfc3339(record.at), data }
}

struct Described {
    name: String,
    subject: String,
    data: Map<String, Value>,
}

fn describe(event: &Event) -> Described {
    match event {
        Event::Order { order, fact } => {
            let kind = if let OrderFact::Placed(placed) = &**fact { Some(placed.kind) } else { None };
            let (name, data) = order_fact(*order, kind, fact);
            Described { name: name.to_owned(), subject: Id::order(*order).to_string(), data }
        }
        Event::Stock { sku, fact } => {
            let (name, mut data) = stock_fact(fact);
            data.insert("sku".to_owned(), sku.as_str().into());
            Described { name: name.to_owned(), subject: sku.to_string(), data }
        }
        Event::Key(KeyFact::Answered { key, .. }) => {
            let key = hex(&key.0);
            Described { name: "key.answered".to_owned(), subject: key.clone(), data: members(json!({"key_hash": key})) }
        }
        Event::Archive(fact) => archive_fact(fact),
        Event::Partition(fact) => partition_fact(fact),
    }
}

fn archive_fact(fact: &ArchiveFact) -> Described {
    let (name, data) = match fact {
        ArchiveFact::Orders(orders) => {
            let orders: Vec<String> = orders.iter().map(|id| Id::order(*id).to_string()).collect();
            ("archive.orders", json!({"order_ids": orders}))
        }
        ArchiveFact::Keys(keys) => ("archive.keys", json!({"keys": keys.len()})),
        ArchiveFact::Restored { order, .. } => ("archive.restored", json!({"order_id": Id::order(*order)})),
    };
    Described { name: name.to_owned(), subject: "archive".to_owned(), data: members(data) }
}

fn partition_fact(fact: &PartitionFact) -> Described {
    let PartitionFact::Restored { placed, restored_at } = fact;
    let data = json!({"orders_counted": placed, "restored_at": Rfc3339(*restored_at)});
    Described { name: "partition.restored".to_owned(), subject: "partition".to_owned(), data: members(data) }
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn allocations(allocations: &[Allocation]) -> Value {
    allocations.iter().map(|one| json!({"location": one.location.as_str(), "quantity": one.quantity.0})).collect()
}

fn holds(holds: &[SkuHold]) -> Value {
    holds.iter().map(|hold| json!({"sku": hold.sku.as_str(), "allocations": allocations(&hold.allocations)})).collect()
}

fn shortages(shortages: &[Shortage]) -> Value {
    let line =
        |s: &Shortage| json!({"line": s.line, "sku": s.sku.as_str(), "requested": s.requested.0, "available": s.available});
    shortages.iter().map(line).collect()
}

fn order_fact(order: OrderId, kind: Option<Kind>, fact: &OrderFact) -> (&'static str, Map<String, Value>) {
    let attempt = |number: &u8| holdfast_engine::ids::AttemptId { order, number: *number }.to_string();
    let reserved = kind == Some(Kind::Reservation);
    let (name, data) = match fact {
        OrderFact::Placed(placed) => {
            let lines = placed.lines.iter().map(|line| {
                json!({"sku": line.sku.as_str(), "quantity": line.quantity.0, "unit_price": line.unit_price.0,
                    "seller_id": line.seller.as_ref().map(|seller| seller.as_str())})
            });
            let data = json!({
                "kind": if placed.kind == Kind::Order { "order" } else { "reservation" },
                "number": placed.number,
                "customer_id": placed.customer.as_ref().map(|customer| customer.as_str()),
                "currency": placed.currency.as_ref().map(|currency| currency.as_str()),
                "lines": lines.collect::<Value>(),
                "expires_at": Rfc3339(placed.expires_at),
            });
            (if reserved { "reservation.placed" } else { "order.placed" }, data)
        }
        OrderFact::Held { holds: held } => ("order.held", json!({"holds": holds(held)})),
        OrderFact::Rejected { shortages: short } => ("order.rejected", json!({"shortages": shortages(short)})),
        OrderFact::TooManyLocations { shortages: short } => {
            ("order.rejected", json!({"reason": "too_many_locations", "shortages": shortages(short)}))
        }
        OrderFact::Expired => ("order.expired", json!({})),
        OrderFact::Cancelled { reason } => ("order.cancelled", json!({"reason": reason.as_ref().map(|reason| reason.as_str())})),
        OrderFact::Extended { expires_at } => ("order.extended", json!({"expires_at": Rfc3339(*expires_at)})),
        OrderFact::Confirmed { reason } => ("order.confirmed", json!({"reason": reason.as_ref().map(|reason| reason.as_str())})),
        OrderFact::PaymentStarted { attempt: n, provider, pin_until, .. } => (
            "payment.started",
            json!({"attempt_id": attempt(n), "provider": provider.as_str(), "pin_until": Rfc3339(*pin_until)}),
        ),
        OrderFact::PaymentOpened { attempt: n, redirect_url } => {
            ("payment.opened", json!({"attempt_id": attempt(n), "redirect_url": redirect_url.as_str()}))
        }
        OrderFact::PaymentUnknown { attempt: n } => ("payment.unknown", json!({"attempt_id": attempt(n)})),
        OrderFact::PaymentDeclined { attempt: n, expires_at } => {
            ("payment.declined", json!({"attempt_id": attempt(n), "expires_at": Rfc3339(*expires_at)}))
        }
        OrderFact::PaymentVoided { attempt: n } => ("payment.voided", json!({"attempt_id": attempt(n)})),
        OrderFact::Paid { attempt: n } => ("order.paid", json!({"attempt_id": attempt(n)})),
        OrderFact::PaymentLate { attempt: n } => ("payment.late", json!({"attempt_id": attempt(n)})),
        OrderFact::Reheld { generation, holds: held } => {
            ("order.reheld", json!({"generation": generation, "holds": holds(held)}))
        }
        OrderFact::RefundDue { attempt: n, reason, .. } => {
            let reason = match reason {
                RefundReason::OrderOver => "order_over",
                RefundReason::PaidTwice => "paid_twice",
            };
            ("refund.due", json!({"attempt_id": attempt(n), "reason": reason}))
        }
        OrderFact::Refunded { attempt: n } => ("refund.done", json!({"attempt_id": attempt(n)})),
        OrderFact::Settled => ("order.settled", json!({})),
    };
    let mut data = members(data);
    let id = if reserved { Id::reservation(order) } else { Id::order(order) };
    data.insert("order_id".to_owned(), id.as_str().into());
    (name, data)
}

fn stock_fact(fact: &StockFact) -> (&'static str, Map<String, Value>) {
    let held = |hold: &holdfast_engine::ids::HoldKey| Id::order(hold.order);
    let (name, data) = match fact {
        StockFact::Set { location, on_hand, safety_stock, delta, version, .. } => (
            "stock.set",
            json!({"location": location.as_str(), "on_hand": on_hand.0, "safety_stock": safety_stock.0, "delta": delta, "version": version}),
        ),
        StockFact::Adjusted { location, bucket, delta, reason, reference, version } => (
            "stock.adjusted",
            json!({"location": location.as_str(), "bucket": bucket_name(*bucket), "delta": delta, "reason": reason.as_str(),
                "reference": reference.as_ref().map(|reference| reference.as_str()), "version": version}),
        ),
        StockFact::ThresholdSet { threshold, version } => {
            ("stock.threshold_set", json!({"low_stock_threshold": threshold.0, "version": version}))
        }
        StockFact::HoldPlaced { hold, allocations: taken, version, .. } => {
            ("stock.held", json!({"order_id": held(hold), "allocations": allocations(taken), "version": version}))
        }
        StockFact::HoldPinned { hold, allocations: taken, version, .. } => {
            ("stock.pinned", json!({"order_id": held(hold), "allocations": allocations(taken), "version": version}))
        }
        StockFact::HoldUnpinned { hold, allocations: taken, version, .. } => {
            ("stock.unpinned", json!({"order_id": held(hold), "allocations": allocations(taken), "version": version}))
        }
        StockFact::HoldCommitted { hold, allocations: taken, version } => {
            ("stock.committed", json!({"order_id": held(hold), "allocations": allocations(taken), "version": version}))
        }
        StockFact::HoldReleased { hold, cause, allocations: taken, version } => {
            let cause = match cause {
                ReleaseCause::Released => "released",
                ReleaseCause::Expired => "expired",
            };
            (
                "stock.released",
                json!({"order_id": held(hold), "cause": cause, "allocations": allocations(taken), "version": version}),
            )
        }
        StockFact::HoldForbidden { hold } => ("stock.hold_forbidden", json!({"order_id": held(hold)})),
        StockFact::LevelCrossed { level, available } => {
            let name = match level {
                Level::Depleted => "stock.depleted",
                Level::Low => "stock.low",
                Level::Restored => "stock.restored",
            };
            (name, json!({"available": available}))
        }
        StockFact::LocationClosed { location, version } => {
            ("stock.location_closed", json!({"location": location.as_str(), "version": version}))
        }
    };
    (name, members(data))
}

pub fn bucket_name(bucket: holdfast_engine::event::Bucket) -> &'static str {
    use holdfast_engine::event::Bucket;
    match bucket {
        Bucket::OnHand => "on_hand",
        Bucket::Damaged => "damaged",
        Bucket::QualityControl => "quality_control",
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
