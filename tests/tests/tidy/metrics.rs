//! Metrics: those that code emits, those that it describes, and those of the reference are the same.

use super::Finding;
use super::lexer::Token;
use super::source::{Source, root};
use std::collections::BTreeMap;

const REFERENCE: &str = "docs/reference/metrics.md";
const MACROS: [&str; 3] = ["counter", "gauge", "histogram"];

/// Where metrics are described, by calls in place of macros.
const TABLE: &str = "gateway/src/telemetry/table.rs";
/// Where the name of one that no recorder keeps is a constant.
const WRITTEN: &str = "gateway/src/telemetry/tally/text.rs";

/// Names in the calls that a pattern of tokens finds, each with where it stands first.
fn named<const N: usize>(tree: &[Source], pattern: impl Fn(&Source, &[Token; N]) -> bool) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for source in tree {
        for window in source.shipped.windows(N) {
            let Some(Token::Text(metric)) = window.last().map(|last| &last.token) else { continue };
            let tokens: [Token; N] = std::array::from_fn(|at| window[at].token.clone());
            if pattern(source, &tokens) {
                found.entry(metric.clone()).or_insert_with(|| format!("{}:{}", source.path, window[0].line));
            }
        }
    }
    found
}

fn is_kind(token: &Token) -> bool {
    matches!(token, Token::Word(word) if MACROS.contains(&word.as_str()))
}

/// `metrics::counter!("…"`, and what is written beside the recorder.
fn emitted(tree: &[Source]) -> BTreeMap<String, String> {
    let behind_path = [Token::Path, Token::Sign('!'), Token::Sign('(')];
    let mut found =
        named(tree, |_, [path, kind, bang, bracket, _]| is_kind(kind) && [path, bang, bracket].into_iter().eq(&behind_path));
    let constant = [Token::Word("str".to_owned()), Token::Sign('=')];
    found.extend(named(tree, |source, [kind, is, _]| source.path == WRITTEN && [kind, is].into_iter().eq(&constant)));
    found
}

/// `counter("…"` in the table.
fn described(tree: &[Source]) -> BTreeMap<String, String> {
    named(tree, |source, [kind, bracket, _]| source.path == TABLE && is_kind(kind) && *bracket == Token::Sign('('))
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
    let kinds = [("emitted", emitted(tree)), ("described", described(tree)), ("documented", documented())];
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
