//! Wire types: what the API answers. One way to render an order, whatever asked for it: as the fold of its facts.

use compact_str::CompactString;
use holdfast_engine::event::{Allocation, Buckets, Kind, LocationView, StockView};
use holdfast_engine::ids::Sku;
use holdfast_engine::limits;
use holdfast_engine::order::{Order, Stage};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::time::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::cell::RefCell;
use utoipa::ToSchema;

/// A time as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub Timestamp);

impl Rfc3339 {
    /// The text, with the calendar worked out once a second: most times of a busy server share theirs.
    fn text(self) -> Option<CompactString> {
        thread_local! {
            static SECONDS: RefCell<[(u64, CompactString); 4]> = RefCell::default();
        }
        let (second, millis) = (self.0.0 / 1000, self.0.0 % 1000);
        SECONDS.with_borrow_mut(|seconds| {
            let known = &mut seconds[(second % 4) as usize];
            if known.0 != second || known.1.is_empty() {
                let at = jiff::Timestamp::from_second(i64::try_from(second).ok()?).ok()?;
                // Without the zone, which follows the milliseconds.
                *known = (second, CompactString::new(at.to_string().trim_end_matches('Z')));
            }
            let digit = |place: u64| char::from(b'0' + (millis / place % 10) as u8);
            let mut text = known.1.clone();
            ['.', digit(100), digit(10), digit(1), 'Z'].into_iter().for_each(|character| text.push(character));
            Some(text)
        })
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => serializer.serialize_str(&text),
            None => serializer.serialize_none(),
        }
    }
}

/// An id with its prefix.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub &'static str, pub T);

impl<T: std::fmt::Display> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Id<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

#[derive(Serialize, ToSchema)]
pub struct AllocationBody<'a> {
    location: &'a str,
    quantity: u32,
}

fn serialize_allocations<S: Serializer>(allocations: &&[Allocation], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(allocations.iter().map(allocation_body))
}

fn allocation_body(one: &Allocation) -> AllocationBody<'_> {
    AllocationBody { location: one.location.as_str(), quantity: one.quantity.0 }
}

#[derive(Serialize, ToSchema)]
pub struct LineBody<'a> {
    line: usize,
    sku: &'a str,
    quantity: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_price: Option<i64>,
    held: u32,
    pinned: u32,
    committed: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reservation_id: Option<Id<ReservationId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seller_id: Option<&'a str>,
    #[serde(serialize_with = "serialize_allocations")]
    #[schema(value_type = Vec<AllocationBody<'a>>)]
    allocations: &'a [Allocation],
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
}

/// The stock side of an order under its own id. Late money makes a new one.
#[derive(Clone, Copy)]
pub struct ReservationId {
    order: holdfast_engine::ids::OrderId,
    generation: u8,
}

impl std::fmt::Display for ReservationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.generation {
            1 => write!(f, "{}", self.order),
            generation => write!(f, "{}-{generation}", self.order),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct PaymentBody<'a> {
    #[schema(value_type = String)]
    attempt_id: Id<holdfast_engine::ids::AttemptId>,
    provider: &'a str,
    status: &'static str,
    redirect_url: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
pub struct OrderBody<'a> {
    #[schema(value_type = String)]
    id: Id<holdfast_engine::ids::OrderId>,
    number: u64,
    status: &'static str,
    payment_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    customer_id: Option<&'a str>,
    currency: Option<&'a str>,
    total: i64,
    lines: Vec<LineBody<'a>>,
    #[schema(value_type = String)]
    expires_at: Rfc3339,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    shipping_address: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
    allowed_transitions: &'static [&'static str],
    version: u32,
    #[schema(value_type = String)]
    created_at: Rfc3339,
    #[schema(value_type = String)]
    updated_at: Rfc3339,
}

