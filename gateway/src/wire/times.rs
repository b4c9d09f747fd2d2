//! Times as they are written outside: text of a fixed length, laid out in place.

use crate::wire::json::{Json, Value};
use holdfast_engine::time::Timestamp;
use serde::{Serialize, Serializer};
use std::cell::RefCell;
use std::fmt;

/// A time as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub Timestamp);

impl Rfc3339 {
    const TEXT: usize = "YYYY-MM-DDThh:mm:ss.000Z".len();
    const SECOND: usize = "YYYY-MM-DDThh:mm:ss".len();

    /// The text, with the calendar worked out once a second: most times of a busy server share theirs. None beyond the year
    /// 9999.
    fn text(self) -> Option<[u8; Self::TEXT]> {
        /// Shares no factor with the round times to live, which would put creation and expiry into one place.
        const KEPT: usize = 11;
        thread_local! {
            static SECONDS: RefCell<[(u64, [u8; Rfc3339::TEXT]); KEPT]> =
                const { RefCell::new([(u64::MAX, *b"YYYY-MM-DDThh:mm:ss.000Z"); KEPT]) };
        }
        let (second, millis) = (self.0.millis() / 1000, self.0.millis() % 1000);
        SECONDS.with_borrow_mut(|seconds| {
            let known = &mut seconds[(second % KEPT as u64) as usize];
            if known.0 != second {
                let at = jiff::Timestamp::from_second(i64::try_from(second).ok()?).ok()?.to_string();
                known.1[..Self::SECOND].copy_from_slice(at.as_bytes().get(..Self::SECOND)?);
                known.0 = second;
            }
            let mut text = known.1;
            let digits = [millis / 100, millis / 10 % 10, millis % 10];
            text[Self::SECOND + 1..][..3].copy_from_slice(&digits.map(|digit| b'0' + digit as u8));
            Some(text)
        })
    }
}

/// Empty beyond the year 9999.
impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(text.as_ref().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default())
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default()),
            None => serializer.serialize_none(),
        }
    }
}

impl Value for Rfc3339 {
    fn write(&self, json: &mut Json) {
        match self.text() {
            Some(text) => json.plain(&text),
            None => json.raw("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        let shown = |millis: u64| serde_json::to_value(Rfc3339(Timestamp::new(millis))).unwrap();
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(1_795_252_657_911), "2026-11-21T09:17:37.911Z");
        assert_eq!(shown(1_795_252_657_007), "2026-11-21T09:17:37.007Z");
        assert_eq!(shown(u64::MAX), serde_json::Value::Null);
    }
}
