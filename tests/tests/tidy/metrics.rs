//! Metrics: those that code emits, those that it describes, and those of the reference are the same.

use super::Finding;
use super::lexer::Token;
use super::source::{Source, root};
use std::collections::BTreeMap;

const REFERENCE: &str = "docs/reference/metrics.md";
const MACROS: [&str; 3] = ["counter", "gauge", "histogram"];

/// Names behind the macros of metrics, each with where it stands first; `metrics::counter!` emits, a bare `counter!` describes.
fn named(tree: &[Source], emitted: bool) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for source in tree {
        for (at, window) in source.shipped.windows(4).enumerate() {
            let [name, bang, bracket, text] = window else { continue };
            let (Token::Word(word), Token::Text(metric)) = (&name.token, &text.token) else { continue };
            let call = (&bang.token, &bracket.token) == (&Token::Sign('!'), &Token::Sign('('));
            let qualified = at > 0 && source.shipped[at - 1].token == Token::Path;
            if call && MACROS.contains(&word.as_str()) && qualified == emitted {
                found.entry(metric.clone()).or_insert_with(|| format!("{}:{}", source.path, name.line));
            }
        }
    }
    found
}

/// The first column of the table in the reference.
fn documented() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join(REFERENCE)).unwrap_or_default();
    let rows = text.lines().enumerate().filter_map(|(line, text)| {
        let name = text.strip_prefix("| `")?.split('`').next()?;
        Some((name.to_owned(), format!("{REFERENCE}:{}", line + 1)))
    });
    rows.collect()
}

pub(crate) fn different(tree: &[Source]) -> Vec<Finding> {
    let kinds = [("emitted", named(tree, true)), ("described", named(tree, false)), ("documented", documented())];
    assert!(kinds.iter().all(|(_, names)| !names.is_empty()), "a kind of metrics is empty: the rule looks at the wrong files");
    let mut found = Vec::new();
    for (is, names) in &kinds {
        for (name, at) in names {
            let others = kinds.iter().filter(|(_, others)| !others.contains_key(name));
            found.extend(others.map(|(lacks, _)| Finding::new(name, format!("{at}: the metric {name} is {is} but not {lacks}"))));
        }
    }
    found
}
