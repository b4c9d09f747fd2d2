//! What of a request makes it the same request: the fields that the fingerprint of its key is a hash of.
//!
//! Invariant: frozen. Every order keeps its fingerprint, and a retry of any age must have the same one: a field that is added to the
//! API is added here only in a way that leaves bodies without it what they were. The same holds for `ttl_ms`: where a request does not say
//! it, it is the constant of the engine, however long its units are held.

use holdfast_engine::event::{Line, PaymentRequest};
use holdfast_engine::ids::{CustomerId, Fingerprint, Label, Provider, Sku, Url};
use holdfast_engine::quantity::{Currency, Money, Quantity};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

#[derive(Serialize)]
pub(super) struct OrderMeaning<'a> {
    pub(super) customer: &'a Option<CustomerId>,
    pub(super) currency: &'a Option<Currency>,
    #[serde(serialize_with = "lines")]
    pub(super) lines: &'a [Line],
    pub(super) total: Option<i64>,
    pub(super) ttl_ms: u64,
    pub(super) allow_partial: bool,
    #[serde(serialize_with = "document")]
    pub(super) shipping_address: &'a Option<Box<str>>,
    #[serde(serialize_with = "document")]
    pub(super) metadata: &'a Option<Box<str>>,
    #[serde(serialize_with = "payment")]
    pub(super) payment: &'a Option<PaymentRequest>,
}

#[derive(Serialize)]
pub(super) struct ReservationMeaning<'a> {
    pub(super) customer: &'a Option<CustomerId>,
    #[serde(serialize_with = "lines")]
    pub(super) lines: &'a [Line],
    pub(super) ttl_ms: u64,
}

#[derive(Serialize)]
struct LineMeaning<'a> {
    sku: &'a Sku,
    quantity: Quantity,
    unit_price: Money,
    seller: &'a Option<Label>,
    #[serde(serialize_with = "document")]
    metadata: &'a Option<Box<str>>,
}

fn lines<S: Serializer>(lines: &[Line], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(lines.iter().map(|Line { sku, quantity, unit_price, seller, metadata }| LineMeaning {
        sku,
        quantity: *quantity,
        unit_price: *unit_price,
        seller,
        metadata,
    }))
}

/// What a request for a payment means.
pub fn of_payment(wanted: &PaymentRequest) -> Fingerprint {
    Fingerprint::of(&PaymentMeaning::of(wanted))
}

#[derive(Serialize)]
struct PaymentMeaning<'a> {
    provider: &'a Provider,
    return_url: &'a Option<Url>,
}

impl<'a> PaymentMeaning<'a> {
    fn of(PaymentRequest { provider, return_url }: &'a PaymentRequest) -> Self {
        Self { provider, return_url }
    }
}

fn payment<S: Serializer>(payment: &Option<PaymentRequest>, serializer: S) -> Result<S::Ok, S::Error> {
    payment.as_ref().map(PaymentMeaning::of).serialize(serializer)
}

fn document<S: Serializer>(json: &Option<Box<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    json.as_deref().map(meaning).serialize(serializer)
}

/// A document with each number in one spelling of its value, if a float holds that value: so were documents kept, and hashed, before
/// numbers kept their spelling. Other numbers mean what they say.
fn meaning(json: &str) -> Cow<'_, str> {
    let mut respelled = String::new();
    let (mut copied, mut at) = (0, 0);
    while at < json.len() {
        let rest = &json[at..];
        let (length, number) = token(rest);
        if let Some(other) = number.then(|| respell(&rest[..length])).flatten() {
            respelled.push_str(&json[copied..at]);
            respelled.push_str(&other);
            copied = at + length;
        }
        at += length;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    respelled.push_str(&json[copied..]);
    Cow::Owned(respelled)
}

