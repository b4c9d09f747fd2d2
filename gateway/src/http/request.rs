//! Wire types: what the API takes. Engine types never go over the wire, and unknown fields are refused.

mod checker;
mod document;
mod fingerprint;

pub use checker::Checker;
pub use fingerprint::of_payment;

use crate::http::problem::FieldError;
use crate::providers::registry::Known;
use crate::wire::object::read_from_objects;
use crate::wire::scalars;
use compact_str::CompactString;
use fingerprint::{OrderMeaning, ReservationMeaning};
use holdfast_engine::event::{Bucket, Kind, Line, Placed};
use holdfast_engine::ids::{CustomerId, Fingerprint, RequestId};
use holdfast_engine::quantity::{Currency, Money};
use holdfast_engine::time::Timestamp;
use holdfast_engine::{limits, order};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

type Errors = Vec<FieldError>;

/// One line of an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct LineIn {
    #[schema(value_type = scalars::Sku)]
    pub sku: CompactString,
    #[schema(value_type = scalars::LineQuantity)]
    pub quantity: u64,
    #[schema(value_type = scalars::Amount)]
    pub unit_price: i64,
    #[schema(value_type = Option<scalars::Label>)]
    pub seller_id: Option<String>,
    #[schema(value_type = scalars::AnyJson, required = false)]
    pub metadata: Option<Box<RawValue>>,
}

/// A payment to start with the order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PaymentIn {
    #[schema(schema_with = provider)]
    pub provider: String,
    /// Where the payment page sends the buyer back to.
    #[schema(value_type = Option<scalars::Link>)]
    pub return_url: Option<String>,
}

/// The name of the provider that takes the money.
fn provider() -> Schema {
    let name = ObjectBuilder::new().schema_type(Type::String).description(Some("The provider that takes the money."));
    name.enum_values(Some(Known::ALL.map(Known::name))).into()
}

/// An order to be placed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": "DEMO-SHIRT", "quantity": 2, "unit_price": 1999}]})))]
pub struct OrderIn {
    #[schema(value_type = scalars::Name)]
    pub customer_id: CompactString,
    #[schema(value_type = scalars::CurrencyCode)]
    pub currency: CompactString,
    pub lines: Vec<LineIn>,
    /// Sum of quantity × unit_price in minor units; checked if given.
    #[schema(value_type = Option<scalars::Amount>)]
    pub total: Option<i64>,
    #[schema(value_type = Option<scalars::HoldSeconds>)]
    pub ttl_seconds: Option<u64>,
    /// Take what is there where a line cannot be had whole.
    #[serde(default)]
    pub allow_partial: bool,
    #[schema(value_type = scalars::AnyJson, required = false)]
    pub shipping_address: Option<Box<RawValue>>,
    #[schema(value_type = scalars::AnyJson, required = false)]
    pub metadata: Option<Box<RawValue>>,
    pub payment: Option<PaymentIn>,
}

/// One line of a reservation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ReservationLineIn {
    #[schema(value_type = scalars::Sku)]
    pub sku: String,
    #[schema(value_type = scalars::LineQuantity)]
    pub quantity: u64,
}

/// Units to be held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"owner": "till-7", "lines": [{"sku": "DEMO-MUG", "quantity": 1}], "ttl_seconds": 60})))]
pub struct ReservationIn {
    #[schema(value_type = Option<scalars::Name>)]
    pub owner: Option<String>,
    pub lines: Vec<ReservationLineIn>,
    #[schema(value_type = Option<scalars::HoldSeconds>)]
    pub ttl_seconds: Option<u64>,
}

/// One reservation of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BatchItemIn {
    /// The idempotency key of this item.
    #[schema(value_type = scalars::IdempotencyKey)]
    pub key: String,
    #[schema(value_type = Option<scalars::Name>)]
    pub owner: Option<String>,
    pub lines: Vec<ReservationLineIn>,
    #[schema(value_type = Option<scalars::HoldSeconds>)]
    pub ttl_seconds: Option<u64>,
}

/// Reservations to be made in one request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"items": [{"key": "till-7-1", "lines": [{"sku": "DEMO-MUG", "quantity": 1}], "ttl_seconds": 60}]})))]
pub struct BatchIn {
    pub items: Vec<BatchItemIn>,
}

