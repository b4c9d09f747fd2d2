//! The largest event of every kind, whatever clients ask for: each is smaller than a fact may be, and than the limits say of its kind.
//!
//! [`enlarged`] matches without `_`, so a new variant does not build before its largest is named here.

use super::examples;
use crate::codec::{encode_history, encode_key, encode_record};
use crate::event::{
    Allocation, ArchiveFact, Buckets, Change, Event, History, HoldLimit, KeyFact, Kind, Line, LocationView, OperatorFact,
    OrderFact, OrderRecord, Origin, PartitionFact, PaymentRequest, Placed, Record, Shortage, SkuHold, StockFact, StockView,
    StoredResponse,
};
use crate::ids::{
    AttemptId, CorrelationId, CustomerId, Fingerprint, HoldKey, KeyHash, KeyName, Label, Location, OrderId, Provider, RequestId,
    Sku, Url,
};
use crate::limits::{self, TextLength};
use crate::quantity::{Currency, Money, Quantity};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use std::sync::Arc;

const AT: Timestamp = Timestamp::new(u64::MAX);

/// A text as long as it may be, of characters that take most bytes.
fn text(length: TextLength) -> String {
    "🛒".repeat(length.characters)
}

fn sku() -> Sku {
    Sku::new(&text(limits::SKU)).unwrap()
}

fn location() -> Location {
    Location::new(&text(limits::LOCATION)).unwrap()
}

fn label() -> Label {
    Label::new(&text(limits::LABEL)).unwrap()
}

fn provider() -> Provider {
    Provider::new(&text(limits::LOCATION)).unwrap()
}

fn request_id() -> RequestId {
    RequestId::new(&text(limits::NAME)).unwrap()
}

fn url() -> Url {
    Url::new(&"u".repeat(limits::URL.bytes)).unwrap()
}

fn correlation() -> CorrelationId {
    CorrelationId::new(&"c".repeat(limits::CORRELATION_ID.bytes)).unwrap()
}

fn order_id() -> OrderId {
    OrderId::from_bytes([u8::MAX; 16])
}

fn hold() -> HoldKey {
    HoldKey { order: order_id(), generation: u8::MAX }
}

fn units() -> Quantity {
    Quantity::new(u32::MAX)
}

fn fingerprint() -> Fingerprint {
    Fingerprint(u128::MAX)
}

fn allocations(count: usize) -> Vec<Allocation> {
    vec![Allocation { location: location(), quantity: units() }; count]
}

/// Every line of an order has a SKU of its own, and each SKU takes all locations that it may.
fn holds() -> Vec<SkuHold> {
    let share = limits::MAX_ALLOCATIONS / limits::MAX_LINES;
    let mut holds = vec![SkuHold { sku: sku(), allocations: allocations(share) }; limits::MAX_LINES];
    holds[0].allocations.extend(allocations(limits::MAX_ALLOCATIONS - share * limits::MAX_LINES));
    holds
}

fn shortage() -> Shortage {
    Shortage { line: u16::MAX, sku: sku(), requested: units(), available: Some(u64::MAX) }
}

/// What JSON takes for a line beside its texts.
const LINE: &str = r#"{"sku":"","quantity":4294967295,"unit_price":9223372036854775807,"seller_id":"","metadata":},"#;

/// As much text as a body can carry.
fn placed(example: &Placed) -> Placed {
    let (customer, document) = (CustomerId::new(&text(limits::NAME)), "1".repeat(limits::MAX_JSON_BYTES));
    let names = limits::MAX_LINES * (LINE.len() + limits::SKU.bytes + limits::LABEL.bytes) + limits::NAME.bytes;
    let rest = limits::MAX_BODY_BYTES - names - 2 * document.len() - limits::LOCATION.bytes - limits::URL.bytes;
    let line = Line {
        sku: sku(),
        quantity: units(),
        unit_price: Money::new(i64::MAX),
        seller: Some(label()),
        metadata: Some("1".repeat(rest / limits::MAX_LINES).into()),
    };
    Placed {
        kind: example.kind,
        number: u64::MAX,
        fingerprint: fingerprint(),
        request_id: request_id(),
        customer,
        currency: Currency::new("EUR"),
        lines: vec![line; limits::MAX_LINES],
        allow_partial: true,
        expires_at: AT,
        shipping_address: Some(document.as_str().into()),
        metadata: Some(document.as_str().into()),
        payment: Some(PaymentRequest { provider: provider(), return_url: Some(url()) }),
        origin: Origin::of(KeyName::new(&text(limits::NAME)), Some(correlation())),
    }
}

