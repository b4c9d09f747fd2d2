//! Wire types: what the API answers. One way to render an order, whatever asked for it: as the fold of its facts.

mod batch;
mod limits;
mod lists;
mod stock;

pub use batch::{BatchBody, ItemResult, batch_json};
pub use limits::{LimitsBody, limits_json};
pub use lists::{Edge, OrderListBody, StockListBody, orders_json, stock_list_json};
pub use stock::{AvailabilityBody, AvailabilityItem, StockBody, availability_item, stock_body, stock_json};

use crate::wire::ids::{Attempt, Id};
use crate::wire::json::{Json, Value};
use crate::wire::names;
use crate::wire::scalars;
use crate::wire::times::Rfc3339;
use holdfast_engine::event::Kind;
use holdfast_engine::order::{Allocations, LineView, Order, Stage};
use utoipa::ToSchema;

/// A word of our own: nothing in it is to be escaped.
struct Literal(&'static str);

impl Value for Literal {
    fn write(&self, json: &mut Json) {
        json.plain(self.0.as_bytes());
    }
}

struct Literals(&'static [&'static str]);

impl Value for Literals {
    fn write(&self, json: &mut Json) {
        json.list(self.0.iter().map(|name| Literal(name)));
    }
}

/// Units of one location.
#[derive(ToSchema)]
#[schema(as = Allocation)]
pub struct AllocationBody<'a> {
    #[schema(value_type = scalars::LocationName)]
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
impl Value for Allocations<'_> {
    fn write(&self, json: &mut Json) {
        json.list(self.iter().map(|one| AllocationBody { location: one.location, quantity: one.quantity.units() }));
    }
}

/// JSON that somebody gave us, checked when it came.
struct RawJson<'a>(&'a str);

impl Value for RawJson<'_> {
    fn write(&self, json: &mut Json) {
        json.raw(self.0);
    }
}

/// A line with what is held, pinned and sold of it.
#[derive(ToSchema)]
#[schema(as = Line)]
pub struct LineBody<'a> {
    /// From 1.
    line: usize,
    #[schema(value_type = scalars::Sku)]
    sku: &'a str,
    #[schema(value_type = scalars::LineQuantity)]
    quantity: u32,
    /// Of orders only.
    #[schema(value_type = Option<scalars::Amount>, nullable = false)]
    unit_price: Option<i64>,
    held: u32,
    pinned: u32,
    committed: u32,
    /// The stock side of the order. Of orders only.
    #[schema(value_type = Option<scalars::ReservationId>, nullable = false)]
    reservation_id: Option<ReservationId>,
    #[schema(value_type = Option<scalars::Label>, nullable = false)]
    seller_id: Option<&'a str>,
    #[schema(value_type = Vec<AllocationBody<'a>>)]
    allocations: Allocations<'a>,
    #[schema(value_type = scalars::AnyJson, required = false)]
    metadata: Option<RawJson<'a>>,
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

/// The lines of an order, written one after the other.
struct LinesOf<'a> {
    order: &'a Order,
    /// That the order has.
    reservation: Id,
}

impl Value for LinesOf<'_> {
    fn write(&self, json: &mut Json) {
        let lines = self.order.lines().zip(1..);
        json.list(lines.map(|(view, line)| line_body(self.order, self.reservation, line, view)));
    }
}

/// The attempt to pay that matters: the one that took money, else the last.
#[derive(ToSchema)]
#[schema(as = Payment)]
pub struct PaymentBody<'a> {
    #[schema(value_type = scalars::AttemptId)]
    attempt_id: Attempt,
    provider: &'a str,
    #[schema(value_type = scalars::AttemptStatus)]
    status: Literal,
    /// Where the buyer pays; null until the provider has said so, and for viewers.
    #[schema(value_type = Option<scalars::Link>, required = true)]
    redirect_url: Option<&'a str>,
}

