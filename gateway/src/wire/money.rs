//! Money as people read it.
//!
//! Invariant: the digits after the point are those that ISO 4217 gives the currency; an amount whose currency gives none is
//! shown in minor units, and says so.

use iso_currency::Currency;

/// An amount in minor units with its currency, for example `5.00 EUR` or `500 JPY`.
pub(crate) fn shown(minor_units: i64, currency: Option<&str>) -> String {
    let exponent = currency.and_then(Currency::from_code).and_then(Currency::exponent);
    match (exponent, currency) {
        (Some(exponent), Some(code)) => format!("{} {code}", decimal(minor_units, usize::from(exponent))),
        (_, Some(code)) => format!("{minor_units} minor units of {code}"),
        (_, None) => format!("{minor_units} minor units"),
    }
}

fn decimal(minor_units: i64, exponent: usize) -> String {
    let sign = if minor_units < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor_units.unsigned_abs(), width = exponent + 1);
    let (whole, part) = digits.split_at(digits.len() - exponent);
    let point = if part.is_empty() { "" } else { "." };
    [sign, whole, point, part].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_with_the_digits_of_its_currency() {
        let cases = [
            (500, Some("JPY"), "500 JPY"),
            (0, Some("JPY"), "0 JPY"),
            (-7, Some("JPY"), "-7 JPY"),
            (500, Some("EUR"), "5.00 EUR"),
            (5, Some("EUR"), "0.05 EUR"),
            (0, Some("EUR"), "0.00 EUR"),
            (-5, Some("EUR"), "-0.05 EUR"),
            (-1999, Some("EUR"), "-19.99 EUR"),
            (12_345, Some("KWD"), "12.345 KWD"),
            (1, Some("KWD"), "0.001 KWD"),
            (12_345, Some("CLF"), "1.2345 CLF"),
            (i64::MAX, Some("EUR"), "92233720368547758.07 EUR"),
            (i64::MIN, Some("EUR"), "-92233720368547758.08 EUR"),
            (3, Some("XAU"), "3 minor units of XAU"),
            (500, Some("ZZZ"), "500 minor units of ZZZ"),
            (500, None, "500 minor units"),
        ];
        for (minor_units, currency, text) in cases {
            assert_eq!(shown(minor_units, currency), text);
        }
    }
}
