//! JSON of a caller that is kept and given back: metadata and addresses.
//!
//! Invariants: what is kept is what was sent, without white space and with members in the order of their names; a number keeps the
//! spelling it came in, whatever no float can hold of it. What means nothing for certain, a name that stands twice, is refused.

use holdfast_engine::limits;
use std::collections::BTreeMap;

/// Why a document is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mistake {
    #[error("must be at most {} KiB of JSON (metadata_bytes)", limits::MAX_JSON_BYTES / 1024)]
    TooLong,
    #[error("must be at most {} levels deep (metadata_levels)", limits::MAX_JSON_DEPTH)]
    TooDeep,
    #[error("must not have two members named {0}")]
    Twice(String),
    #[error("must be JSON: {0}")]
    Malformed(String),
}

/// The form in which JSON is kept. Whoever calls has checked its grammar; the texts in it are checked here.
pub(super) fn canonical(json: &str) -> Result<Box<str>, Mistake> {
    Reader { json, at: 0 }.value(limits::MAX_JSON_DEPTH).map(String::into_boxed_str)
}

/// Reads a document once, from its beginning to its end.
struct Reader<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next value, with `levels` left for what is in it.
    fn value(&mut self, levels: usize) -> Result<String, Mistake> {
        let value = match self.peek() {
            Some(b'{') => self.object(levels.checked_sub(1).ok_or(Mistake::TooDeep)?)?,
            Some(b'[') => self.list(levels.checked_sub(1).ok_or(Mistake::TooDeep)?)?,
            Some(b'"') => self.text()?.1,
            Some(_) | None => self.word().to_owned(),
        };
        if value.len() > limits::MAX_JSON_BYTES { Err(Mistake::TooLong) } else { Ok(value) }
    }

    fn object(&mut self, levels: usize) -> Result<String, Mistake> {
        let mut members = BTreeMap::new();
        self.at += 1;
        while !self.ends(b'}') {
            let (name, written) = self.text()?;
            self.skip(b':');
            let value = self.value(levels)?;
            if members.insert(name, [written.as_str(), ":", &value].concat()).is_some() {
                return Err(Mistake::Twice(written));
            }
        }
        Ok(joined("{", members.into_values(), "}"))
    }

    fn list(&mut self, levels: usize) -> Result<String, Mistake> {
        let mut items = Vec::new();
        let mut bytes = 0;
        self.at += 1;
        while !self.ends(b']') {
            let item = self.value(levels)?;
            bytes += item.len() + 1;
            if bytes > limits::MAX_JSON_BYTES {
                return Err(Mistake::TooLong);
            }
            items.push(item);
        }
        Ok(joined("[", items.into_iter(), "]"))
    }

    /// The next text, and how it is written.
    fn text(&mut self) -> Result<(String, String), Mistake> {
        self.peek();
        let rest = self.json.as_bytes().get(self.at..).unwrap_or_default();
        let mut escaped = false;
        let closing = |byte: &u8| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        };
        let length = rest.iter().skip(1).position(closing).map_or(rest.len(), |index| index + 2);
        let quoted = self.take(length);
        let malformed = |error: serde_json::Error| Mistake::Malformed(error.to_string());
        let text: String = serde_json::from_str(quoted).map_err(malformed)?;
        let written = serde_json::to_string(&text).map_err(malformed)?;
        Ok((text, written))
    }

    /// A number, or one of the words that JSON has.
    fn word(&mut self) -> &'a str {
        let rest = self.json.as_bytes().get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}');
        // At least one byte: so that any text comes to an end.
        let length = rest.iter().position(ends).unwrap_or(rest.len()).max(1);
        self.take(length)
    }

    fn take(&mut self, length: usize) -> &'a str {
        let end = (self.at + length).min(self.json.len());
        let taken = self.json.get(self.at..end).unwrap_or_default();
        self.at = end;
        taken
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.json.as_bytes().get(self.at..)?;
        self.at += rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        self.json.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.at += 1;
        }
    }

    /// Whether what encloses the next value is over. Goes on behind the comma or the end.
    fn ends(&mut self, end: u8) -> bool {
        self.skip(b',');
        let over = self.peek().is_none_or(|byte| byte == end);
        self.at += usize::from(over);
        over
    }
}

fn joined(open: &str, items: impl Iterator<Item = String>, close: &str) -> String {
    let mut text = open.to_owned();
    for (index, item) in items.enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        text.push_str(&item);
    }
    text.push_str(close);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn kept(json: &str) -> String {
        canonical(json).unwrap().into_string()
    }

    #[test]
    fn numbers_are_kept_in_the_spelling_in_which_they_came() {
        let numbers =
            "1,-1,0,-0,0.0,1.0,1.50,1E2,1e+2,1e-7,1e400,-1e-400,9007199254740993,18446744073709551616,12345678901234567890.123";
        for number in numbers.split(',') {
            assert_eq!(kept(number), number);
            assert_eq!(
                kept(&format!(" {{ \"a\" : [ {number} , {{\"b\":{number}}} ] }} ")),
                format!("{{\"a\":[{number},{{\"b\":{number}}}]}}")
            );
        }
    }

    #[test]
    fn members_are_in_the_order_of_their_names_and_white_space_goes() {
        assert_eq!(kept("{\"b\" : 1,\n\t\"a\":[true , null,\r\n\"x y\"]}"), "{\"a\":[true,null,\"x y\"],\"b\":1}");
        assert_eq!(kept("{\"\\u0062\":1,\"a\":\"\\u00e9\\/\\\"\"}"), "{\"a\":\"é/\\\"\",\"b\":1}");
        assert_eq!([kept("{}"), kept("[ ]"), kept("\"\"")], ["{}", "[]", "\"\""]);
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_however_it_is_spelled() {
        assert_eq!(canonical("{\"a\":1,\"a\":1}"), Err(Mistake::Twice("\"a\"".to_owned())));
        assert_eq!(canonical("[{\"x\":{\"a\":1,\"\\u0061\":2}}]"), Err(Mistake::Twice("\"a\"".to_owned())));
        assert_eq!(kept("[{\"a\":1},{\"a\":1}]"), "[{\"a\":1},{\"a\":1}]");
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(canonical(&nested(limits::MAX_JSON_DEPTH)).is_ok());
        assert_eq!(canonical(&nested(limits::MAX_JSON_DEPTH + 1)), Err(Mistake::TooDeep));
        assert_eq!(canonical(&nested(500_000)), Err(Mistake::TooDeep));
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert!(canonical(&text(limits::MAX_JSON_BYTES)).is_ok());
        assert_eq!(canonical(&text(limits::MAX_JSON_BYTES + 1)), Err(Mistake::TooLong));
        let spaced = format!("[{}1]", " ".repeat(limits::MAX_JSON_BYTES));
        assert_eq!(kept(&spaced), "[1]", "white space is not counted");
        assert_eq!(canonical(&format!("[{}1]", "1,".repeat(limits::MAX_JSON_BYTES))), Err(Mistake::TooLong));
    }

    #[test]
    fn half_a_character_is_refused() {
        assert!(matches!(canonical("\"\\ud800\""), Err(Mistake::Malformed(_))));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..5).prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        /// What was kept before numbers kept their spelling is kept alike.
        #[test]
        fn what_serde_writes_is_kept_byte_for_byte_however_it_is_laid_out(value in any_json()) {
            let compact = value.to_string();
            prop_assert_eq!(kept(&compact), compact.as_str());
            prop_assert_eq!(kept(&serde_json::to_string_pretty(&value).unwrap()), compact);
        }
    }
}