fn view() -> StockView {
    let all = units();
    let buckets =
        Buckets { on_hand: all, held: all, pinned: all, committed: all, damaged: all, quality_control: all, safety_target: all };
    let location = LocationView { location: location(), priority: u16::MAX, buckets };
    StockView { sku: sku(), version: u64::MAX, low_stock_threshold: all, locations: vec![location; limits::MAX_LOCATIONS] }
}

fn enlarged(example: &Event) -> Event {
    match example {
        Event::Stock { fact, .. } => Event::Stock { sku: sku(), fact: enlarged_stock(fact) },
        Event::Order { fact, .. } => Event::Order {
            order: order_id(),
            fact: Arc::new(enlarged_order(fact)),
            correlation: (!matches!(**fact, OrderFact::Placed(_))).then(correlation),
        },
        Event::Key(KeyFact::Answered { answer, .. }) => Event::Key(KeyFact::Answered {
            key: KeyHash([u8::MAX; 16]),
            fingerprint: fingerprint(),
            answer: Arc::new(enlarged_answer(answer)),
        }),
        Event::Archive(ArchiveFact::Orders(_)) => Event::Archive(ArchiveFact::Orders(vec![order_id(); limits::MAX_ARCHIVED])),
        Event::Archive(ArchiveFact::Keys(_)) => {
            Event::Archive(ArchiveFact::Keys(vec![KeyHash([u8::MAX; 16]); limits::MAX_ARCHIVED]))
        }
        Event::Archive(ArchiveFact::Restored { .. }) => {
            Event::Archive(ArchiveFact::Restored { order: order_id(), history: paid_late() })
        }
        Event::Partition(PartitionFact::Restored { .. }) => {
            Event::Partition(PartitionFact::Restored { placed: u64::MAX, restored_at: AT })
        }
        Event::Operator(OperatorFact::Changed(_)) => Event::Operator(OperatorFact::Changed(change())),
    }
}

fn change() -> Box<Change> {
    Box::new(Change {
        number: u64::MAX,
        who: KeyName::new(&text(limits::NAME)),
        what: label(),
        before: Some(label()),
        after: Some(label()),
        note: Some(label()),
        request_id: request_id(),
    })
}

fn enlarged_stock(example: &StockFact) -> StockFact {
    let (hold, order_version, version, allocations) = (hold(), u32::MAX, u64::MAX, allocations(limits::MAX_LOCATIONS));
    match example {
        StockFact::Set { .. } => StockFact::Set {
            location: location(),
            on_hand: units(),
            safety_stock: units(),
            priority: u16::MAX,
            delta: i64::MIN,
            version,
        },
        StockFact::Adjusted { bucket, .. } => StockFact::Adjusted {
            location: location(),
            bucket: *bucket,
            delta: i64::MIN,
            reason: label(),
            reference: Some(label()),
            version,
        },
        StockFact::ThresholdSet { .. } => StockFact::ThresholdSet { threshold: units(), version },
        StockFact::HoldPlaced { .. } => StockFact::HoldPlaced { hold, order_version, allocations, probe_at: AT, version },
        StockFact::HoldPinned { .. } => StockFact::HoldPinned { hold, order_version, allocations, version },
        StockFact::HoldUnpinned { .. } => StockFact::HoldUnpinned { hold, order_version, allocations, version },
        StockFact::HoldCommitted { .. } => StockFact::HoldCommitted { hold, allocations, version },
        StockFact::HoldReleased { cause, .. } => StockFact::HoldReleased { hold, cause: *cause, allocations, version },
        StockFact::HoldForbidden { .. } => StockFact::HoldForbidden { hold },
        StockFact::LevelCrossed { level, .. } => StockFact::LevelCrossed { level: *level, available: u64::MAX },
        StockFact::LocationClosed { .. } => StockFact::LocationClosed { location: location(), version },
    }
}

