//! Percent-encoding (RFC 3986, section 2.1), read strictly.
//!
//! Invariant: text that is decoded is exactly what somebody encoded: a broken escape, or bytes that are no UTF-8, are no text.

use std::fmt::Write;

/// The text of a path. `None` if it is none.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, more)) = rest.split_first() {
        rest = more;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, more) = rest.split_at_checked(2)?;
        bytes.push(hexadecimal(digits[0])? << 4 | hexadecimal(digits[1])?);
        rest = more;
    }
    String::from_utf8(bytes).ok()
}

/// The text of a name or value of a query, where a plus is a space.
pub fn decode_form(text: &str) -> Option<String> {
    decode(&text.replace('+', " "))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A text as one segment of a path.
pub fn encode_segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded_and_nothing_else() {
        for text in ["mug", "a b", "x/y", "50%", "ü☕", "a+b", "..", "imports/.."] {
            assert_eq!(decode(&encode_segment(text)).as_deref(), Some(text));
        }
        assert_eq!((decode("a%2fb").as_deref(), decode_form("a+b%2B").as_deref()), (Some("a/b"), Some("a b+")));
        for broken in ["%", "%4", "%zz", "%+1", "%ff", "%C3", "%ed%a0%80", "a%"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
