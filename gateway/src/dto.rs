//! Wire types: what the API takes. Engine types never go over the wire, and unknown fields are refused.

use crate::openapi::scalars;
use crate::problem::FieldError;
use compact_str::CompactString;
use holdfast_engine::event::{Bucket, Kind, Line, PaymentRequest, Placed};
use holdfast_engine::ids::{CustomerId, Fingerprint, Label, Location, Provider, RequestId, Sku, Url};
use holdfast_engine::limits;
use holdfast_engine::quantity::{Currency, Money, Quantity};
use holdfast_engine::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

type Errors = Vec<FieldError>;

/// One line of an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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
    pub metadata: Option<Value>,
}

/// A payment to start with the order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentIn {
    #[schema(schema_with = scalars::provider)]
    pub provider: String,
    /// Where the payment page sends the buyer back to.
    #[schema(value_type = Option<scalars::Link>)]
    pub return_url: Option<String>,
}

/// An order to be placed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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
    pub shipping_address: Option<Value>,
    #[schema(value_type = scalars::AnyJson, required = false)]
    pub metadata: Option<Value>,
    pub payment: Option<PaymentIn>,
}

/// One line of a reservation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReservationLineIn {
    #[schema(value_type = scalars::Sku)]
    pub sku: String,
    #[schema(value_type = scalars::LineQuantity)]
    pub quantity: u64,
}

/// Units to be held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"items": [{"key": "till-7-1", "lines": [{"sku": "DEMO-MUG", "quantity": 1}], "ttl_seconds": 60}]})))]
pub struct BatchIn {
    pub items: Vec<BatchItemIn>,
}

/// Why it is done, for those who look at it later.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"reason": "changed their mind"})))]
pub struct ReasonIn {
    #[schema(value_type = Option<scalars::Label>)]
    pub reason: Option<String>,
}

/// How much longer to hold.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"ttl_seconds": 600})))]
pub struct ExtendIn {
    #[schema(value_type = Option<scalars::HoldSeconds>)]
    pub ttl_seconds: Option<u64>,
}

/// A count of one location.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"low_stock_threshold": 10})))]
pub struct ThresholdIn {
    #[schema(value_type = scalars::Units)]
    pub low_stock_threshold: u64,
}

/// The SKUs that somebody asks about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"skus": ["DEMO-SHIRT", "DEMO-MUG"]})))]
pub struct AvailabilityIn {
    #[schema(value_type = Vec<scalars::Sku>)]
    pub skus: Vec<String>,
}

/// One line of an import.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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

/// A checked order: what the engine takes, and the hash of what the caller meant.
pub struct CheckedOrder {
    pub placed: Placed,
    /// The total the caller expects, to be compared with the sum of the lines.
    pub total: Option<Money>,
    pub sum: Money,
}

/// Gathers mistakes so that a caller hears of all of them at once.
#[derive(Default)]
pub struct Checker {
    pub errors: Errors,
}

impl Checker {
    fn fail(&mut self, pointer: &str, message: &str) {
        self.errors.push(FieldError::new(pointer, message));
    }

    fn take<T>(&mut self, value: Option<T>, pointer: impl Fn() -> String, message: &str) -> Option<T> {
        if value.is_none() {
            self.fail(&pointer(), message);
        }
        value
    }

    pub fn sku(&mut self, text: &str, pointer: impl Fn() -> String) -> Option<Sku> {
        self.take(Sku::new(text), pointer, "must be 1 to 128 visible characters")
    }

    pub fn location(&mut self, text: &str, pointer: impl Fn() -> String) -> Option<Location> {
        self.take(Location::new(text), pointer, "must be 1 to 64 visible characters")
    }

    pub fn label(&mut self, text: &str, pointer: impl Fn() -> String) -> Option<Label> {
        self.take(Label::new(text), pointer, "must be 1 to 256 printable characters")
    }

    pub fn some_label(&mut self, text: Option<&str>, pointer: impl Fn() -> String) -> Option<Label> {
        text.and_then(|text| self.label(text, pointer))
    }

    /// Units of a bucket.
    pub fn units(&mut self, units: u64, pointer: &str) -> Option<Quantity> {
        let fits = u32::try_from(units).ok().filter(|units| *units <= limits::MAX_BUCKET);
        self.take(fits.map(Quantity), || pointer.to_owned(), "must be 0 to 2,000,000,000")
    }

    fn quantity(&mut self, units: u64, line: usize) -> Option<Quantity> {
        let fits = u32::try_from(units).ok().filter(|units| (1..=limits::MAX_LINE_QUANTITY).contains(units));
        self.take(fits.map(Quantity), || format!("/lines/{line}/quantity"), "must be 1 to 1,000,000")
    }

