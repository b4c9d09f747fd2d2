//! Wire types: what the API answers. One way to render an order, whatever asked for it: as the fold of its facts.

mod batch;
mod lists;
mod text;

pub use batch::{BatchBody, ItemResult, batch_json};
pub use lists::{Edge, OrderListBody, StockListBody, orders_json, stock_list_json};
pub use text::{Id, Rfc3339};

use crate::json::{Json, Value};
use holdfast_engine::event::{Allocation, Buckets, Kind, LocationView, StockView};
use holdfast_engine::ids::{AttemptId, Sku};
use holdfast_engine::limits;
use holdfast_engine::order::{Order, Stage};
use holdfast_engine::quantity::Quantity;
use serde::Serialize;
use utoipa::ToSchema;

/// A word of our own: nothing in it is to be escaped.
struct Name(&'static str);

impl Value for Name {
    fn write(&self, json: &mut Json) {
        json.plain(self.0.as_bytes());
    }
}

struct Names(&'static [&'static str]);

impl Value for Names {
    fn write(&self, json: &mut Json) {
        json.list(self.0.iter().map(|name| Name(name)));
    }
}

#[derive(ToSchema)]
pub struct AllocationBody<'a> {
    location: &'a str,
    quantity: u32,
}

impl Value for AllocationBody<'_> {
    fn write(&self, json: &mut Json) {
        json.member(r#"{"location":"#, self.location);
        json.member(r#","quantity":"#, &self.quantity);
        json.raw("}");
    }
}

/// What a line has of which location.
struct Allocations<'a>(&'a [Allocation]);

impl Value for Allocations<'_> {
    fn write(&self, json: &mut Json) {
        json.list(self.0.iter().map(|one| AllocationBody { location: one.location.as_str(), quantity: one.quantity.0 }));
    }
}

/// JSON that somebody gave us, checked when it came.
struct Given<'a>(&'a str);

impl Value for Given<'_> {
    fn write(&self, json: &mut Json) {
        json.raw(self.0);
    }
}

#[derive(ToSchema)]
pub struct LineBody<'a> {
    line: usize,
    sku: &'a str,
    quantity: u32,
    unit_price: Option<i64>,
    held: u32,
    pinned: u32,
    committed: u32,
    #[schema(value_type = Option<String>)]
    reservation_id: Option<ReservationId>,
    seller_id: Option<&'a str>,
    #[schema(value_type = Vec<AllocationBody<'a>>)]
    allocations: Allocations<'a>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Given<'a>>,
}

