//! The names, numbers, times and words that requests and answers are made of: each described once, with its bounds.
//!
//! Invariant: every bound is one of `holdfast_engine::limits`, and every word is one the engine says.

use crate::wire::figures::filled;
use crate::wire::{ids, names};
use holdfast_engine::event::Kind;
use holdfast_engine::limits::{self, TextLength};
use holdfast_engine::order::{self, AttemptState, Status};
use serde_json::json;
use std::collections::BTreeSet;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{Components, RefOr};
use utoipa::{PartialSchema, ToSchema};

macro_rules! scalars {
    ($($name:ident $description:literal = $schema:expr;)+) => {
        $(
            /// Stands for the type of a field in the description; there are no values of it.
            pub enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    $schema.description(Some(filled($description))).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> std::borrow::Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )+

        /// Puts all of them where references look for them.
        pub fn add_to(components: &mut Components) {
            $(components.schemas.insert(stringify!($name).to_owned(), $name::schema());)+
        }
    };
}

/// Neither control characters nor white space.
const VISIBLE: &str = r"^[^\s\x00-\x1f\x7f-\x9f]+$";
/// No control characters.
const PRINTABLE: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
const VISIBLE_ASCII: &str = r"^[\x21-\x7e]+$";
/// The characters of an id behind its prefix.
const ID: &str = "[0-9a-hjkmnp-tv-z]{26}";

const STATUSES: [Status; 10] = [
    Status::Reserving,
    Status::AwaitingPayment,
    Status::PaymentInFlight,
    Status::PaymentUnknown,
    Status::Confirmed,
    Status::Cancelled,
    Status::Expired,
    Status::Rejected,
    Status::LatePayment,
    Status::Refunded,
];

const ATTEMPTS: [AttemptState; 8] = [
    AttemptState::Opening,
    AttemptState::Open,
    AttemptState::Unknown,
    AttemptState::Captured,
    AttemptState::Declined,
    AttemptState::Voided,
    AttemptState::RefundDue,
    AttemptState::Refunded,
];

const PAYMENTS: [order::PaymentStatus; 8] = [
    order::PaymentStatus::None,
    order::PaymentStatus::Pending,
    order::PaymentStatus::Unknown,
    order::PaymentStatus::Captured,
    order::PaymentStatus::Invoiced,
    order::PaymentStatus::Failed,
    order::PaymentStatus::RefundDue,
    order::PaymentStatus::Refunded,
];

