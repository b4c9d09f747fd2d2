//! Limits in messages: a text that says "1 to 500" says it twice, and one of the two will be wrong one day.
//!
//! The rule is for texts of the engine and the gateway: behind a word that bounds something, no number may stand that is a limit.
//! Format strings with `{}` and texts put together from the constants pass.

use super::Finding;
use super::lexer::Token;
use super::source::Source;
use holdfast_engine::limits;

/// Words that stand before a bound.
const BOUNDING: [&str; 6] = ["to", "over", "exceed", "than", "most", "under"];

fn values() -> Vec<u64> {
    let lengths = [limits::SKU, limits::LOCATION, limits::NAME, limits::LABEL, limits::URL, limits::IDEMPOTENCY_KEY];
    let lengths = lengths.into_iter().flat_map(|length| [length.characters, length.bytes]);
    let counts = [
        limits::MAX_JSON_BYTES,
        limits::MAX_JSON_DEPTH,
        limits::MAX_LINES,
        limits::MAX_LOCATIONS,
        limits::MAX_ALLOCATIONS,
        limits::MAX_BATCH,
        limits::MAX_IMPORT_LINE_BYTES,
        limits::MAX_QUERY,
        limits::MAX_PAGE,
        limits::MAX_BODY_BYTES,
        limits::MAX_FACT_BYTES,
        limits::MAX_RECORD_BYTES,
    ];
    let wide = [
        u64::from(limits::MAX_LINE_QUANTITY),
        u64::from(limits::MAX_BUCKET),
        u64::from(limits::MAX_PARTITIONS),
        u64::from(limits::MAX_EXTENSIONS),
    ];
    let times = [limits::MAX_TTL_MS, limits::MAX_TTL_MS / 1000];
    lengths.chain(counts).map(|count| count as u64).chain(wide).chain(times).collect()
}

/// The number that a text begins with, commas left out, times its unit.
fn number(text: &str) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != ',').unwrap_or(text.len());
    let number: u64 = text[..end].replace(',', "").parse().ok()?;
    let unit = text[end..].trim_start();
    let factor = [("KiB", 1024), ("MiB", 1024 * 1024)].into_iter().find(|(name, _)| unit.starts_with(name));
    Some(number * factor.map_or(1, |(_, factor)| factor))
}

/// Limits that a message spells.
fn bounds(text: &str, values: &[u64]) -> Vec<u64> {
    let bounding = |before: &str| BOUNDING.iter().any(|word| before.split_whitespace().next_back() == Some(word));
    let starts = text.char_indices().filter(|(at, letter)| letter.is_ascii_digit() && text[..*at].ends_with(' '));
    let found = starts.filter(|(at, _)| bounding(&text[..*at])).filter_map(|(at, _)| number(&text[at..]));
    found.filter(|number| values.contains(number)).collect()
}

pub(crate) fn spelled(tree: &[Source]) -> Vec<Finding> {
    let values = values();
    let mut found = Vec::new();
    for source in tree.iter().filter(|source| source.path.starts_with("engine/") || source.path.starts_with("gateway/")) {
        for at in &source.shipped {
            let Token::Text(text) = &at.token else { continue };
            found.extend(bounds(text, &values).into_iter().map(|bound| {
                let Source { path, .. } = source;
                Finding::new(path, format!("{path}:{}: a message spells {bound}: take it from holdfast_engine::limits", at.line))
            }));
        }
    }
    found
}

#[test]
fn a_bound_is_a_number_behind_a_word_that_bounds() {
    let values = values();
    for (text, expected) in [
        ("must be 1 to 500 lines", &[500][..]),
        ("a line is over 64 KiB", &[64 * 1024]),
        ("more than 2,000,000,000 units", &[2_000_000_000]),
        ("answers 500 and 255", &[]),
        ("1 to {} lines", &[]),
        ("up to 7 lines", &[]),
    ] {
        assert_eq!(bounds(text, &values), expected, "{text}");
    }
}
