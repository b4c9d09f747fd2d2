//! Numbers as messages write them, and texts that name a limit instead of spelling it.
//!
//! Invariant: the number in a message is the limit that is enforced.

use holdfast_engine::limits;

/// A number with a comma every three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let comma = |index: usize| index > 0 && (digits.len() - index).is_multiple_of(3);
    let grouped = digits.chars().enumerate();
    grouped.flat_map(|(index, digit)| comma(index).then_some(',').into_iter().chain([digit])).collect()
}

/// So many bytes.
pub fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes / 1024)
}

/// What a text may name in braces: limits as `/v1/limits` names them, and what follows from them.
fn named() -> [(&'static str, String); 10] {
    let count = |count: usize| grouped(count as u64);
    [
        ("{allocations_per_sku}", count(limits::MAX_ALLOCATIONS / limits::MAX_LINES)),
        ("{availability_skus}", count(limits::MAX_QUERY)),
        ("{bucket_units}", grouped(limits::MAX_BUCKET.into())),
        ("{hold_minutes}", grouped(limits::DEFAULT_TTL_MS / 60_000)),
        ("{idempotency_key_bytes}", count(limits::IDEMPOTENCY_KEY.bytes)),
        ("{import_line_bytes}", kib(limits::MAX_IMPORT_LINE_BYTES)),
        ("{lines_per_order}", count(limits::MAX_LINES)),
        ("{locations_per_sku}", count(limits::MAX_LOCATIONS)),
        ("{metadata_bytes}", kib(limits::MAX_JSON_BYTES)),
        ("{metadata_levels}", count(limits::MAX_JSON_DEPTH)),
    ]
}

/// The text with the limits that it names. Other braces stay: paths have them.
pub fn filled(text: &str) -> String {
    named().iter().fold(text.to_owned(), |text, (name, figure)| text.replace(name, figure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_number_is_grouped_by_thousands() {
        let shown = [0, 12, 999, 1_000, 86_400, 2_000_000_000].map(grouped);
        assert_eq!(shown, ["0", "12", "999", "1,000", "86,400", "2,000,000,000"]);
    }

    #[test]
    fn a_text_gets_the_limits_that_it_names_and_keeps_its_paths() {
        let text = "GET /v1/orders/{id}: {lines_per_order} lines, {bucket_units} units, {import_line_bytes}";
        assert_eq!(filled(text), "GET /v1/orders/{id}: 500 lines, 2,000,000,000 units, 64 KiB");
    }
}