scalars! {
    Sku "A stock keeping unit. Compared byte by byte: nothing is normalised." = text(limits::SKU, VISIBLE).examples(["DEMO-SHIRT"]);
    LocationName "A warehouse, shop or shelf that holds units." = text(limits::LOCATION, VISIBLE).examples(["berlin"]);
    Name "Whoever places an order or owns a reservation, as the storefront names them." = text(limits::NAME, PRINTABLE).examples(["ada"]);
    Label "A reason, a reference or a seller." = text(limits::LABEL, PRINTABLE).examples(["stocktake"]);
    IdempotencyKey "New for each new request, the same for each retry of it."
        = text(limits::IDEMPOTENCY_KEY, VISIBLE_ASCII).examples(["order-4711"]);
    CorrelationId "What the caller relates an order to, in systems of their own."
        = text(limits::CORRELATION_ID, VISIBLE_ASCII).examples(["cart-4711"]);
    RequestId "The caller's `X-Request-Id`, or one made here." = text(limits::NAME, VISIBLE);
    OrderId "The id of an order." = id(ids::ORDER, "");
    ReservationId "The id of a reservation, or of the stock side of an order. Units that late money took anew end in their generation."
        = id(ids::RESERVATION, "(-[0-9]+)?");
    AttemptId "One try to pay an order." = id(ids::ATTEMPT, "-[1-9][0-9]*");
    AttemptLink "An attempt; where API keys exist, with the token behind it that `redirect_url` ends with." = string();
    CurrencyCode "A code of ISO 4217." = string().pattern(Some("^[A-Z]{3}$")).examples(["EUR"]);
    Amount "Minor units of the currency." = whole(0, i64::MAX as u64);
    LineQuantity "Units of one line." = whole(1, limits::MAX_LINE_QUANTITY.into());
    Units "Units of one bucket." = whole(0, limits::MAX_BUCKET.into());
    Sum "Units of one or more buckets." = whole(0, i64::MAX as u64);
    Delta "Units to add, or to take away if negative. Not zero." = delta();
    HoldSeconds "The life of a hold, counted from now. `hold_seconds` of GET /v1/limits says how long it is by default, and at most: \
        operators change both." = whole(limits::MIN_TTL_MS / 1000, limits::MAX_TTL_MS / 1000);
    Priority "Lower is allocated first." = whole(0, u16::MAX.into());
    Repeats "How often more." = whole(0, u8::MAX.into());
    PageLimit "How much of it at most." = whole(1, limits::MAX_PAGE as u64).default(Some(limits::DEFAULT_PAGE.into()));
    Cursor "How far a reader has read. Opaque: give it back as it came." = string();
    Time "UTC, RFC 3339, with milliseconds." = string().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).pattern(Some("Z$"));
    Link "A URL." = string().max_length(Some(limits::URL.characters)).pattern(Some("^https?://"));
    AnyJson "Any JSON, at most {metadata_bytes} of it and {metadata_levels} levels deep, no name twice in an object. It comes back with its \
        numbers in the spelling in which they were sent, members in the order of their names." = ObjectBuilder::new().schema_type(SchemaType::AnyValue)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    Members "Members that depend on the type." = ObjectBuilder::new().schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    OrderStatus "Where an order stands." = words(STATUSES.map(|status| status.name(Kind::Order)));
    ReservationStatus "Where a reservation stands." = words(STATUSES.map(|status| status.name(Kind::Reservation)));
    OrderTransition "What may be asked of an order or a reservation now." = words(transitions());
    PaymentStatus "How the payment of an order stands, all attempts together."
        = words(PAYMENTS.map(names::payment_status));
    AttemptStatus "How one attempt stands." = words(ATTEMPTS.map(names::attempt));
    SandboxButton "A button of the payment page." = words(["approve", "decline", "silence"]);
    RejectionReason "Why an order was rejected." = words(["out_of_stock", "unknown_sku", "too_many_locations"]);
}

/// This HTTP status alone.
pub fn status(status: u16) -> Schema {
    ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status])).into()
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// What a name may have beside its length in characters, the bytes of it, stands in `/v1/limits`.
fn text(length: TextLength, pattern: &str) -> ObjectBuilder {
    string().min_length(Some(1)).max_length(Some(length.characters)).pattern(Some(pattern))
}

fn id(prefix: &str, end: &str) -> ObjectBuilder {
    string().pattern(Some(format!("^{prefix}{ID}{end}$")))
}

fn whole(least: u64, most: u64) -> ObjectBuilder {
    integer().minimum(Some(least as usize)).maximum(Some(most as usize))
}

fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
}

fn delta() -> ObjectBuilder {
    let most = limits::MAX_BUCKET as isize;
    let not_zero = Extensions::from_iter([("not", json!({"const": 0}))]);
    integer().minimum(Some(-most)).maximum(Some(most)).extensions(Some(not_zero))
}

/// One of these words.
pub fn words(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    // Two states of an order may be one of a reservation.
    let mut seen = BTreeSet::new();
    let words: Vec<&str> = words.into_iter().filter(|word| seen.insert(*word)).collect();
    string().enum_values(Some(words))
}

fn transitions() -> impl Iterator<Item = &'static str> {
    let kinds = [Kind::Order, Kind::Reservation];
    kinds.into_iter().flat_map(|kind| STATUSES.into_iter().flat_map(move |status| names::allowed(status, kind).iter().copied()))
}