#[derive(Serialize, ToSchema)]
pub struct ReservationBody<'a> {
    #[schema(value_type = String)]
    id: Id<holdfast_engine::ids::OrderId>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    lines: Vec<LineBody<'a>>,
    #[schema(value_type = String)]
    expires_at: Rfc3339,
    version: u32,
    #[schema(value_type = String)]
    created_at: Rfc3339,
    #[schema(value_type = String)]
    updated_at: Rfc3339,
}

fn raw(json: Option<&str>) -> Option<&RawValue> {
    json.and_then(|json| serde_json::from_str(json).ok())
}

fn line_body<'a>(order: &'a Order, index: usize, view: &'a holdfast_engine::order::LineView) -> LineBody<'a> {
    let placed = order.placed();
    let line = &placed.lines[index];
    let at = |stage: Stage| if order.stage() == stage { view.units.0 } else { 0 };
    let of_order = placed.kind == Kind::Order;
    LineBody {
        line: index + 1,
        sku: line.sku.as_str(),
        quantity: line.quantity.0,
        unit_price: of_order.then_some(line.unit_price.0),
        held: at(Stage::Held),
        pinned: at(Stage::Pinned),
        committed: at(Stage::Committed),
        reservation_id: of_order.then_some(Id("res_", ReservationId { order: order.id, generation: order.generation })),
        seller_id: line.seller.as_ref().map(|seller| seller.as_str()),
        allocations: &view.allocations,
        metadata: raw(line.metadata.as_deref()),
    }
}

/// The JSON of an order.
pub fn order_json(order: &Order) -> Vec<u8> {
    let views = order.lines();
    let placed = order.placed();
    let payment = order.shown_attempt().map(|attempt| PaymentBody {
        attempt_id: Id("", order.attempt_id(attempt)),
        provider: attempt.provider.as_str(),
        status: attempt.state.name(),
        redirect_url: attempt.redirect_url.as_ref().map(|url| url.as_str()),
    });
    to_json(&OrderBody {
        id: Id("ord_", order.id),
        number: placed.number,
        status: order.status.name(Kind::Order),
        payment_status: order.payment_status(),
        reason: rejection_reason(order),
        customer_id: placed.customer.as_ref().map(|customer| customer.as_str()),
        currency: placed.currency.as_ref().map(|currency| currency.as_str()),
        total: order.amount().0,
        lines: views.iter().enumerate().map(|(index, view)| line_body(order, index, view)).collect(),
        expires_at: Rfc3339(order.expires_at),
        payment,
        shipping_address: raw(placed.shipping_address.as_deref()),
        metadata: raw(placed.metadata.as_deref()),
        allowed_transitions: order.status.allowed(Kind::Order),
        version: order.version(),
        created_at: Rfc3339(order.created_at()),
        updated_at: Rfc3339(order.updated_at()),
    })
}

fn rejection_reason(order: &Order) -> Option<&'static str> {
    let unknown = |shortage: &holdfast_engine::event::Shortage| shortage.available.is_none();
    match order.shortages() {
        [] => None,
        shortages if shortages.iter().any(unknown) => Some("unknown_sku"),
        _ => Some("out_of_stock"),
    }
}

/// The JSON of a reservation; of an order it shows the stock side.
pub fn reservation_json(order: &Order) -> Vec<u8> {
    let views = order.lines();
    let placed = order.placed();
    to_json(&ReservationBody {
        id: Id("res_", order.id),
        status: order.status.name(Kind::Reservation),
        owner: placed.customer.as_ref().map(|customer| customer.as_str()),
        lines: views.iter().enumerate().map(|(index, view)| line_body(order, index, view)).collect(),
        expires_at: Rfc3339(order.expires_at),
        version: order.version(),
        created_at: Rfc3339(order.created_at()),
        updated_at: Rfc3339(order.updated_at()),
    })
}

/// Counters of a SKU or of one of its locations.
#[derive(Default, Serialize, ToSchema)]
pub struct CountersBody {
    pub available: u64,
    pub on_hand: u64,
    pub held: u64,
    pub pinned: u64,
    pub committed: u64,
    pub damaged: u64,
    pub quality_control: u64,
    /// Units kept back now: the target, or all that is free where that is less.
    pub safety_stock: u64,
    pub safety_stock_target: u64,
}

