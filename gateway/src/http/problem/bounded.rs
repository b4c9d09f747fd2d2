//! How much of what a caller sent comes back in a problem.
//!
//! Invariant: whatever a request was, what a problem says of it in words is at most [`WORDS`] bytes of JSON: a text too long is cut
//! at a character, a list too long ends with an entry that says so. The lines of an order that lack stock are an answer, not an
//! echo: they are as many as an order has.

use super::FieldError;

/// Bytes of a text, as JSON writes it.
pub(super) const DETAIL: usize = 512;
pub(super) const POINTER: usize = 256;
/// Mistakes of one problem, and their bytes together.
const ERRORS: usize = 100;
const LIST: usize = 48 * 1024;

/// Mistakes of one item of a batch: there are thousands of items.
pub(super) const ITEM_ERRORS: usize = 4;

/// Bytes of the detail and the mistakes of a problem, with the names around them.
#[cfg(test)]
const WORDS: usize = LIST + DETAIL + POINTER + 1024;

const CUT: &str = "…";
/// The names, quotes and commas around a mistake.
const AROUND: usize = 32;

/// The text, or so much of it that JSON needs no more than `most` bytes for it.
pub(super) fn cut(text: String, most: usize) -> String {
    // Each byte of it may need six.
    if text.len() * 6 <= most {
        return text;
    }
    let (mut bytes, mut fits) = (0, 0);
    for (at, character) in text.char_indices() {
        bytes += written(character);
        if bytes > most {
            return [&text[..fits], CUT].concat();
        }
        if bytes + CUT.len() <= most {
            fits = at + character.len_utf8();
        }
    }
    text
}

/// Bytes of a character in a text of JSON.
fn written(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        control if control < ' ' => 6,
        other => other.len_utf8(),
    }
}

fn length(text: &str) -> usize {
    text.chars().map(written).sum()
}

/// Whether a list has as many mistakes as are shown of it.
pub fn is_enough(errors: &[FieldError]) -> bool {
    errors.len() > ERRORS
}

/// The first mistakes, and whether there are more.
pub(super) fn first(mut errors: Vec<FieldError>, most: usize) -> Vec<FieldError> {
    let mut room = LIST;
    let fits = |error: &FieldError| {
        let left = room.checked_sub(length(&error.pointer) + length(&error.message) + AROUND);
        room = left.unwrap_or_default();
        left.is_some()
    };
    let shown = errors.iter().take(most).map(fits).take_while(|fits| *fits).count();
    if shown < errors.len() {
        errors.truncate(shown);
        errors.push(FieldError::new("", format!("there are more mistakes: these are the first {shown}")));
    }
    errors
}

/// As many mistakes as a problem shows.
pub(super) fn shown(errors: Vec<FieldError>) -> Vec<FieldError> {
    first(errors, ERRORS)
}

#[cfg(test)]
mod tests {
    use super::super::{Code, Problem};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_that_fits_stays_as_it_is_and_any_other_is_cut_at_a_character() {
        assert_eq!(cut("größe".to_owned(), 7), "größe");
        assert_eq!(cut("größe!".to_owned(), 7), "grö…", "as many characters as fit with the mark behind them");
        assert_eq!(cut("\u{1}\u{1}\u{1}".to_owned(), 17), "\u{1}\u{1}…");
        assert_eq!(cut("\"\"\"\"".to_owned(), 8), "\"\"\"\"");
        assert_eq!(cut("🛒🛒🛒".to_owned(), 11), "🛒🛒…");
    }

    #[test]
    fn a_list_that_is_too_long_says_so_in_its_last_entry() {
        let error = |n: usize| FieldError::new(format!("/lines/{n}/sku"), "must be 1 to 64 bytes");
        let few: Vec<FieldError> = (0..ERRORS).map(error).collect();
        assert_eq!(shown(few.clone()), few);
        let many = shown((0..50_000).map(error).collect());
        assert_eq!(many.len(), ERRORS + 1);
        assert_eq!(many[ERRORS].message, "there are more mistakes: these are the first 100");
    }

    /// A body of 1 MB came back as 4.
    #[test]
    fn a_problem_with_everything_too_long_is_at_most_64_kib() {
        let worst = "\u{1}".repeat(1 << 20);
        let errors = (0..1000).map(|_| FieldError::new(worst.clone(), worst.clone())).collect();
        let problem = Problem::invalid(errors);
        let bytes = serde_json::Value::Object(problem.body()).to_string().len();
        assert!(bytes <= WORDS && WORDS <= 64 * 1024, "{bytes} of {WORDS}");
        assert!(problem.errors.len() > 50, "so few are shown: {}", problem.errors.len());
    }

    fn any_text() -> impl Strategy<Value = String> {
        let any = prop::collection::vec(prop_oneof![any::<char>(), Just('\u{0}'), Just('"'), Just('🛒')], 0..2000);
        any.prop_map(|characters| characters.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn no_text_makes_a_problem_longer_than_its_bound(
            detail in any_text(),
            pointer in any_text(),
            message in any_text(),
            count in 0..300_usize,
        ) {
            let errors = (0..count).map(|_| FieldError::new(pointer.clone(), message.clone())).collect();
            for problem in [Problem::invalid(errors), Problem::new(Code::NotFound, detail.clone()), Problem::parameter(&pointer, &message)] {
                let written = serde_json::Value::Object(problem.body()).to_string();
                prop_assert!(written.len() <= WORDS, "{} bytes", written.len());
            }
            let short = cut(detail.clone(), DETAIL);
            prop_assert!(length(&short) <= DETAIL);
            prop_assert!(short == detail || detail.starts_with(short.strip_suffix(CUT).unwrap()));
        }
    }
}