impl Value for PaymentBody<'_> {
    fn write(&self, json: &mut Json) {
        json.member(r#"{"attempt_id":"#, &self.attempt_id);
        json.member(r#","provider":"#, self.provider);
        json.member(r#","status":"#, &self.status);
        json.member(r#","redirect_url":"#, &self.redirect_url);
        json.raw("}");
    }
}

/// An order and where it stands.
#[derive(ToSchema)]
#[schema(as = Order)]
pub struct OrderBody<'a> {
    #[schema(value_type = scalars::OrderId)]
    id: Id,
    /// A number for people. Unique for ever; neither dense nor in the order of time: each partition counts its own orders and
    /// reservations and leaves the numbers of the others out. Take `created_at` for time.
    number: u64,
    #[schema(value_type = scalars::OrderStatus)]
    status: Literal,
    #[schema(value_type = scalars::PaymentStatus)]
    payment_status: Literal,
    /// Of rejected orders only.
    #[schema(value_type = Option<scalars::RejectionReason>, nullable = false)]
    reason: Option<Literal>,
    #[schema(value_type = Option<scalars::Name>, required = true)]
    customer_id: Option<&'a str>,
    #[schema(value_type = Option<scalars::CorrelationId>, nullable = false)]
    correlation_id: Option<&'a str>,
    #[schema(value_type = Option<scalars::CurrencyCode>, required = true)]
    currency: Option<&'a str>,
    #[schema(value_type = scalars::Amount)]
    total: i64,
    #[schema(value_type = Vec<LineBody<'a>>)]
    lines: LinesOf<'a>,
    #[schema(value_type = scalars::Time)]
    expires_at: Rfc3339,
    #[schema(nullable = false)]
    payment: Option<PaymentBody<'a>>,
    #[schema(value_type = scalars::AnyJson, required = false)]
    shipping_address: Option<RawJson<'a>>,
    #[schema(value_type = scalars::AnyJson, required = false)]
    metadata: Option<RawJson<'a>>,
    #[schema(value_type = Vec<scalars::OrderTransition>)]
    allowed_transitions: Literals,
    /// Grows with every fact; also the `ETag`.
    version: u32,
    #[schema(value_type = scalars::Time)]
    created_at: Rfc3339,
    #[schema(value_type = scalars::Time)]
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
        json.optional(r#","correlation_id":"#, &self.correlation_id);
        json.member(r#","currency":"#, &self.currency);
        json.member(r#","total":"#, &self.total);
        json.member(r#","lines":"#, &self.lines);
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

/// A reservation, or the stock side of an order, and where it stands.
#[derive(ToSchema)]
#[schema(as = Reservation)]
pub struct ReservationBody<'a> {
    #[schema(value_type = scalars::ReservationId)]
    id: Id,
    #[schema(value_type = scalars::ReservationStatus)]
    status: Literal,
    #[schema(value_type = Option<scalars::Name>, nullable = false)]
    owner: Option<&'a str>,
    #[schema(value_type = Vec<LineBody<'a>>)]
    lines: LinesOf<'a>,
    #[schema(value_type = scalars::Time)]
    expires_at: Rfc3339,
    /// Grows with every fact; also the `ETag`.
    version: u32,
    #[schema(value_type = scalars::Time)]
    created_at: Rfc3339,
    #[schema(value_type = scalars::Time)]
    updated_at: Rfc3339,
}

impl Value for ReservationBody<'_> {
    fn write(&self, json: &mut Json) {
        json.member(r#"{"id":"#, &self.id);
        json.member(r#","status":"#, &self.status);
        json.optional(r#","owner":"#, &self.owner);
        json.member(r#","lines":"#, &self.lines);
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
        let reservation = Id::reservation(order.id);
        let body = ReservationBody {
            id: reservation,
            status: Literal(order.status.name(Kind::Reservation)),
            owner: order.placed().customer,
            lines: LinesOf { order, reservation },
            expires_at: Rfc3339(order.expires_at),
            version: order.version(),
            created_at: Rfc3339(order.created_at()),
            updated_at: Rfc3339(order.updated_at()),
        };
        body.write(json);
    }
}

fn line_body<'a>(order: &'a Order, id: Id, number: usize, view: LineView<'a>) -> LineBody<'a> {
    let LineView { line, units, allocations } = view;
    let at = |stage: Stage| if order.stage() == stage { units.units() } else { 0 };
    let of_order = order.kind() == Kind::Order;
    LineBody {
        line: number,
        sku: line.sku,
        quantity: line.quantity.units(),
        unit_price: of_order.then_some(line.unit_price.minor()),
        held: at(Stage::Held),
        pinned: at(Stage::Pinned),
        committed: at(Stage::Committed),
        reservation_id: of_order.then_some(ReservationId { id, generation: order.generation }),
        seller_id: line.seller,
        allocations,
        metadata: line.metadata.map(RawJson),
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
    let placed = order.placed();
    let payment = order.shown_attempt().map(|attempt| PaymentBody {
        attempt_id: Attempt(order.attempt_id(attempt)),
        provider: attempt.provider.as_str(),
        status: Literal(names::attempt(attempt.state)),
        redirect_url: attempt.redirect_url.as_ref().map(|url| url.as_str()),
    });
    let id = Id::order(order.id);
    let reservation = id.as_reservation();
    let body = OrderBody {
        id,
        number: placed.number,
        status: Literal(order.status.name(Kind::Order)),
        payment_status: Literal(names::payment_status(order.payment_status())),
        reason: rejection_reason(order).map(Literal),
        customer_id: placed.customer,
        correlation_id: placed.origin.correlation,
        currency: placed.currency.as_ref().map(|currency| currency.as_str()),
        total: order.amount().minor(),
        lines: LinesOf { order, reservation },
        expires_at: Rfc3339(order.expires_at),
        payment,
        shipping_address: placed.shipping_address.map(RawJson),
        metadata: placed.metadata.map(RawJson),
        allowed_transitions: Literals(names::allowed(order.status, Kind::Order)),
        version: order.version(),
        created_at: Rfc3339(order.created_at()),
        updated_at: Rfc3339(order.updated_at()),
    };
    body.write(json);
}

fn rejection_reason(order: &Order) -> Option<&'static str> {
    let unknown = |shortage: &holdfast_engine::event::Shortage| shortage.available.is_none();
    match order.shortages().as_slice() {
        [] => None,
        _ if order.too_many_locations() => Some("too_many_locations"),
        shortages if shortages.iter().any(unknown) => Some("unknown_sku"),
        _ => Some("out_of_stock"),
    }
}

/// The JSON of a reservation; of an order it shows the stock side.
pub fn reservation_json(order: &Order) -> Vec<u8> {
    Json::of(&ReservationOf(order))
}