impl Value for LineBody<'_> {
    fn write(&self, json: &mut Json) {
        json.member(r#"{"line":"#, &self.line);
        json.member(r#","sku":"#, self.sku);
        json.member(r#","quantity":"#, &self.quantity);
        json.optional(r#","unit_price":"#, &self.unit_price);
        json.member(r#","held":"#, &self.held);
        json.member(r#","pinned":"#, &self.pinned);
        json.member(r#","committed":"#, &self.committed);
        json.optional(r#","reservation_id":"#, &self.reservation_id);
        json.optional(r#","seller_id":"#, &self.seller_id);
        json.member(r#","allocations":"#, &self.allocations);
        json.optional(r#","metadata":"#, &self.metadata);
        json.raw("}");
    }
}

/// The stock side of an order under its own id. Late money makes a new one.
struct ReservationId {
    id: Id,
    generation: u8,
}

impl Value for ReservationId {
    fn write(&self, json: &mut Json) {
        match self.generation {
            1 => self.id.write(json),
            generation => json.plain(format!("{}-{generation}", self.id).as_bytes()),
        }
    }
}

#[derive(ToSchema)]
pub struct PaymentBody<'a> {
    #[schema(value_type = String)]
    attempt_id: AttemptId,
    provider: &'a str,
    #[schema(value_type = String)]
    status: Name,
    redirect_url: Option<&'a str>,
}

impl Value for PaymentBody<'_> {
    fn write(&self, json: &mut Json) {
        json.member(r#"{"attempt_id":"#, self.attempt_id.to_string().as_str());
        json.member(r#","provider":"#, self.provider);
        json.member(r#","status":"#, &self.status);
        json.member(r#","redirect_url":"#, &self.redirect_url);
        json.raw("}");
    }
}

#[derive(ToSchema)]
pub struct OrderBody<'a> {
    #[schema(value_type = String)]
    id: Id,
    /// A number for people. Unique for ever; neither dense nor in the order of time: each partition counts its own orders and
    /// reservations and leaves the numbers of the others out. Take `created_at` for time.
    number: u64,
    #[schema(value_type = String)]
    status: Name,
    #[schema(value_type = String)]
    payment_status: Name,
    #[schema(value_type = Option<String>)]
    reason: Option<Name>,
    customer_id: Option<&'a str>,
    currency: Option<&'a str>,
    total: i64,
    lines: Vec<LineBody<'a>>,
    #[schema(value_type = String)]
    expires_at: Rfc3339,
    payment: Option<PaymentBody<'a>>,
    #[schema(value_type = Option<Object>)]
    shipping_address: Option<Given<'a>>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Given<'a>>,
    #[schema(value_type = Vec<String>)]
    allowed_transitions: Names,
    version: u32,
    #[schema(value_type = String)]
    created_at: Rfc3339,
    #[schema(value_type = String)]
    updated_at: Rfc3339,
}

impl Value for OrderBody<'_> {
    fn write(&self, json: &mut Json) {
        json.member(r#"{"id":"#, &self.id);
        json.member(r#","number":"#, &self.number);
        json.member(r#","status":"#, &self.status);
        json.member(r#","payment_status":"#, &self.payment_status);
        json.optional(r#","reason":"#, &self.reason);
        json.member(r#","customer_id":"#, &self.customer_id);
        json.member(r#","currency":"#, &self.currency);
        json.member(r#","total":"#, &self.total);
        json.member(r#","lines":"#, self.lines.as_slice());
        json.member(r#","expires_at":"#, &self.expires_at);
        json.optional(r#","payment":"#, &self.payment);
        json.optional(r#","shipping_address":"#, &self.shipping_address);
        json.optional(r#","metadata":"#, &self.metadata);
        json.member(r#","allowed_transitions":"#, &self.allowed_transitions);
        json.member(r#","version":"#, &self.version);
        json.member(r#","created_at":"#, &self.created_at);
        json.member(r#","updated_at":"#, &self.updated_at);
        json.raw("}");
    }
}

#[derive(ToSchema)]
pub struct ReservationBody<'a> {
    #[schema(value_type = String)]
    id: Id,
    #[schema(value_type = String)]
    status: Name,
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

impl Value for ReservationBody<'_> {
    fn write(&self, json: &mut Json) {
        json.member(r#"{"id":"#, &self.id);
        json.member(r#","status":"#, &self.status);
        json.optional(r#","owner":"#, &self.owner);
        json.member(r#","lines":"#, self.lines.as_slice());
        json.member(r#","expires_at":"#, &self.expires_at);
        json.member(r#","version":"#, &self.version);
        json.member(r#","created_at":"#, &self.created_at);
        json.member(r#","updated_at":"#, &self.updated_at);
        json.raw("}");
    }
}

/// The reservation that an order has, written without a copy of it in between.
pub struct ReservationOf<'a>(pub &'a Order);

impl Value for ReservationOf<'_> {
    fn write(&self, json: &mut Json) {
        let order = self.0;
        let (views, placed) = (order.lines(), order.placed());
        let reservation = Id::reservation(order.id);
        let body = ReservationBody {
            id: reservation,
            status: Name(order.status.name(Kind::Reservation)),
            owner: placed.customer.as_ref().map(|customer| customer.as_str()),
            lines: views.iter().enumerate().map(|(index, view)| line_body(order, reservation, index, view)).collect(),
            expires_at: Rfc3339(order.expires_at),
            version: order.version(),
            created_at: Rfc3339(order.created_at()),
            updated_at: Rfc3339(order.updated_at()),
        };
        body.write(json);
    }
}

fn line_body<'a>(order: &'a Order, id: Id, index: usize, view: &'a holdfast_engine::order::LineView) -> LineBody<'a> {
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
        reservation_id: of_order.then_some(ReservationId { id, generation: order.generation }),
        seller_id: line.seller.as_ref().map(|seller| seller.as_str()),
        allocations: Allocations(&view.allocations),
        metadata: line.metadata.as_deref().map(Given),
    }
}

/// The JSON of an order.
pub fn order_json(order: &Order) -> Vec<u8> {
    Json::of(&OrderOf(order))
}

/// An order, written without a copy of it in between.
pub struct OrderOf<'a>(pub &'a Order);

impl Value for OrderOf<'_> {
    fn write(&self, json: &mut Json) {
        write_order(self.0, json);
    }
}

fn write_order(order: &Order, json: &mut Json) {
    let views = order.lines();
    let placed = order.placed();
    let payment = order.shown_attempt().map(|attempt| PaymentBody {
        attempt_id: order.attempt_id(attempt),
        provider: attempt.provider.as_str(),
        status: Name(attempt.state.name()),
        redirect_url: attempt.redirect_url.as_ref().map(|url| url.as_str()),
    });
    let id = Id::order(order.id);
    let reservation = id.as_reservation();
    let body = OrderBody {
        id,
        number: placed.number,
        status: Name(order.status.name(Kind::Order)),
        payment_status: Name(order.payment_status()),
        reason: rejection_reason(order).map(Name),
        customer_id: placed.customer.as_ref().map(|customer| customer.as_str()),
        currency: placed.currency.as_ref().map(|currency| currency.as_str()),
        total: order.amount().0,
        lines: views.iter().enumerate().map(|(index, view)| line_body(order, reservation, index, view)).collect(),
        expires_at: Rfc3339(order.expires_at),
        payment,
        shipping_address: placed.shipping_address.as_deref().map(Given),
        metadata: placed.metadata.as_deref().map(Given),
        allowed_transitions: Names(order.status.allowed(Kind::Order)),
        version: order.version(),
        created_at: Rfc3339(order.created_at()),
        updated_at: Rfc3339(order.updated_at()),
    };
    body.write(json);
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
    Json::of(&ReservationOf(order))
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
    to_json(&stock_body(stock))
}

pub fn stock_body(stock: &StockView) -> StockBody<'_> {
    let mut counters = CountersBody::default();
    stock.locations.iter().for_each(|place| counters.add(&place.buckets));
    StockBody {
        sku: stock.sku.as_str(),
        version: stock.version,
        in_stock: counters.available > 0,
        low_stock: counters.available <= u64::from(stock.low_stock_threshold.0),
        low_stock_threshold: stock.low_stock_threshold.0,
        locations: stock.locations.iter().map(location_body).collect(),
        counters,
    }
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

/// The limits of this server, as `/v1/limits` publishes them. `scope` is what the keys of the caller are bound to.
pub fn limits_json(scope: Option<&str>) -> Vec<u8> {
    to_json(&serde_json::json!({
        "body_bytes": limits::MAX_BODY_BYTES,
        "lines_per_order": limits::MAX_LINES,
        "line_quantity": limits::MAX_LINE_QUANTITY,
        "sku_characters": limits::SKU.characters,
        "sku_bytes": limits::SKU.bytes,
        "location_characters": limits::LOCATION.characters,
        "location_bytes": limits::LOCATION.bytes,
        "name_characters": limits::NAME.characters,
        "name_bytes": limits::NAME.bytes,
        "label_characters": limits::LABEL.characters,
        "label_bytes": limits::LABEL.bytes,
        "url_bytes": limits::URL.bytes,
        "page_items": {"default": limits::DEFAULT_PAGE, "max": limits::MAX_PAGE},
        "hold_seconds": {"min": limits::MIN_TTL_MS / 1000, "default": limits::DEFAULT_TTL_MS / 1000, "max": limits::MAX_TTL_MS / 1000},
        "payment_attempts": limits::MAX_ATTEMPTS,
        "batch_items": limits::MAX_BATCH,
        "availability_skus": limits::MAX_QUERY,
        "metadata_bytes": limits::MAX_JSON_BYTES,
        "metadata_levels": limits::MAX_JSON_DEPTH,
        "idempotency_key_bytes": limits::IDEMPOTENCY_KEY.bytes,
        "idempotency_window": "orders and reservations: for life; other requests: kept with the data, at least 24 hours",
        "idempotency": {"scope": scope},
    }))
}

pub fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity(640);
    match serde_json::to_writer(&mut json, value) {
        Ok(()) => json,
        Err(error) => unreachable!("our own types are JSON: {error}"),
    }
}