impl CountersBody {
    fn add(&mut self, buckets: &Buckets) {
        let sum = |total: &mut u64, units: Quantity| *total += u64::from(units.0);
        sum(&mut self.available, buckets.available());
        sum(&mut self.on_hand, buckets.on_hand);
        sum(&mut self.held, buckets.held);
        sum(&mut self.pinned, buckets.pinned);
        sum(&mut self.committed, buckets.committed);
        sum(&mut self.damaged, buckets.damaged);
        sum(&mut self.quality_control, buckets.quality_control);
        sum(&mut self.safety_stock, buckets.safety_stock());
        sum(&mut self.safety_stock_target, buckets.safety_target);
    }
}

#[derive(Serialize, ToSchema)]
pub struct LocationBody<'a> {
    location: &'a str,
    priority: u16,
    #[serde(flatten)]
    counters: CountersBody,
}

#[derive(Serialize, ToSchema)]
pub struct StockBody<'a> {
    sku: &'a str,
    version: u64,
    #[serde(flatten)]
    counters: CountersBody,
    in_stock: bool,
    low_stock: bool,
    low_stock_threshold: u32,
    locations: Vec<LocationBody<'a>>,
}

pub fn stock_json(stock: &StockView) -> Vec<u8> {
    let mut counters = CountersBody::default();
    stock.locations.iter().for_each(|place| counters.add(&place.buckets));
    to_json(&StockBody {
        sku: stock.sku.as_str(),
        version: stock.version,
        in_stock: counters.available > 0,
        low_stock: counters.available <= u64::from(stock.low_stock_threshold.0),
        low_stock_threshold: stock.low_stock_threshold.0,
        locations: stock.locations.iter().map(location_body).collect(),
        counters,
    })
}

fn location_body(place: &LocationView) -> LocationBody<'_> {
    let mut counters = CountersBody::default();
    counters.add(&place.buckets);
    LocationBody { location: place.location.as_str(), priority: place.priority, counters }
}

#[derive(Serialize, ToSchema)]
pub struct AvailabilityItem<'a> {
    sku: &'a str,
    available: u64,
    in_stock: bool,
}

pub fn availability_item(sku: &Sku, available: Option<u64>) -> AvailabilityItem<'_> {
    let available = available.unwrap_or(0);
    AvailabilityItem { sku: sku.as_str(), available, in_stock: available > 0 }
}

/// The limits of this server, as `/v1/limits` publishes them.
pub fn limits_json() -> Vec<u8> {
    to_json(&serde_json::json!({
        "body_bytes": limits::MAX_BODY_BYTES,
        "lines_per_order": limits::MAX_LINES,
        "line_quantity": limits::MAX_LINE_QUANTITY,
        "sku_bytes": limits::MAX_SKU_BYTES,
        "hold_seconds": {"min": limits::MIN_TTL_MS / 1000, "default": limits::DEFAULT_TTL_MS / 1000, "max": limits::MAX_TTL_MS / 1000},
        "payment_attempts": limits::MAX_ATTEMPTS,
        "batch_items": limits::MAX_BATCH,
        "availability_skus": limits::MAX_QUERY,
        "metadata_bytes": limits::MAX_JSON_BYTES,
        "idempotency_key_bytes": 255,
        "idempotency_window": "orders and reservations: for life; other requests: kept with the data, at least 24 hours",
    }))
}

pub fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity(640);
    match serde_json::to_writer(&mut json, value) {
        Ok(()) => json,
        Err(error) => unreachable!("our own types are JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        let shown = |millis: u64| serde_json::to_value(Rfc3339(Timestamp(millis))).unwrap();
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(1_795_252_657_911), "2026-11-21T09:17:37.911Z");
        assert_eq!(shown(1_795_252_657_007), "2026-11-21T09:17:37.007Z");
        assert_eq!(shown(u64::MAX), serde_json::Value::Null);
    }
}
