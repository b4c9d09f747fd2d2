//! Numbers and words of the report.

/// Text inside HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number in few characters: `0.35`, `12`, `1.5k`.
pub(crate) fn short(value: f64) -> String {
    let rounded = |value: f64, unit: &str| {
        let text = if value >= 100.0 {
            format!("{value:.0}")
        } else if value >= 10.0 {
            format!("{value:.1}")
        } else {
            format!("{value:.2}")
        };
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        format!("{text}{unit}")
    };
    match value.abs() {
        size if size >= 1e9 => rounded(value / 1e9, "G"),
        size if size >= 1e6 => rounded(value / 1e6, "M"),
        size if size >= 1e4 => rounded(value / 1e3, "k"),
        size if size > 0.0 && size < 0.01 => format!("{value:.4}").trim_end_matches('0').to_owned(),
        _ => rounded(value, ""),
    }
}

/// Microseconds as milliseconds, to three digits or the whole.
pub(crate) fn ms(micros: u64) -> String {
    let digits = match micros {
        0..10_000 => 2,
        10_000..100_000 => 1,
        100_000.. => 0,
    };
    format!("{:.digits$}", micros as f64 / 1000.0)
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut parts: Vec<&str> = vec![&digits[..first]];
    parts.extend(digits.as_bytes()[first..].chunks(3).filter_map(|part| std::str::from_utf8(part).ok()));
    parts.retain(|part| !part.is_empty());
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_readable() {
        let shown = [0.0, 0.35, 12.0, 1500.0, 25_000.0, 3e6, 0.002].map(short);
        assert_eq!(shown, ["0", "0.35", "12", "1500", "25k", "3M", "0.002"]);
        assert_eq!([350, 12_345, 380_420].map(ms), ["0.35", "12.3", "380"]);
        assert_eq!([7, 1234, 1_234_567].map(grouped), ["7", "1,234", "1,234,567"]);
    }
}
