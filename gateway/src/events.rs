//! Events as the outside sees them: CloudEvents 1.0, read after a cursor, items of a timeline.
//!
//! Invariant: every record of the journal is an event, in the dense sequence of its partition: nothing missing, nothing twice.

pub mod cursor;

use crate::openapi::scalars;
use crate::view::{Id, Rfc3339};
pub use cursor::Cursor;
use cursor::Position;
use holdfast_engine::codec;
use holdfast_engine::event::{
    Allocation, ArchiveFact, Event, KeyFact, Kind, Level, OrderFact, OrderRecord, PartitionFact, Record, RefundReason,
    ReleaseCause, Shortage, SkuHold, StockFact,
};
use holdfast_engine::ids::{OrderId, PartitionId, Seq};
use holdfast_storage::{Error, Journal, LogId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use utoipa::ToSchema;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// Begins every type of an event.
pub const TYPE_PREFIX: &str = "holdfast.";

/// One event with the cursor after it.
pub struct Published {
    pub cursor: Cursor,
    pub partition: PartitionId,
    pub record: Record,
}

/// Bytes of records after which a page ends, however few events it has: a record may have megabytes.
pub const PAGE_BYTES: usize = 1 << 20;

/// Reads up to `limit` events after `cursor`, of every log its share, so that a busy one never hides the others. With the event that
/// brings them over [`PAGE_BYTES`] there are no more. Blocks on the store.
///
/// # Errors
/// If a log is damaged or cannot be read.
pub fn read(journal: &dyn Journal, after: &Cursor, limit: usize) -> Result<Vec<Published>, Error> {
    let mut cursor = after.clone();
    if after.is_beginning() {
        begin(journal, &mut cursor)?;
    }
    let after = &cursor.clone();
    let mut page = Found::default();
    let mut news: Vec<LogId> = journal.logs().into_iter().filter(|log| journal.end(*log) >= after.of(*log).commit).collect();
    while !news.is_empty() && page.events.len() < limit && !page.is_full() {
        let share = (limit - page.events.len()).div_ceil(news.len());
        let mut more = Vec::new();
        for log in news {
            let most = share.min(limit - page.events.len());
            if most > 0 && !page.is_full() && read_log(journal, log, &mut cursor, most, &mut page)? == most {
                more.push(log);
            }
        }
        news = more;
    }
    Ok(page.events)
}

/// What was read for a page so far.
#[derive(Default)]
struct Found {
    events: Vec<Published>,
    /// Of their records, as the journal has them.
    bytes: usize,
}

impl Found {
    fn is_full(&self) -> bool {
        self.bytes >= PAGE_BYTES
    }
}

/// The beginning of everything that is kept. A reader that has seen something stands where it stands, and hears of it when
/// what comes next for it is purged.
fn begin(journal: &dyn Journal, cursor: &mut Cursor) -> Result<(), Error> {
    for log in journal.logs() {
        let first = journal.first(log)?;
        if first > 1 {
            cursor.set(log, Position { commit: first, index: 0, check: None });
        }
    }
    Ok(())
}

/// Reads on in one log and says how many events it found.
fn read_log(journal: &dyn Journal, log: LogId, cursor: &mut Cursor, most: usize, page: &mut Found) -> Result<usize, Error> {
    let (after, before) = (cursor.of(log), page.events.len());
    journal.read(log, after.commit.saturating_sub(1), &mut |commit, frame| {
        let check = Some(codec::frame_check(frame)?);
        let mut entries = (1..).zip(codec::read_frame(frame)?).peekable();
        while let Some((index, entry)) = entries.next() {
            if commit > after.commit || index > after.index {
                let entry = entry?;
                // Behind the last event of a commit it stands before the next: who has read all finds that without a read.
                let last = entries.peek().is_none();
                let (commit, index) = if last { (commit + 1, 0) } else { (commit, index) };
                cursor.set(log, Position { commit, index, check });
                page.bytes += entry.bytes();
                page.events.push(Published { cursor: cursor.clone(), partition: entry.partition, record: entry.decode()? });
            }
            if page.events.len() - before >= most || page.is_full() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page.events.len() - before)
}

impl Published {
    /// The event in the structured JSON form of CloudEvents 1.0.
    pub fn cloud_event(&self) -> Value {
        json!(CloudEvent::of(self.partition, &self.record))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::Causality;
    use holdfast_engine::codec::Batch;
    use holdfast_engine::ids::{Partitions, Sku};
    use holdfast_engine::quantity::Quantity;
    use holdfast_engine::time::Timestamp;
    use holdfast_storage::memory::MemoryJournal;

    /// The suite `schemas` compares every other event with its schema; this one is a race that nobody can win on purpose.
    #[test]
    fn a_forbidden_hold_has_the_members_of_its_schema() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events/stock.hold_forbidden.json");
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let order = OrderId::parse("00000000000000000000000000").unwrap();
        let fact = StockFact::HoldForbidden { hold: holdfast_engine::ids::HoldKey { order, generation: 0 } };
        let event = Event::Stock { sku: Sku::new("MUG").unwrap(), fact };
        let event = CloudEvent::of(PartitionId(0), &Record { seq: 1, at: Timestamp(1), event });
        let published = &schema["properties"]["data"]["properties"];
        assert_eq!(schema["properties"]["type"]["const"], event.event_type);
        assert!(event.data.keys().eq(published.as_object().unwrap().keys()), "{published}");
    }

    /// A thousand records at their largest would be gigabytes.
    #[test]
    fn a_page_ends_with_the_event_that_fills_it_and_the_next_one_goes_on_there() {
        let partitions = Partitions::new(4).unwrap();
        let journal = MemoryJournal::with(Causality::PerPartition, partitions);
        let location = holdfast_engine::ids::Location::new("MAIN").unwrap();
        let allocation = |n: u32| Allocation { location: location.clone(), quantity: Quantity(n) };
        let hold = holdfast_engine::ids::HoldKey { order: OrderId::parse("00000000000000000000000000").unwrap(), generation: 0 };
        for log in [0, 2] {
            for seq in 1..=5 {
                let mut batch = Batch::default();
                let allocations = (0..50_000).map(allocation).collect();
                let fact = StockFact::HoldPlaced { hold, step: 1, allocations, ask_at: Timestamp(1), version: seq };
                let event = Event::Stock { sku: Sku::new("SKU").unwrap(), fact };
                batch.push(PartitionId(log), &Record { seq, at: Timestamp(1), event });
                journal.append(LogId(log), &batch).unwrap();
            }
        }
        let (mut cursor, mut seen) = (Cursor::default(), Vec::new());
        loop {
            let page = read(&journal, &cursor, 1000).unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 4, "{} events of 400 KB are no page", page.len());
            cursor = last.cursor.to_string().parse().unwrap();
            seen.extend(page.iter().map(|event| (event.partition.0, event.record.seq)));
        }
        seen.sort_unstable();
        let all: Vec<(u16, u64)> = [0, 2].into_iter().flat_map(|log| (1..=5).map(move |seq| (log, seq))).collect();
        assert_eq!(seen, all);
    }

    /// A busy partition must not hide the events of the others from a reader who asks for short pages.
    #[test]
    fn pages_of_any_size_show_every_event_of_every_log_once() {
        let partitions = Partitions::new(4).unwrap();
        let journal = MemoryJournal::with(Causality::PerPartition, partitions);
        let fact = |n| StockFact::ThresholdSet { threshold: Quantity(1), version: n };
        for (log, commits) in [(0, 200), (1, 3), (3, 1)] {
            for commit in 0..commits {
                let mut batch = Batch::default();
                for seq in [2 * commit + 1, 2 * commit + 2] {
                    let event = Event::Stock { sku: Sku::new("SKU").unwrap(), fact: fact(seq) };
                    batch.push(PartitionId(log), &Record { seq, at: Timestamp(1), event });
                }
                journal.append(LogId(log), &batch).unwrap();
            }
        }
        for limit in [1, 2, 3, 7, 50, 1000] {
            let (mut cursor, mut seen, mut pages) = (Cursor::default(), Vec::new(), 0);
            loop {
                let page = read(&journal, &cursor, limit).unwrap();
                let Some(last) = page.last() else { break };
                cursor = last.cursor.to_string().parse().unwrap();
                seen.extend(page.iter().map(|event| (event.partition.0, event.record.seq)));
                pages += 1;
                if pages == 1 && limit >= 7 {
                    assert!(seen.iter().any(|(partition, _)| *partition == 3), "limit {limit}");
                }
            }
            seen.sort_unstable();
            let all: Vec<(u16, u64)> =
                [(0, 400), (1, 6), (3, 2)].iter().flat_map(|(log, last)| (1..=*last).map(|seq| (*log, seq))).collect();
            assert_eq!(seen, all, "limit {limit}");
        }
    }
}