/// Why it is done, for those who look at it later.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"reason": "changed their mind"})))]
pub struct ReasonIn {
    #[schema(value_type = Option<scalars::Label>)]
    pub reason: Option<String>,
}

/// How much longer to hold.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"ttl_seconds": 600})))]
pub struct ExtendIn {
    #[schema(value_type = Option<scalars::HoldSeconds>)]
    pub ttl_seconds: Option<u64>,
}

/// A count of one location.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"on_hand": 100, "safety_stock": 0})))]
pub struct StockIn {
    #[schema(value_type = scalars::Units)]
    pub on_hand: u64,
    /// Units kept back from sale. Unchanged if left out.
    #[schema(value_type = Option<scalars::Units>)]
    pub safety_stock: Option<u64>,
    /// Unchanged if left out.
    #[schema(value_type = Option<scalars::Priority>)]
    pub priority: Option<u16>,
}

/// The bucket that an adjustment changes.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Bucket)]
pub enum BucketIn {
    #[default]
    OnHand,
    Damaged,
    QualityControl,
}

impl From<BucketIn> for Bucket {
    fn from(bucket: BucketIn) -> Self {
        match bucket {
            BucketIn::OnHand => Bucket::OnHand,
            BucketIn::Damaged => Bucket::Damaged,
            BucketIn::QualityControl => Bucket::QualityControl,
        }
    }
}

/// Units that came or went.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"location": "berlin", "delta": 5, "reason": "found behind the shelf"})))]
pub struct AdjustmentIn {
    #[schema(value_type = scalars::LocationName)]
    pub location: String,
    #[serde(default)]
    pub bucket: BucketIn,
    #[schema(value_type = scalars::Delta)]
    pub delta: i64,
    #[schema(value_type = scalars::Label)]
    pub reason: String,
    #[schema(value_type = Option<scalars::Label>)]
    pub reference: Option<String>,
}

/// When stock counts as low.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"low_stock_threshold": 10})))]
pub struct ThresholdIn {
    #[schema(value_type = scalars::Units)]
    pub low_stock_threshold: u64,
}

/// The shard that a partition is to go to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"shard": 1})))]
pub struct MoveIn {
    pub shard: u64,
}

/// The SKUs that somebody asks about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"skus": ["DEMO-SHIRT", "DEMO-MUG"]})))]
pub struct AvailabilityIn {
    #[schema(value_type = Vec<scalars::Sku>)]
    pub skus: Vec<String>,
}

/// One line of an import.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(examples(json!({"sku": "DEMO-SHIRT", "location": "berlin", "on_hand": 100})))]
pub struct ImportRow {
    #[schema(value_type = scalars::Sku)]
    pub sku: String,
    #[schema(value_type = scalars::LocationName)]
    pub location: String,
    #[schema(value_type = scalars::Units)]
    pub on_hand: u64,
    #[schema(value_type = Option<scalars::Units>)]
    pub safety_stock: Option<u64>,
}

read_from_objects! {
    LineIn PaymentIn OrderIn ReservationLineIn ReservationIn BatchItemIn BatchIn ReasonIn ExtendIn StockIn AdjustmentIn ThresholdIn MoveIn AvailabilityIn ImportRow
}

/// The time that a request is placed at, and how long its units are held if it does not say.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Timestamp,
    pub ttl_ms: u64,
}

impl Moment {
    fn expires_at(self, ttl_seconds: Option<u64>) -> Timestamp {
        self.now.plus(ttl_seconds.map_or(self.ttl_ms, |seconds| seconds.saturating_mul(1000)))
    }
}

/// A checked order: what the engine takes, and the hash of what the caller meant.
pub struct CheckedOrder {
    pub placed: Placed,
    /// The total the caller expects, to be compared with the sum of the lines.
    pub total: Option<Money>,
    pub sum: Money,
}

