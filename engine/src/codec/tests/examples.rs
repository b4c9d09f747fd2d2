//! One fixed example of every event. Frozen: a golden file holds the bytes of each.
//!
//! [`name`] matches without `_`, so a new variant does not build before it is named here; then it wants an example.

use crate::event::{
    Adjustment, Allocation, ArchiveFact, Bucket, Buckets, Change, Event, History, HoldLimit, KeyFact, Kind, Level, Line,
    LocationView, OperatorFact, OrderFact, OrderRecord, Origin, PartitionFact, PaymentRequest, Placed, RefundReason, Refused,
    ReleaseCause, Shortage, SkuHold, StockFact, StockView, StoredResponse,
};
use crate::ids::{
    AttemptId, CorrelationId, CustomerId, Fingerprint, HoldKey, KeyHash, KeyName, Label, Location, OrderId, Partitions, Provider,
    RequestId, Sku, Url,
};
use crate::quantity::{Currency, Money, Quantity};
use crate::rejection::Rejection;
use crate::status::Status;
use crate::time::Timestamp;
use std::sync::Arc;

pub(super) fn name(event: &Event) -> String {
    match event {
        Event::Stock { fact, .. } => format!("stock.{}", stock_name(fact)),
        Event::Order { fact, .. } => format!("order.{}", order_name(fact)),
        Event::Key(KeyFact::Answered { answer, .. }) => format!("key.answered-{}", answer_name(answer)),
        Event::Archive(ArchiveFact::Orders(_)) => "archive.orders".to_owned(),
        Event::Archive(ArchiveFact::Keys(_)) => "archive.keys".to_owned(),
        Event::Archive(ArchiveFact::Restored { .. }) => "archive.restored".to_owned(),
        Event::Partition(PartitionFact::Restored { .. }) => "partition.restored".to_owned(),
        Event::Operator(OperatorFact::Changed(_)) => "operator.changed".to_owned(),
    }
}

fn stock_name(fact: &StockFact) -> &'static str {
    match fact {
        StockFact::Set { .. } => "set",
        StockFact::Adjusted { bucket: Bucket::OnHand, .. } => "adjusted-on_hand",
        StockFact::Adjusted { bucket: Bucket::Damaged, .. } => "adjusted-damaged",
        StockFact::Adjusted { bucket: Bucket::QualityControl, .. } => "adjusted-quality_control",
        StockFact::ThresholdSet { .. } => "threshold_set",
        StockFact::HoldPlaced { .. } => "hold_placed",
        StockFact::HoldPinned { .. } => "hold_pinned",
        StockFact::HoldUnpinned { .. } => "hold_unpinned",
        StockFact::HoldCommitted { .. } => "hold_committed",
        StockFact::HoldReleased { cause: ReleaseCause::Released, .. } => "hold_released-released",
        StockFact::HoldReleased { cause: ReleaseCause::Expired, .. } => "hold_released-expired",
        StockFact::HoldForbidden { .. } => "hold_forbidden",
        StockFact::LevelCrossed { level: Level::Depleted, .. } => "level_crossed-depleted",
        StockFact::LevelCrossed { level: Level::Low, .. } => "level_crossed-low",
        StockFact::LevelCrossed { level: Level::Restored, .. } => "level_crossed-restored",
        StockFact::LocationClosed { .. } => "location_closed",
    }
}

fn order_name(fact: &OrderFact) -> &'static str {
    match fact {
        OrderFact::Placed(placed) if placed.kind == Kind::Order => "placed-order",
        OrderFact::Placed(_) => "placed-reservation",
        OrderFact::Held { .. } => "held",
        OrderFact::Rejected { .. } => "rejected",
        OrderFact::Expired => "expired",
        OrderFact::Cancelled { .. } => "cancelled",
        OrderFact::Extended { .. } => "extended",
        OrderFact::Confirmed { .. } => "confirmed",
        OrderFact::PaymentStarted { .. } => "payment_started",
        OrderFact::PaymentOpened { .. } => "payment_opened",
        OrderFact::PaymentUnknown { .. } => "payment_unknown",
        OrderFact::PaymentDeclined { .. } => "payment_declined",
        OrderFact::PaymentVoided { .. } => "payment_voided",
        OrderFact::Paid { .. } => "paid",
        OrderFact::PaymentLate { .. } => "payment_late",
        OrderFact::Reheld { .. } => "reheld",
        OrderFact::RefundDue { reason: RefundReason::OrderOver, .. } => "refund_due-order_over",
        OrderFact::RefundDue { reason: RefundReason::PaidTwice, .. } => "refund_due-paid_twice",
        OrderFact::Refunded { .. } => "refunded",
        OrderFact::Settled => "settled",
        OrderFact::TooManyLocations { .. } => "too_many_locations",
    }
}

