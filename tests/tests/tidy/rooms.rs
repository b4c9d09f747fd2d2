//! Rooms: what may be named in one place only.

use super::Finding;
use super::lexer::Token;
use super::source::Source;
use std::collections::BTreeMap;

const JOURNALS: [&str; 3] = ["EmbeddedJournal", "MemoryJournal", "CqlJournal"];
const BACKEND: &str = "gateway/src/backend.rs";

/// Lines of `source` that name one of `words` outside tests, each with its word.
fn naming<'a>(source: &'a Source, words: &'a [&str]) -> impl Iterator<Item = (usize, &'a str)> {
    source.shipped.iter().filter_map(move |at| match &at.token {
        Token::Word(word) if words.contains(&word.as_str()) => Some((at.line, word.as_str())),
        _ => None,
    })
}

pub(crate) fn journals(tree: &[Source]) -> Vec<Finding> {
    let above = tree.iter().filter(|source| source.path.starts_with("actors/") || source.path.starts_with("gateway/"));
    let mut found = Vec::new();
    for source in above.filter(|source| source.path != BACKEND) {
        found.extend(naming(source, &JOURNALS).map(|(line, word)| {
            let path = &source.path;
            Finding::new(path, format!("{path}:{line}: {word} is named outside {BACKEND}: ask the journal contract instead"))
        }));
    }
    found
}

/// Lines of `source` with a path that begins with the crate `driver`.
fn using<'a>(source: &'a Source, driver: &'a str) -> impl Iterator<Item = usize> {
    source
        .tokens
        .windows(2)
        .filter(move |pair| pair[0].token == Token::Word(driver.to_owned()) && pair[1].token == Token::Path)
        .map(|pair| pair[0].line)
}

/// The room of `storage` that a driver has: its first folder below `src`, or the file of that name.
fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("storage/src/")?;
    Some(inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs"))
}

pub(crate) fn drivers(tree: &[Source]) -> Vec<Finding> {
    let mut found = Vec::new();
    for driver in ["scylla", "rdkafka"] {
        let mut rooms: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for source in tree.iter().filter(|source| source.path.contains("/src/") && !source.path.starts_with("tests/")) {
            let lines: Vec<String> = using(source, driver).map(|line| format!("{}:{line}", source.path)).collect();
            let room = room(&source.path).unwrap_or(&source.path);
            if !lines.is_empty() {
                rooms.entry(room).or_default().extend(lines);
            }
        }
        assert!(!rooms.is_empty(), "nothing names {driver}: the rule looks at the wrong files");
        if rooms.len() > 1 {
            let shown: Vec<String> = rooms.values().flatten().cloned().collect();
            let message =
                format!("{driver} is named in {} rooms, it has one in storage/src:\n    {}", rooms.len(), shown.join("\n    "));
            found.push(Finding::new(driver, message));
        }
    }
    found
}
