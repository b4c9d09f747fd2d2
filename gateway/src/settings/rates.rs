//! The section `[limits]`: how many requests a caller may send in how long.
//!
//! Invariant: a rate that is set is of at least one request, in one second to one day.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

const DAY: u32 = 86_400;
const UNITS: [(char, u32); 4] = [('d', DAY), ('h', 3_600), ('m', 60), ('s', 1)];
/// So many in a second are more than a server answers.
const MOST: u32 = 10_000_000;

/// By who sends the requests.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub storefront: StorefrontLimits,
    pub viewer: ViewerLimits,
    pub admin: AdminLimits,
    pub address: AddressLimits,
}

/// Of one key of a storefront.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorefrontLimits {
    pub orders: RateLimit,
    pub stock: RateLimit,
    pub reads: RateLimit,
}

/// Of one key of a viewer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ViewerLimits {
    pub reads: RateLimit,
    pub operators: RateLimit,
}

/// Of one key of an admin.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminLimits {
    pub orders: RateLimit,
    pub stock: RateLimit,
    pub reads: RateLimit,
    pub operators: RateLimit,
}

/// Of one address, where no key is asked for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AddressLimits {
    pub orders: RateLimit,
    pub stock: RateLimit,
    pub reads: RateLimit,
    pub operators: RateLimit,
    pub open: RateLimit,
}

impl Default for ViewerLimits {
    fn default() -> Self {
        let ten_a_second = RateLimit(Some(Rate { requests: NonZeroU32::new(600).unwrap_or(NonZeroU32::MIN), seconds: 60 }));
        Self { reads: ten_a_second, operators: ten_a_second }
    }
}

/// So many requests in so many seconds, all at once if need be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub requests: NonZeroU32,
    pub seconds: u32,
}

/// A rate, written `100/1h`. None, written as an empty text: as many as one likes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub struct RateLimit(pub Option<Rate>);

impl TryFrom<String> for RateLimit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let rule = || {
            format!(
                "{text:?} is no rate, as \"100/1h\": 1 to {MOST} requests in a number of s, m, h or d, at most a day; \"\" is no limit"
            )
        };
        if text.is_empty() { Ok(Self(None)) } else { Rate::parse(&text).map(|rate| Self(Some(rate))).ok_or_else(rule) }
    }
}

impl From<RateLimit> for String {
    fn from(RateLimit(limit): RateLimit) -> Self {
        limit.map_or_else(String::new, |rate| {
            let whole = UNITS.iter().find(|(_, seconds)| rate.seconds.is_multiple_of(*seconds));
            let (unit, seconds) = whole.copied().unwrap_or(('s', 1));
            format!("{}/{}{unit}", rate.requests, rate.seconds / seconds)
        })
    }
}

impl Rate {
    fn parse(text: &str) -> Option<Self> {
        let (requests, window) = text.split_once('/')?;
        let unit = window.chars().last()?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let seconds = number(&window[..window.len() - 1])?.checked_mul(*seconds)?;
        let requests = NonZeroU32::new(number(requests)?)?;
        ((1..=DAY).contains(&seconds) && requests.get() <= MOST).then_some(Self { requests, seconds })
    }
}

/// Without a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RateLimit, String> {
        RateLimit::try_from(text.to_owned())
    }

    #[test]
    fn a_rate_is_requests_in_a_time_and_is_written_in_its_largest_unit() {
        for (text, requests, seconds, written) in [
            ("100/1h", 100, 3_600, "100/1h"),
            ("100/60m", 100, 3_600, "100/1h"),
            ("600/60s", 600, 60, "600/1m"),
            ("1/90s", 1, 90, "1/90s"),
            ("5/1d", 5, DAY, "5/1d"),
            ("10000000/1s", MOST, 1, "10000000/1s"),
        ] {
            let limit = read(text).unwrap();
            let RateLimit(Some(rate)) = limit else { panic!("{text} is no limit") };
            assert_eq!((rate.requests.get(), rate.seconds), (requests, seconds), "{text}");
            assert_eq!(String::from(limit), written);
        }
        assert_eq!(read("").unwrap(), RateLimit(None));
        assert_eq!(String::from(RateLimit(None)), "");
    }

    #[test]
    fn what_is_no_rate_is_refused_with_an_example() {
        for text in ["100", "100/h", "/1h", "100/", "0/1h", "100/0s", "-1/1h", "+1/1h", "100/25h", "100/1w", "100 / 1h", "off"] {
            let refusal = read(text).unwrap_err();
            assert!(refusal.contains("100/1h") && refusal.contains(text), "{refusal}");
        }
        assert!(read("10000001/1s").is_err() && read("4294967296/1s").is_err() && read("1/4294967296d").is_err());
        assert!(read("1/ß").is_err());
    }
}