/// Length of the text, number or anything else that comes next in compact JSON, and whether it is a number.
fn token(json: &str) -> (usize, bool) {
    let bytes = json.as_bytes();
    let numeric = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    match bytes.first() {
        Some(b'"') => {
            let mut escaped = false;
            let closing = |byte: &u8| {
                let closes = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                closes
            };
            (bytes.iter().skip(1).position(closing).map_or(bytes.len(), |index| index + 2), false)
        }
        Some(b'0'..=b'9' | b'-') => (bytes.iter().take_while(|byte| numeric(byte)).count(), true),
        // Outside of texts there is nothing but ASCII.
        Some(_) | None => (1, false),
    }
}

/// The spelling that a float of exactly this value has, if it is another.
fn respell(number: &str) -> Option<String> {
    let float: serde_json::Value = serde_json::from_str(number).ok()?;
    let spelled = float.to_string();
    (spelled != number && decimal(&spelled) == decimal(number)).then_some(spelled)
}

/// Sign, digits without zeros at either end, and the power of ten of the last of them.
fn decimal(number: &str) -> (bool, String, i64) {
    let (negative, unsigned) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    let digits = all.trim_end_matches('0');
    let shift = all.len() as i64 - digits.len() as i64 - fraction.len() as i64;
    let digits = digits.trim_start_matches('0').to_owned();
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX).saturating_add(shift);
    if digits.is_empty() { (negative, digits, 0) } else { (negative, digits, exponent) }
}

#[cfg(test)]
mod tests {
    use super::super::{Moment, OrderIn, ReservationLineIn, check_reservation};
    use super::*;
    use holdfast_engine::ids::RequestId;
    use holdfast_engine::time::Timestamp;
    use serde_json::{Value, json};

    const AT: Moment = Moment { now: Timestamp::ZERO, ttl_ms: 900_000 };

    fn of_order(body: &str) -> u128 {
        let order: OrderIn = serde_json::from_str(body).unwrap();
        order.check(AT, RequestId::new("r").unwrap()).unwrap_or_else(|errors| panic!("{errors:?}")).placed.fingerprint.0
    }

