//! An order as `POST /v1/orders` takes it, and a reply of the same fields and size as Holdfast's, for servers to compare with.
//!
//! Invariant: every one of them parses the same JSON and answers the same number of bytes.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) quantity: u64,
    unit_price: i64,
    seller_id: Option<String>,
    metadata: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "parsed like the real request, and then not needed")]
pub(crate) struct Order {
    customer_id: String,
    currency: String,
    pub(crate) lines: Vec<Line>,
    total: Option<i64>,
    ttl_seconds: Option<u64>,
    allow_partial: Option<bool>,
    shipping_address: Option<Value>,
    metadata: Option<Value>,
    payment: Option<Value>,
}

#[derive(Serialize)]
struct Allocation<'a> {
    location: &'a str,
    quantity: u64,
}

#[derive(Serialize)]
struct LineBody<'a> {
    line: usize,
    sku: &'a str,
    quantity: u64,
    unit_price: i64,
    held: u64,
    pinned: u64,
    committed: u64,
    reservation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seller_id: Option<&'a str>,
    allocations: Vec<Allocation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Value>,
}

#[derive(Serialize)]
struct OrderBody<'a> {
    id: &'a str,
    number: u64,
    status: &'a str,
    payment_status: &'a str,
    customer_id: &'a str,
    currency: &'a str,
    total: i64,
    lines: Vec<LineBody<'a>>,
    expires_at: &'a str,
    allowed_transitions: &'a [&'a str],
    version: u32,
    created_at: &'a str,
    updated_at: &'a str,
}

/// 201 with the order, as if its units were held.
pub(crate) fn created(order: &Order, number: u64) -> HttpResponse {
    let id = format!("ord_{number:026}");
    let reservation = format!("res_{number:026}");
    let lines = order.lines.iter().enumerate().map(|(index, line)| LineBody {
        line: index + 1,
        sku: &line.sku,
        quantity: line.quantity,
        unit_price: line.unit_price,
        held: line.quantity,
        pinned: 0,
        committed: 0,
        reservation_id: &reservation,
        seller_id: line.seller_id.as_deref(),
        allocations: vec![Allocation { location: "main", quantity: line.quantity }],
        metadata: line.metadata.as_ref(),
    });
    let reply = OrderBody {
        id: &id,
        number,
        status: "awaiting_payment",
        payment_status: "none",
        customer_id: &order.customer_id,
        currency: &order.currency,
        total: order.lines.iter().map(|line| line.unit_price * line.quantity as i64).sum(),
        lines: lines.collect(),
        expires_at: "2026-01-01T00:15:00.000Z",
        allowed_transitions: &["payments", "cancel", "confirm"],
        version: 2,
        created_at: "2026-01-01T00:00:00.000Z",
        updated_at: "2026-01-01T00:00:00.000Z",
    };
    let mut json = Vec::with_capacity(640);
    match serde_json::to_writer(&mut json, &reply) {
        Ok(()) => HttpResponse::Created()
            .insert_header(("location", format!("/v1/orders/{id}")))
            .insert_header(("etag", "\"2\""))
            .content_type("application/json")
            .body(json),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
