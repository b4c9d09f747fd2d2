//! Ids of orders, reservations and attempts as they are written outside: what the engine knows, behind a prefix.
//!
//! Invariant: an id has one spelling, and no prefix is written or read elsewhere.

use crate::wire::json::{Json, Value};
use holdfast_engine::ids::{AttemptId, OrderId};
use serde::{Serialize, Serializer};
use std::fmt;

/// Characters of a prefix.
const PREFIX: usize = 4;
pub const ORDER: &str = "ord_";
pub const RESERVATION: &str = "res_";
pub const ATTEMPT: &str = "pay_";

/// The id of an order or of its stock side, laid out in place.
#[derive(Clone, Copy, Debug)]
pub struct Id([u8; PREFIX + OrderId::TEXT]);

impl Id {
    pub fn order(id: OrderId) -> Self {
        Self::with(ORDER, id)
    }

    pub fn reservation(id: OrderId) -> Self {
        Self::with(RESERVATION, id)
    }

    /// The id of the stock side of this order.
    pub fn as_reservation(mut self) -> Self {
        self.0[..PREFIX].copy_from_slice(RESERVATION.as_bytes());
        self
    }

    fn with(prefix: &str, id: OrderId) -> Self {
        let mut text = [0; PREFIX + OrderId::TEXT];
        text[..PREFIX].copy_from_slice(prefix.as_bytes());
        text[PREFIX..].copy_from_slice(&id.text());
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Value for Id {
    fn write(&self, json: &mut Json) {
        json.plain(&self.0);
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The id of an attempt to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(pub AttemptId);

impl Attempt {
    pub fn parse(text: &str) -> Option<Self> {
        let (order, number) = text.strip_prefix(ATTEMPT)?.split_once('-')?;
        let attempt = Self(AttemptId { order: OrderId::parse(order)?, number: number.parse().ok()? });
        // Neither `-01` nor `-+1` is `-1`.
        (attempt.to_string() == text).then_some(attempt)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ATTEMPT}{}-{}", self.0.order, self.0.number)
    }
}

impl Serialize for Attempt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Value for Attempt {
    fn write(&self, json: &mut Json) {
        json.plain(self.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_has_one_spelling() {
        let order = OrderId::from_bytes([7; 16]);
        let parse = |prefix: &str, rest: &str| Attempt::parse(&format!("{prefix}{order}{rest}"));
        let attempt = Attempt(AttemptId { order, number: 1 });
        assert_eq!(parse("pay_", "-1"), Some(attempt));
        assert_eq!(Attempt::parse(&attempt.to_string()), Some(attempt));
        for wrong in ["-01", "-+1", "-256", "-", "", "-1-1", "-1 "] {
            assert_eq!(parse("pay_", wrong), None, "{wrong}");
        }
        assert_eq!((parse("", "-1"), parse("ord_", "-1")), (None, None));
    }

    #[test]
    fn an_order_and_its_stock_side_differ_by_their_prefix() {
        let id = OrderId::from_bytes([0; 16]);
        let zeros = "0".repeat(OrderId::TEXT);
        assert_eq!(Id::order(id).as_str(), format!("ord_{zeros}"));
        assert_eq!(Id::reservation(id).as_str(), format!("res_{zeros}"));
        assert_eq!(Id::order(id).as_reservation().as_str(), Id::reservation(id).as_str());
    }
}