    fn with_metadata(metadata: &str) -> u128 {
        of_order(&format!(
            r#"{{"customer_id":"ada","currency":"EUR","lines":[{{"sku":"MUG","quantity":1,"unit_price":2,"metadata":{metadata}}}],
                "shipping_address":{metadata},"metadata":{metadata}}}"#
        ))
    }

    /// As it was computed when documents were kept as serde has them, over the types of the engine of then.
    fn as_then(metadata: &str) -> u128 {
        let kept = |text: &str| Some(serde_json::from_str::<Value>(text).unwrap().to_string().into_boxed_str());
        let line = Line {
            sku: Sku::new("MUG").unwrap(),
            quantity: Quantity::new(1),
            unit_price: Money::new(2),
            seller: None,
            metadata: kept(metadata),
        };
        let (customer, currency) = (CustomerId::new("ada"), Currency::new("EUR"));
        let (total, payment): (Option<i64>, Option<PaymentRequest>) = (None, None);
        let meant = (&customer, &currency, &vec![line], total, 900_000_u64, false, &kept(metadata), &kept(metadata), &payment);
        Fingerprint::of(&meant).0
    }

    #[test]
    fn bodies_of_before_have_the_fingerprint_of_before() {
        let documents = [
            "{}",
            "null",
            "\"x\"",
            "[1,-7,0.1,1.5,true,null]",
            "{\"b\":[1],\"a\":{\"é\":\"\\u00e9 1.0\"}}",
            "18446744073709551615",
            "-9223372036854775808",
            "1.0",
            "1E2",
            "[1e2,1.50,-0,-0.0,0e7,100.00]",
            "{\"1.50\":\"1.50\"}",
            "1e-7",
            "1.25e+3",
            "0.00001",
        ];
        for metadata in documents.iter().filter(|metadata| **metadata != "null") {
            assert_eq!(with_metadata(metadata), as_then(metadata), "{metadata}");
        }
    }

    #[test]
    fn the_order_of_members_and_the_spelling_of_a_value_do_not_matter() {
        assert_eq!(with_metadata("{\"a\":1,\"b\":100.0}"), with_metadata("{ \"b\":1E2, \"a\":1 }"));
        assert_ne!(with_metadata("1"), with_metadata("1.0"), "as it always was");
    }

    /// To a float they are the same.
    #[test]
    fn numbers_that_no_float_tells_apart_are_told_apart() {
        for (one, other) in [
            ("12345678901234567890.123", "12345678901234567890.124"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("1e400", "1e401"),
            ("100000000000000000000000000000000001", "100000000000000000000000000000000002"),
        ] {
            assert_ne!(with_metadata(one), with_metadata(other), "{one} and {other}");
        }
    }

    /// Frozen: orders in journals have them.
    #[test]
    fn fingerprints_stay_what_they_are() {
        let order = json!({"customer_id": "ada", "currency": "EUR", "total": 4500, "ttl_seconds": 60, "allow_partial": true,
            "lines": [{"sku": "MUG", "quantity": 2, "unit_price": 2000, "seller_id": "shop", "metadata": {"gift": true, "note": "é"}},
                {"sku": "CUP", "quantity": 1, "unit_price": 500}],
            "shipping_address": {"city": "Zürich", "lines": ["a", 7, 1.5]}, "metadata": {"cart": 12},
            "payment": {"provider": "sandbox", "return_url": "https://shop.example/"}});
        assert_eq!(format!("{:032x}", of_order(&order.to_string())), "ea944a2cfbf3a490d197832e2d369579");
        let lines = [ReservationLineIn { sku: "MUG".to_owned(), quantity: 3 }];
        let reserved = check_reservation(Some("ada"), &lines, Some(60), AT, RequestId::new("r").unwrap());
        let reserved = reserved.unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(format!("{:032x}", reserved.fingerprint.0), "e80908a375bd64be8f816b4836b128e8");
    }

    /// The knob `orders.ttl_seconds` is turned between a request and its retry.
    #[test]
    fn a_request_without_a_ttl_has_one_fingerprint_whatever_the_default_is_and_is_held_as_long_as_that_says() {
        let order: OrderIn =
            serde_json::from_str(r#"{"customer_id":"ada","currency":"EUR","lines":[{"sku":"MUG","quantity":1,"unit_price":2}]}"#)
                .unwrap();
        let lines = [ReservationLineIn { sku: "MUG".to_owned(), quantity: 1 }];
        let placed = |ttl_ms| {
            let (moment, id) = (Moment { now: Timestamp::new(5), ttl_ms }, || RequestId::new("r").unwrap());
            let order = order.check(moment, id()).unwrap_or_else(|errors| panic!("{errors:?}")).placed;
            let reserved = check_reservation(None, &lines, None, moment, id()).unwrap_or_else(|errors| panic!("{errors:?}"));
            [(order.fingerprint, order.expires_at), (reserved.fingerprint, reserved.expires_at)]
        };
        let said: OrderIn = serde_json::from_str(
            r#"{"customer_id":"ada","currency":"EUR","ttl_seconds":900,"lines":[{"sku":"MUG","quantity":1,"unit_price":2}]}"#,
        )
        .unwrap();
        let said = said.check(AT, RequestId::new("r").unwrap()).unwrap_or_else(|errors| panic!("{errors:?}")).placed;
        assert_eq!(placed(300_000)[0].0, said.fingerprint, "as one that says 900 s, as ever");
        for (before, after) in placed(900_000).into_iter().zip(placed(300_000)) {
            assert_eq!(before.0, after.0);
            assert_eq!((before.1, after.1), (Timestamp::new(900_005), Timestamp::new(300_005)));
        }
    }

    /// As it was when it was a hash of the type of the engine.
    #[test]
    fn a_payment_has_the_fingerprint_of_before() {
        for return_url in [None, Url::new("https://shop.example/")] {
            let wanted = PaymentRequest { provider: Provider::new("sandbox").unwrap(), return_url };
            assert_eq!(of_payment(&wanted), Fingerprint::of(&wanted));
        }
        let wanted =
            PaymentRequest { provider: Provider::new("sandbox").unwrap(), return_url: Url::new("https://shop.example/") };
        assert_eq!(format!("{:032x}", of_payment(&wanted).0), "d9706f9055ae70751a57620c75db9323");
    }
}
