//! JSON of orders and reservations, written straight into its bytes.
//!
//! The reply to an order is rendered as often as orders come: names and punctuation are constants here, and only text from
//! outside is searched for what must be escaped. Measured in instructions a reply by callgrind: see docs/adr/0009. Whatever
//! is not that hot is left to serde. Invariant: the bytes are those serde would have written.

use serde::Serialize;

/// A document being written.
pub struct Json(Vec<u8>);

/// What can stand behind a name.
pub trait Value {
    fn write(&self, json: &mut Json);
}

impl Json {
    /// The bytes of one value.
    pub fn of(value: &impl Value) -> Vec<u8> {
        // An order of one line fits.
        let mut json = Self(Vec::with_capacity(640));
        value.write(&mut json);
        json.0
    }

    /// Bytes that are JSON already.
    #[inline]
    pub fn raw(&mut self, piece: &str) {
        self.0.extend_from_slice(piece.as_bytes());
    }

    /// A value behind its name, which comes with its punctuation: `,"name":`.
    #[inline]
    pub fn member(&mut self, name: &'static str, value: &(impl Value + ?Sized)) {
        self.raw(name);
        value.write(self);
    }

    /// As [`Self::member`], left out where there is none.
    #[inline]
    pub fn optional(&mut self, name: &'static str, value: &Option<impl Value>) {
        if let Some(value) = value {
            self.member(name, value);
        }
    }

    /// Values in brackets.
    pub fn list(&mut self, values: impl Iterator<Item = impl Value>) {
        self.raw("[");
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.raw(",");
            }
            value.write(self);
        }
        self.raw("]");
    }

    /// Text without anything to escape.
    #[inline]
    pub fn plain(&mut self, text: &[u8]) {
        self.raw("\"");
        self.0.extend_from_slice(text);
        self.raw("\"");
    }
}

impl Value for str {
    fn write(&self, json: &mut Json) {
        // Without a way out of the middle it is done sixteen bytes at a time.
        let escaped = self.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
        if escaped {
            serde_json::to_writer(&mut json.0, self).unwrap_or_else(|error| unreachable!("text is JSON: {error}"))
        } else {
            json.plain(self.as_bytes())
        }
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Value for $number {
            fn write(&self, json: &mut Json) {
                json.raw(itoa::Buffer::new().format(*self));
            }
        }
    )*};
}

numbers!(u32 u64 usize i64);

impl<T: Value + ?Sized> Value for &T {
    fn write(&self, json: &mut Json) {
        (**self).write(json);
    }
}

/// Null where there is none.
impl<T: Value> Value for Option<T> {
    fn write(&self, json: &mut Json) {
        match self {
            Some(value) => value.write(json),
            None => json.raw("null"),
        }
    }
}

impl<T: Value> Value for [T] {
    fn write(&self, json: &mut Json) {
        json.list(self.iter());
    }
}

/// JSON of a type of ours, by serde.
pub fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity(640);
    match serde_json::to_writer(&mut json, value) {
        Ok(()) => json,
        Err(error) => unreachable!("our own types are JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: &(impl Value + ?Sized)) -> String {
        String::from_utf8(Json::of(&value)).unwrap()
    }

    proptest! {
        #[test]
        fn text_is_written_as_serde_writes_it(given in prop::collection::vec(any::<char>(), 0..100)) {
            let given = String::from_iter(given);
            prop_assert_eq!(text(given.as_str()), serde_json::to_string(&given).unwrap());
        }
    }

    #[test]
    fn every_character_that_must_be_escaped_is() {
        for character in (0..=0x7f).map(char::from) {
            let given = format!("a longer text around the one character {character} to be escaped");
            assert_eq!(text(given.as_str()), serde_json::to_string(&given).unwrap());
        }
    }

    #[test]
    fn numbers_lists_and_nothing_are_written() {
        assert_eq!(text(&u64::MAX), "18446744073709551615");
        assert_eq!(text(&i64::MIN), "-9223372036854775808");
        assert_eq!(text(&[Some(1u32), None, Some(3)][..]), "[1,null,3]");
        assert_eq!(text(&[0u32; 0][..]), "[]");
    }
}