fn enlarged_order(example: &OrderFact) -> OrderFact {
    let (attempt, generation) = (u8::MAX, u8::MAX);
    let shortages = || vec![shortage(); limits::MAX_LINES];
    match example {
        OrderFact::Placed(example) => OrderFact::Placed(Box::new(placed(example))),
        OrderFact::Held { .. } => OrderFact::Held { holds: holds() },
        OrderFact::Rejected { .. } => OrderFact::Rejected { shortages: shortages() },
        OrderFact::TooManyLocations { .. } => OrderFact::TooManyLocations { shortages: shortages() },
        OrderFact::Expired => OrderFact::Expired,
        OrderFact::Cancelled { .. } => OrderFact::Cancelled { reason: Some(label()) },
        OrderFact::Extended { .. } => OrderFact::Extended { expires_at: AT },
        OrderFact::Confirmed { .. } => OrderFact::Confirmed { reason: Some(label()) },
        OrderFact::PaymentStarted { .. } => OrderFact::PaymentStarted {
            attempt,
            provider: Box::new(provider()),
            return_url: Some(Box::new(url())),
            pin_until: AT,
            key: Some(Box::new((KeyHash([u8::MAX; 16]), fingerprint()))),
        },
        OrderFact::PaymentOpened { .. } => OrderFact::PaymentOpened { attempt, redirect_url: url() },
        OrderFact::PaymentUnknown { .. } => OrderFact::PaymentUnknown { attempt },
        OrderFact::PaymentDeclined { .. } => OrderFact::PaymentDeclined { attempt, expires_at: AT },
        OrderFact::PaymentVoided { .. } => OrderFact::PaymentVoided { attempt },
        OrderFact::Paid { .. } => OrderFact::Paid { attempt },
        OrderFact::PaymentLate { .. } => OrderFact::PaymentLate { attempt },
        OrderFact::Reheld { .. } => OrderFact::Reheld { generation, holds: holds() },
        OrderFact::RefundDue { reason, .. } => OrderFact::RefundDue { attempt, generation, reason: *reason },
        OrderFact::Refunded { .. } => OrderFact::Refunded { attempt },
        OrderFact::Settled => OrderFact::Settled,
    }
}

fn enlarged_answer(example: &StoredResponse) -> StoredResponse {
    let request_id = request_id();
    match example {
        StoredResponse::Adjusted(_) => StoredResponse::Adjusted(view()),
        StoredResponse::Set(_) => StoredResponse::Set(view()),
        StoredResponse::AdjustmentRefused { rejection, .. } => {
            StoredResponse::AdjustmentRefused { request_id, rejection: enlarged_rejection(rejection) }
        }
        StoredResponse::Payment { .. } => {
            StoredResponse::Payment { attempt: AttemptId { order: order_id(), number: u8::MAX }, redirect_url: Some(url()) }
        }
        StoredResponse::PaymentRefused { state, .. } => StoredResponse::PaymentRefused { request_id, state: state.clone() },
        StoredResponse::Moved { .. } => StoredResponse::Moved { order: order_id(), facts: u32::MAX },
        StoredResponse::Refused { rejection, .. } => {
            StoredResponse::Refused { request_id, rejection: enlarged_rejection(rejection) }
        }
    }
}

fn enlarged_rejection(example: &Rejection) -> Rejection {
    match example {
        Rejection::UnknownSku(_) => Rejection::UnknownSku(sku()),
        Rejection::Short(_) => Rejection::Short(shortage()),
        Rejection::BelowTaken { .. } => Rejection::BelowTaken { taken: u64::MAX, count: i64::MIN },
        Rejection::HoldLimit(HoldLimit::Life { .. }) => Rejection::HoldLimit(HoldLimit::Life { max_ms: u64::MAX }),
        Rejection::HoldLimit(HoldLimit::Extensions { .. }) => Rejection::HoldLimit(HoldLimit::Extensions { max: u32::MAX }),
        Rejection::InvalidTransition { .. } | Rejection::ReservationExpired | Rejection::TooMany => example.clone(),
        Rejection::NotFound | Rejection::KeyReused | Rejection::KeyInProgress => example.clone(),
        Rejection::VersionMismatch { .. } | Rejection::LocationInUse { .. } | Rejection::HoldTooLong { .. } => example.clone(),
    }
}

fn recorded(facts: impl IntoIterator<Item = OrderFact>) -> History {
    let record = |fact| OrderRecord { seq: u64::MAX, at: AT, fact: Arc::new(enlarged_order(&fact)) };
    History::new(&facts.into_iter().map(record).collect::<Vec<_>>()).unwrap()
}