fn answer_name(answer: &StoredResponse) -> &'static str {
    match answer {
        StoredResponse::Adjusted(_) => "adjusted",
        StoredResponse::AdjustmentRefused { rejection, .. } => match Adjustment::try_from(rejection).unwrap() {
            Adjustment::UnknownSku(_) => "adjustment_refused-unknown_sku",
            Adjustment::Short(_) => "adjustment_refused-short",
            Adjustment::TooMany => "adjustment_refused-too_many",
            Adjustment::BelowTaken { .. } => "adjustment_refused-below_taken",
        },
        StoredResponse::Payment { .. } => "payment",
        StoredResponse::PaymentRefused { .. } => "payment_refused",
        StoredResponse::Set(_) => "set",
        StoredResponse::Moved { .. } => "moved",
        StoredResponse::Refused { rejection, .. } => match Refused::try_from(rejection).unwrap() {
            Refused::State { .. } => "refused-state",
            Refused::Expired => "refused-expired",
            Refused::BelowTaken { .. } => "refused-below_taken",
            Refused::TooMany => "refused-too_many",
            Refused::HoldLimit(HoldLimit::Life { .. }) => "refused-hold_limit-life",
            Refused::HoldLimit(HoldLimit::Extensions { .. }) => "refused-hold_limit-extensions",
        },
    }
}

pub(super) fn all() -> Vec<Event> {
    let stock = stock_facts().into_iter().map(|fact| Event::Stock { sku: sku(), fact });
    let orders =
        order_facts().into_iter().map(|fact| Event::Order { order: order_id(), fact: Arc::new(fact), correlation: None });
    let keys = answers().into_iter().map(|answer| Event::Key(answered(answer)));
    let archive = [
        ArchiveFact::Orders(vec![order_id(), order_id()]),
        ArchiveFact::Keys(vec![key_hash()]),
        ArchiveFact::Restored { order: order_id(), history: history() },
    ];
    let restored = PartitionFact::Restored { placed: 15_625_000, restored_at: Timestamp::new(1_700_000_000_000) };
    let archive = archive.map(Event::Archive);
    stock
        .chain(orders)
        .chain(keys)
        .chain(archive)
        .chain([Event::Partition(restored), Event::Operator(OperatorFact::Changed(change()))])
        .collect()
}

fn change() -> Box<Change> {
    let said = |text: &str| Label::new(text);
    Box::new(Change {
        number: 12,
        who: KeyName::new("operations"),
        what: said("engine.credits").unwrap(),
        before: said("32768"),
        after: said("65536"),
        note: said("for the sale of Friday"),
        request_id: RequestId::new("01HX3V").unwrap(),
    })
}