    pub fn ttl_ms(&mut self, seconds: Option<u64>) -> u64 {
        let millis = seconds.map_or(limits::DEFAULT_TTL_MS, |seconds| seconds.saturating_mul(1000));
        if !(limits::MIN_TTL_MS..=limits::MAX_TTL_MS).contains(&millis) {
            self.fail("/ttl_seconds", "must be 1 to 86400");
        }
        millis
    }

    fn lines(&mut self, count: usize) {
        if !(1..=limits::MAX_LINES).contains(&count) {
            self.fail("/lines", "must have 1 to 500 lines");
        }
    }

    fn json(&mut self, value: Option<&Value>, pointer: impl Fn() -> String) -> Option<Box<str>> {
        let text = value?.to_string();
        let fits = (text.len() <= limits::MAX_JSON_BYTES).then(|| text.into_boxed_str());
        self.take(fits, pointer, "must be at most 16 KiB of JSON")
    }

    pub fn payment(&mut self, payment: &PaymentIn, base: &str) -> Option<PaymentRequest> {
        let known = Provider::new(&payment.provider).filter(|provider| provider.as_str() == "sandbox");
        let provider = self.take(known, || format!("{base}/provider"), "must be \"sandbox\"");
        let return_url = payment.return_url.as_deref().and_then(|url| {
            let absolute = (url.starts_with("http://") || url.starts_with("https://")).then(|| Url::new(url)).flatten();
            self.take(absolute, || format!("{base}/return_url"), "must be an http or https URL of at most 2,048 characters")
        });
        Some(PaymentRequest { provider: provider?, return_url })
    }
}

impl OrderIn {
    /// # Errors
    /// Every field that is not as it should be.
    pub fn check(&self, now: Timestamp, request_id: RequestId) -> Result<CheckedOrder, Errors> {
        let mut checker = Checker::default();
        let customer = CustomerId::new(&self.customer_id);
        let customer = checker.take(customer, || "/customer_id".to_owned(), "must be 1 to 128 printable characters");
        let currency = checker.take(Currency::new(&self.currency), || "/currency".to_owned(), "must be an ISO 4217 code");
        let ttl_ms = checker.ttl_ms(self.ttl_seconds);
        checker.lines(self.lines.len());
        let mut lines = Vec::with_capacity(self.lines.len().min(limits::MAX_LINES));
        let mut sum = Some(Money::ZERO);
        for (index, line) in self.lines.iter().take(limits::MAX_LINES).enumerate() {
            if let Some(line) = line.check(index, &mut checker) {
                sum = sum.and_then(|sum| sum.checked_add(line.unit_price.checked_times(line.quantity)?));
                lines.push(line);
            }
        }
        let sum = checker.take(sum, || "/lines".to_owned(), "cost more than can be counted");
        let shipping_address = checker.json(self.shipping_address.as_ref(), || "/shipping_address".to_owned());
        let metadata = checker.json(self.metadata.as_ref(), || "/metadata".to_owned());
        let payment = self.payment.as_ref().and_then(|payment| checker.payment(payment, "/payment"));
        if !checker.errors.is_empty() {
            return Err(checker.errors);
        }
        let meant =
            (&customer, &currency, &lines, self.total, ttl_ms, self.allow_partial, &shipping_address, &metadata, &payment);
        let placed = Placed {
            kind: Kind::Order,
            number: 0,
            fingerprint: Fingerprint::of(&meant),
            request_id,
            customer,
            currency,
            lines,
            allow_partial: self.allow_partial,
            expires_at: now.plus(ttl_ms),
            shipping_address,
            metadata,
            payment,
        };
        Ok(CheckedOrder { placed, total: self.total.map(Money), sum: sum.unwrap_or_default() })
    }
}

impl LineIn {
    fn check(&self, index: usize, checker: &mut Checker) -> Option<Line> {
        let at = |field: &str| format!("/lines/{index}/{field}");
        let sku = checker.sku(&self.sku, || at("sku"));
        let quantity = checker.quantity(self.quantity, index);
        let price = (self.unit_price >= 0).then_some(Money(self.unit_price));
        let unit_price = checker.take(price, || at("unit_price"), "must not be negative");
        let seller = checker.some_label(self.seller_id.as_deref(), || at("seller_id"));
        let metadata = checker.json(self.metadata.as_ref(), || at("metadata"));
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
    now: Timestamp,
    request_id: RequestId,
) -> Result<Placed, Errors> {
    let mut checker = Checker::default();
    let customer = owner
        .and_then(|owner| checker.take(CustomerId::new(owner), || "/owner".to_owned(), "must be 1 to 128 printable characters"));
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
        fingerprint: Fingerprint::of(&(&customer, &lines, ttl_ms)),
        request_id,
        customer,
        currency: None,
        lines,
        allow_partial: false,
        expires_at: now.plus(ttl_ms),
        shipping_address: None,
        metadata: None,
        payment: None,
    })
}