/// The facts of the examples that satisfy this, as often as an order can have each of them.
fn facts(times: impl Fn(&OrderFact) -> usize) -> Vec<OrderFact> {
    let orders = examples::all().into_iter().filter_map(|event| match event {
        Event::Order { fact, .. } => Some((*fact).clone()),
        Event::Stock { .. } | Event::Key(_) | Event::Archive(_) | Event::Partition(_) | Event::Operator(_) => None,
    });
    orders.flat_map(|fact| std::iter::repeat_n(fact.clone(), times(&fact))).collect()
}

/// An order to which everything has happened, late money included.
fn paid_late() -> History {
    let attempts = usize::from(limits::MAX_ATTEMPTS);
    recorded(facts(|fact| match fact {
        OrderFact::Placed(placed) => usize::from(placed.kind == Kind::Order),
        OrderFact::Held { .. } | OrderFact::Reheld { .. } | OrderFact::Expired | OrderFact::Cancelled { .. } => 1,
        OrderFact::Confirmed { .. } => 1,
        OrderFact::Settled => 3,
        OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } | OrderFact::Extended { .. } => 0,
        OrderFact::PaymentStarted { .. } | OrderFact::PaymentOpened { .. } | OrderFact::PaymentUnknown { .. } => attempts,
        OrderFact::PaymentDeclined { .. } | OrderFact::PaymentVoided { .. } | OrderFact::Paid { .. } => attempts,
        OrderFact::PaymentLate { .. } | OrderFact::RefundDue { .. } | OrderFact::Refunded { .. } => attempts,
    }))
}

/// A reservation that was extended as often as any settings allow.
fn extended() -> History {
    recorded(facts(|fact| match fact {
        OrderFact::Placed(placed) => usize::from(placed.kind == Kind::Reservation),
        OrderFact::Extended { .. } => limits::MAX_EXTENSIONS as usize,
        OrderFact::Held { .. } | OrderFact::Cancelled { .. } | OrderFact::Settled => 1,
        _ => 0,
    }))
}

/// Defect: a valid order of 26 KB made a fact of 8.45 MB, which no reader takes: its shard went down at each try.
#[test]
fn every_event_at_its_largest_is_smaller_than_a_fact_may_be() {
    for example in examples::all() {
        let event = enlarged(&example);
        let bytes = encode_record(&Record { seq: u64::MAX, at: AT, event: event.clone() }).len();
        assert!(bytes < limits::MAX_FACT_BYTES, "{} of {bytes} bytes", examples::name(&example));
        assert!(
            bytes >= encode_record(&Record { seq: 7, at: Timestamp::ZERO, event: example.clone() }).len(),
            "{}",
            examples::name(&example)
        );
        assert!(bytes <= most(&event), "{} of {bytes} bytes is more than the limits say", examples::name(&example));
    }
}

/// What the limits say of the kind of an event, with the place of its record.
fn most(event: &Event) -> usize {
    64 + limits::MAX_ORIGIN_BYTES
        + match event {
            Event::Order { fact, .. } => match &**fact {
                OrderFact::Placed(_) => limits::MAX_PLACED_BYTES,
                OrderFact::Held { .. } | OrderFact::Reheld { .. } => limits::MAX_HELD_BYTES,
                OrderFact::Rejected { .. } | OrderFact::TooManyLocations { .. } => limits::MAX_REJECTED_BYTES,
                _ => 2 * limits::URL.bytes,
            },
            Event::Key(_) => limits::MAX_VIEW_BYTES,
            Event::Archive(ArchiveFact::Restored { .. }) => limits::MAX_HISTORY_BYTES,
            Event::Stock { .. } | Event::Archive(_) | Event::Partition(_) | Event::Operator(_) => limits::MAX_FACT_BYTES,
        }
}

#[test]
fn every_row_at_its_largest_is_smaller_than_a_fact_may_be() {
    for history in [paid_late(), extended()] {
        let bytes = encode_history(&history).len();
        assert!(bytes <= limits::MAX_HISTORY_BYTES, "a history of {bytes} bytes");
    }
    for event in examples::all() {
        let Event::Key(KeyFact::Answered { answer, .. }) = enlarged(&event) else { continue };
        let bytes = encode_key(fingerprint(), &answer).len();
        assert!(bytes <= limits::MAX_VIEW_BYTES + 64, "{} of {bytes} bytes", examples::name(&event));
    }
}
