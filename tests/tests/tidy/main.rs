//! The rules of the tree that a compiler does not check, one test each: what a test enforces nobody has to remember.
//!
//! A finding names file, line and what to do. What is not true yet stands in `exceptions.rs`; an exception that nothing needs
//! any more fails too, so that list can only get shorter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod exceptions;
mod imports;
mod lexer;
mod limits;
mod metrics;
mod modules;
mod papers;
mod rooms;
mod source;
mod words;

use exceptions::EXCEPTIONS;
use source::tree;

/// Something that breaks a rule.
#[derive(Debug)]
struct Finding {
    /// Names it in `exceptions.rs`: a path, or what the rule is about.
    key: String,
    /// File, line, and what to do.
    message: String,
}

impl Finding {
    fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// Fails with every finding that is no exception, and with every exception of the rule that found nothing.
fn holds(rule: &str, found: &[Finding]) {
    let exceptions: Vec<&str> = EXCEPTIONS.iter().filter(|(of, _)| *of == rule).map(|(_, key)| *key).collect();
    let found_now =
        found.iter().filter(|finding| !exceptions.contains(&finding.key.as_str())).map(|finding| finding.message.clone());
    let needless = exceptions.iter().filter(|key| found.iter().all(|finding| finding.key != **key));
    let needless =
        needless.map(|key| format!("tests/tests/tidy/exceptions.rs: {rule:?} needs no exception for {key:?}: delete it"));
    let wrong: Vec<String> = found_now.chain(needless).collect();
    assert!(wrong.is_empty(), "{} against the rule {rule:?}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn crates_import_one_way() {
    holds("crates", &imports::upwards(tree()));
}

#[test]
fn no_circle_of_modules_is_in_a_crate() {
    holds("circles", &modules::circles(tree()));
}

#[test]
fn a_rust_file_has_at_most_500_lines() {
    holds("size", &source::too_long(tree()));
}

#[test]
fn only_the_backend_of_the_gateway_names_a_concrete_journal() {
    holds("journals", &rooms::journals(tree()));
}

#[test]
fn the_drivers_of_cql_and_kafka_have_one_room_each() {
    holds("drivers", &rooms::drivers(tree()));
}

#[test]
fn every_path_in_the_papers_exists() {
    holds("paths", &papers::missing());
}

#[test]
fn metrics_that_are_emitted_described_and_documented_are_the_same() {
    holds("metrics", &metrics::different(tree()));
}

#[test]
fn numbers_in_messages_come_from_the_limits() {
    holds("limits", &limits::spelled(tree()));
}

#[test]
fn one_thing_has_one_word() {
    holds("words", &words::banned(tree()));
}
