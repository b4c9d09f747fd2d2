//! Entity tags and the lists of them in `If-Match` and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1).
//!
//! Invariant: what is not of this grammar is no condition, and is told apart from one that does not match.

use crate::http::problem::{Code, FieldError, Problem};
use actix_web::http::header::{HeaderMap, IF_MATCH};

/// What a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whatever is there.
    Any,
    /// At least one.
    Listed(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: Vec<u8>,
}

impl Tags {
    /// `None` if it is not of the grammar. Elements of the list may be empty, as its recipients must allow, but not all of them.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let mut rest = field.trim_ascii();
        if rest == b"*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            rest = rest.trim_ascii_start();
            if let Some(more) = rest.strip_prefix(b",") {
                rest = more;
                continue;
            }
            if rest.is_empty() {
                return (!tags.is_empty()).then_some(Self::Listed(tags));
            }
            let (tag, more) = Tag::first(rest)?;
            tags.push(tag);
            rest = more.trim_ascii_start();
            if !(rest.is_empty() || rest.starts_with(b",")) {
                return None;
            }
        }
    }

    /// Whether the tag of what is there is named, by the weak comparison that `If-None-Match` asks for.
    pub fn names_weakly(&self, current: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|tag| tag.opaque == current),
        }
    }

    /// By the strong comparison of `If-Match`: a weak tag names nothing.
    pub fn names_strongly(&self, current: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|tag| !tag.weak && tag.opaque == current),
        }
    }
}

impl Tag {
    /// The tag a text begins with, and what follows it.
    fn first(text: &[u8]) -> Option<(Self, &[u8])> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|byte| *byte == b'"')?;
        let opaque = &inner[..end];
        let allowed = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
        opaque.iter().all(allowed).then(|| (Self { weak, opaque: opaque.to_vec() }, &inner[end + 1..]))
    }

    /// The version it stands for, if it is one of ours.
    pub fn version(&self) -> Option<u64> {
        let text = std::str::from_utf8(&self.opaque).ok()?;
        let version = text.parse::<u64>().ok()?;
        // One version has one tag: neither `+3` nor `03`.
        (!self.weak && version.to_string() == text).then_some(version)
    }
}

/// The versions that `If-Match` names. `None`: any, or there is no such header. What is no version of ours, and a weak tag, never
/// matches.
///
/// # Errors
/// `invalid_request` for what is no condition.
pub fn if_match(headers: &HeaderMap) -> Result<Option<Vec<u64>>, Problem> {
    let Some(condition) = headers.get(IF_MATCH) else { return Ok(None) };
    let malformed = || Problem::invalid(vec![FieldError::new("", "If-Match must be versions in quotes, or *")]);
    let tags = match Tags::parse(condition.as_bytes()).ok_or_else(malformed)? {
        Tags::Any => return Ok(None),
        Tags::Listed(tags) => tags,
    };
    Ok(Some(tags.iter().filter_map(Tag::version).collect()))
}

/// As [`if_match`], of a request that must have the header.
///
/// # Errors
/// As [`if_match`], and `precondition_required` without one.
pub fn required_if_match(headers: &HeaderMap) -> Result<Option<Vec<u64>>, Problem> {
    let missing = || Problem::new(Code::PreconditionRequired, "send If-Match: \"<version>\", \"0\" for a new location, or *");
    if headers.contains_key(IF_MATCH) { if_match(headers) } else { Err(missing()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(field: &str) -> Option<Vec<(bool, String)>> {
        match Tags::parse(field.as_bytes())? {
            Tags::Any => Some(Vec::new()),
            Tags::Listed(tags) => {
                let read = |tag: Tag| (tag.weak, String::from_utf8(tag.opaque).unwrap());
                Some(tags.into_iter().map(read).collect())
            }
        }
    }

    #[test]
    fn a_condition_is_a_star_or_a_list_of_tags() {
        let strong = |text: &str| (false, text.to_owned());
        assert_eq!(listed(" * "), Some(vec![]));
        assert_eq!(listed("\"3\""), Some(vec![strong("3")]));
        assert_eq!(listed("\"a,b\" , W/\"c\",,\"\""), Some(vec![strong("a,b"), (true, "c".to_owned()), strong("")]));
        for wrong in ["", " ", ",", "3", "\"3", "3\"", "W/3", "w/\"3\"", "\"1\" \"2\"", "*, \"1\"", "\"1\", *", "\"a b\"", "'3'"]
        {
            assert_eq!(Tags::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_weak_tag_names_something_for_a_read_and_nothing_for_a_write() {
        let tags = Tags::parse(b"W/\"3\", \"4\"").unwrap();
        assert!(tags.names_weakly(b"3") && !tags.names_strongly(b"3"));
        assert!(tags.names_weakly(b"4") && tags.names_strongly(b"4"));
        assert!(!tags.names_weakly(b"5") && Tags::Any.names_strongly(b"5") && Tags::Any.names_weakly(b"5"));
    }

    #[test]
    fn a_version_has_one_tag() {
        let version = |text: &str| match Tags::parse(text.as_bytes()).unwrap() {
            Tags::Listed(tags) => tags[0].version(),
            Tags::Any => None,
        };
        assert_eq!((version("\"0\""), version("\"18446744073709551615\"")), (Some(0), Some(u64::MAX)));
        for other in ["W/\"3\"", "\"03\"", "\"+3\"", "\"-3\"", "\"\"", "\"x\"", "\"18446744073709551616\""] {
            assert_eq!(version(other), None, "{other}");
        }
    }
}