impl OrderIn {
    /// # Errors
    /// Every field that is not as it should be.
    pub fn check(&self, moment: Moment, request_id: RequestId) -> Result<CheckedOrder, Errors> {
        let mut checker = Checker::default();
        let customer = CustomerId::new(&self.customer_id);
        let customer = checker.take(customer, || "/customer_id".to_owned(), CustomerId::rule);
        let currency =
            checker.take(Currency::new(&self.currency), || "/currency".to_owned(), || "must be an ISO 4217 code".to_owned());
        let ttl_ms = checker.ttl_ms(self.ttl_seconds);
        checker.lines(self.lines.len());
        let mut lines = Vec::with_capacity(self.lines.len().min(limits::MAX_LINES));
        let given = self.lines.iter().take(limits::MAX_LINES).enumerate();
        lines.extend(given.filter_map(|(index, line)| line.check(index, &mut checker)));
        let sum = order::sum(lines.iter().map(|line: &Line| (line.unit_price, line.quantity)));
        let sum = checker.take(sum, || "/lines".to_owned(), || "cost more than can be counted".to_owned());
        let shipping_address = checker.json(self.shipping_address.as_deref(), || "/shipping_address".to_owned());
        let metadata = checker.json(self.metadata.as_deref(), || "/metadata".to_owned());
        let payment = self.payment.as_ref().and_then(|payment| checker.payment(payment, "/payment"));
        if !checker.errors.is_empty() {
            return Err(checker.errors);
        }
        let meant = OrderMeaning {
            customer: &customer,
            currency: &currency,
            lines: &lines,
            total: self.total,
            ttl_ms,
            allow_partial: self.allow_partial,
            shipping_address: &shipping_address,
            metadata: &metadata,
            payment: &payment,
        };
        let placed = Placed {
            kind: Kind::Order,
            number: 0,
            fingerprint: Fingerprint::of(&meant),
            request_id,
            customer,
            currency,
            lines,
            allow_partial: self.allow_partial,
            expires_at: moment.expires_at(self.ttl_seconds),
            shipping_address,
            metadata,
            payment,
            origin: None,
        };
        Ok(CheckedOrder { placed, total: self.total.map(Money::new), sum: sum.unwrap_or_default() })
    }
}

impl LineIn {
    fn check(&self, index: usize, checker: &mut Checker) -> Option<Line> {
        let at = |field: &str| format!("/lines/{index}/{field}");
        let sku = checker.sku(&self.sku, || at("sku"));
        let quantity = checker.quantity(self.quantity, index);
        let price = (self.unit_price >= 0).then_some(Money::new(self.unit_price));
        let unit_price = checker.take(price, || at("unit_price"), || "must not be negative".to_owned());
        let seller = checker.some_label(self.seller_id.as_deref(), || at("seller_id"));
        let metadata = checker.json(self.metadata.as_deref(), || at("metadata"));
        Some(Line { sku: sku?, quantity: quantity?, unit_price: unit_price?, seller, metadata })
    }
}

/// A reservation is an order without prices and payment.
///
/// # Errors
/// Every field that is not as it should be.
pub fn check_reservation(
    owner: Option<&str>,
    lines_in: &[ReservationLineIn],
    ttl_seconds: Option<u64>,
    moment: Moment,
    request_id: RequestId,
) -> Result<Placed, Errors> {
    let mut checker = Checker::default();
    let customer = owner.and_then(|owner| checker.take(CustomerId::new(owner), || "/owner".to_owned(), CustomerId::rule));
    let ttl_ms = checker.ttl_ms(ttl_seconds);
    checker.lines(lines_in.len());
    let mut lines = Vec::with_capacity(lines_in.len().min(limits::MAX_LINES));
    for (index, line) in lines_in.iter().take(limits::MAX_LINES).enumerate() {
        let sku = checker.sku(&line.sku, || format!("/lines/{index}/sku"));
        let quantity = checker.quantity(line.quantity, index);
        if let (Some(sku), Some(quantity)) = (sku, quantity) {
            lines.push(Line { sku, quantity, unit_price: Money::ZERO, seller: None, metadata: None });
        }
    }
    if !checker.errors.is_empty() {
        return Err(checker.errors);
    }
    Ok(Placed {
        kind: Kind::Reservation,
        number: 0,
        fingerprint: Fingerprint::of(&ReservationMeaning { customer: &customer, lines: &lines, ttl_ms }),
        request_id,
        customer,
        currency: None,
        lines,
        allow_partial: false,
        expires_at: moment.expires_at(ttl_seconds),
        shipping_address: None,
        metadata: None,
        payment: None,
        origin: None,
    })
}