/// Records of version 2, and what their golden files are called: whatever is known of where an order came from.
pub(super) fn with_origin() -> [(&'static str, Event); 4] {
    let correlation = || CorrelationId::new("cart-7:{\"a\"}").unwrap();
    let client = || KeyName::new("Großhandel").unwrap();
    let placed = |origin| Arc::new(OrderFact::Placed(Box::new(Placed { origin, ..order() })));
    let of_order = |fact, correlation| Event::Order { order: order_id(), fact, correlation };
    let mut history = history();
    history.set_origin(&Origin::of(Some(client()), Some(correlation())).unwrap());
    [
        ("origin.placed", of_order(history.first().fact().into(), None)),
        ("origin.placed-client", of_order(placed(Origin::of(Some(client()), None)), None)),
        ("origin.expired", of_order(Arc::new(OrderFact::Expired), Some(correlation()))),
        ("origin.restored", Event::Archive(ArchiveFact::Restored { order: order_id(), history })),
    ]
}

pub(super) fn key() -> KeyFact {
    answered(StoredResponse::Adjusted(view()))
}

pub(crate) fn history() -> History {
    let record = |(fact, seq)| OrderRecord { seq, at: Timestamp::new(1_700_000_000_000 + seq), fact: Arc::new(fact) };
    let facts = [OrderFact::Placed(Box::new(order())), OrderFact::Held { holds: holds() }, OrderFact::Expired];
    History::new(&facts.into_iter().zip(3..).map(record).collect::<Vec<_>>()).unwrap()
}

fn stock_facts() -> Vec<StockFact> {
    let adjusted = |(bucket, delta)| StockFact::Adjusted {
        location: location("main"),
        bucket,
        delta,
        reason: label("damage in transit"),
        reference: (delta > 0).then(|| label("PO-7")),
        version: 12,
    };
    let level = |(level, available)| StockFact::LevelCrossed { level, available };
    let released = |cause| StockFact::HoldReleased { hold: hold(), cause, allocations: allocations(), version: 9 };
    let mut facts = vec![
        StockFact::Set {
            location: location("main"),
            on_hand: Quantity::new(2_000_000_000),
            safety_stock: Quantity::new(5),
            priority: 300,
            delta: -70_000,
            version: 1 << 40,
        },
        StockFact::ThresholdSet { threshold: Quantity::new(10), version: 2 },
        StockFact::HoldPlaced {
            hold: hold(),
            order_version: 1,
            allocations: allocations(),
            probe_at: Timestamp::new(1_700_000_900_000),
            version: 4,
        },
        StockFact::HoldPinned { hold: hold(), order_version: 3, allocations: allocations(), version: 6 },
        StockFact::HoldUnpinned { hold: hold(), order_version: 5, allocations: allocations(), version: 8 },
        StockFact::HoldCommitted { hold: hold(), allocations: allocations(), version: 10 },
        StockFact::HoldForbidden { hold: hold() },
    ];
    facts.extend([(Bucket::OnHand, -3), (Bucket::Damaged, 3), (Bucket::QualityControl, 128)].map(adjusted));
    facts.extend([ReleaseCause::Released, ReleaseCause::Expired].map(released));
    facts.push(StockFact::LocationClosed { location: location("mian"), version: 300 });
    facts.extend([(Level::Depleted, 0), (Level::Low, 10), (Level::Restored, 500)].map(level));
    facts
}

pub(crate) fn order_facts() -> Vec<OrderFact> {
    let started = OrderFact::PaymentStarted {
        attempt: 1,
        provider: Box::new(provider()),
        return_url: Some(Box::new(url())),
        pin_until: Timestamp::new(1_700_001_200_000),
        key: Some(Box::new((key_hash(), fingerprint()))),
    };
    let refund = |reason| OrderFact::RefundDue { attempt: 1, generation: 2, reason };
    vec![
        OrderFact::Placed(Box::new(order())),
        OrderFact::Placed(Box::new(reservation())),
        OrderFact::Held { holds: holds() },
        OrderFact::Rejected { shortages: vec![shortage(Some(4)), shortage(None)] },
        OrderFact::Expired,
        OrderFact::Cancelled { reason: Some(label("changed my mind")) },
        OrderFact::Extended { expires_at: Timestamp::new(1_700_000_960_000) },
        OrderFact::Confirmed { reason: None },
        started,
        OrderFact::PaymentOpened { attempt: 1, redirect_url: url() },
        OrderFact::PaymentUnknown { attempt: 1 },
        OrderFact::PaymentDeclined { attempt: 1, expires_at: Timestamp::new(1_700_000_960_000) },
        OrderFact::PaymentVoided { attempt: 5 },
        OrderFact::Paid { attempt: 2 },
        OrderFact::PaymentLate { attempt: 2 },
        OrderFact::Reheld { generation: 2, holds: holds() },
        refund(RefundReason::OrderOver),
        refund(RefundReason::PaidTwice),
        OrderFact::Refunded { attempt: 2 },
        OrderFact::Settled,
        OrderFact::TooManyLocations { shortages: vec![shortage(Some(4))] },
    ]
}

fn answers() -> Vec<StoredResponse> {
    let refused = |rejection| StoredResponse::AdjustmentRefused { request_id: request_id(), rejection };
    let command_refused = |rejection| StoredResponse::Refused { request_id: request_id(), rejection };
    vec![
        StoredResponse::Adjusted(view()),
        refused(Rejection::UnknownSku(sku())),
        refused(Rejection::Short(shortage(Some(2)))),
        refused(Rejection::TooMany),
        refused(Rejection::BelowTaken { taken: 7, count: -2 }),
        StoredResponse::Payment { attempt: AttemptId { order: order_id(), number: 3 }, redirect_url: Some(url()) },
        StoredResponse::PaymentRefused { request_id: request_id(), state: "expired".to_owned() },
        StoredResponse::Set(view()),
        StoredResponse::Moved { order: order_id(), facts: 300 },
        command_refused(Rejection::InvalidTransition { kind: Kind::Reservation, status: Status::Confirmed }),
        command_refused(Rejection::ReservationExpired),
        command_refused(Rejection::BelowTaken { taken: 70_000, count: -3 }),
        command_refused(Rejection::TooMany),
        command_refused(Rejection::HoldLimit(HoldLimit::Life { max_ms: 604_800_000 })),
        command_refused(Rejection::HoldLimit(HoldLimit::Extensions { max: 1_000 })),
    ]
}

fn answered(answer: StoredResponse) -> KeyFact {
    KeyFact::Answered { key: key_hash(), fingerprint: fingerprint(), answer: Arc::new(answer) }
}

fn order() -> Placed {
    let line = |quantity, seller, metadata: Option<&str>| Line {
        sku: sku(),
        quantity: Quantity::new(quantity),
        unit_price: Money::new(1_999),
        seller,
        metadata: metadata.map(Box::from),
    };
    Placed {
        kind: Kind::Order,
        number: 130,
        fingerprint: fingerprint(),
        request_id: request_id(),
        customer: CustomerId::new("Ada Lovelace"),
        currency: Currency::new("EUR"),
        lines: vec![line(2, Some(label("seller 9")), Some("{\"gift\":true}")), line(1, None, None)],
        allow_partial: true,
        expires_at: Timestamp::new(1_700_000_900_000),
        shipping_address: Some("{\"city\":\"Zürich\"}".into()),
        metadata: Some("{}".into()),
        payment: Some(PaymentRequest { provider: provider(), return_url: None }),
        origin: None,
    }
}

fn reservation() -> Placed {
    Placed {
        kind: Kind::Reservation,
        customer: None,
        currency: None,
        allow_partial: false,
        shipping_address: None,
        metadata: None,
        payment: None,
        ..order()
    }
}

fn view() -> StockView {
    let buckets = Buckets {
        on_hand: Quantity::new(100),
        held: Quantity::new(1),
        pinned: Quantity::new(2),
        committed: Quantity::new(3),
        damaged: Quantity::new(4),
        quality_control: Quantity::new(5),
        safety_target: Quantity::new(6),
    };
    let locations = vec![LocationView { location: location("main"), priority: 1, buckets }];
    StockView { sku: sku(), version: 77, low_stock_threshold: Quantity::new(10), locations }
}

fn shortage(available: Option<u64>) -> Shortage {
    Shortage { line: 2, sku: sku(), requested: Quantity::new(6), available }
}

fn holds() -> Vec<SkuHold> {
    vec![SkuHold { sku: sku(), allocations: allocations() }]
}

fn allocations() -> Vec<Allocation> {
    [("main", 200), ("west", 1)]
        .map(|(name, units)| Allocation { location: location(name), quantity: Quantity::new(units) })
        .into()
}

fn hold() -> HoldKey {
    HoldKey { order: order_id(), generation: 1 }
}

fn key_hash() -> KeyHash {
    KeyHash::derive("shop", "orders", "golden")
}

fn order_id() -> OrderId {
    OrderId::derive(key_hash(), Partitions::new(64).unwrap())
}

fn fingerprint() -> Fingerprint {
    Fingerprint(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
}

fn sku() -> Sku {
    Sku::new("TSHIRT-Größe-L").unwrap()
}

fn location(name: &str) -> Location {
    Location::new(name).unwrap()
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn provider() -> Provider {
    Provider::new("bank").unwrap()
}

fn request_id() -> RequestId {
    RequestId::new("req-01").unwrap()
}

fn url() -> Url {
    Url::new("https://shop.example/return?order=1").unwrap()
}
