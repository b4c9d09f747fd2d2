//! Settings: the defaults, the file over them, the environment over that. Unknown keys are refused with file and line.
//!
//! Invariant: each limit and knob is in one place, `config/holdfast.toml` shows them all, and `config explain` says
//! where each value came from.

mod sections;

pub use sections::{
    Auth, Backend, Data, Engine, Format, Journal, Kafka, KafkaProtocol, KafkaSecurity, KeyEntry, Late, Log, Nodes, Payments,
    Quorum, Sandbox, Scylla, ScyllaTls, Server, Settings,
};

use holdfast_engine::limits;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Why the settings cannot be used. Says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: cannot be read: {reason}")]
    Unreadable { path: String, reason: std::io::Error },
    #[error("{path}:{line}: {message}\n  see config/holdfast.toml for every key")]
    File { path: String, line: usize, message: String },
    #[error("{name}: {message}\n  variables are HOLDFAST__SECTION__KEY, for example HOLDFAST__SERVER__LISTEN")]
    Variable { name: String, message: String },
    #[error("{key}: {message}")]
    Value { key: &'static str, message: String },
}

/// Settings with the origin of each value that is not a default.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// `section.key` → file and line, or variable.
    pub origins: BTreeMap<String, String>,
}

const PREFIX: &str = "HOLDFAST__";

/// Reads `file` (if any) and the variables given over the defaults.
///
/// # Errors
/// For anything unknown, malformed or out of range.
pub fn load(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Loaded, Error> {
    let mut origins = BTreeMap::new();
    let mut table = match file {
        Some(path) => read_file(path, &mut origins)?,
        None => Table::new(),
    };
    let mut names: Vec<(String, String)> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    names.sort_unstable();
    for (name, text) in names {
        let key = overlay(&mut table, &name, &text)?;
        origins.insert(key, name);
    }
    let settings = Settings::deserialize(Value::Table(table))
        .map_err(|error| Error::Value { key: "settings", message: error.message().to_owned() })?;
    check(&settings)?;
    Ok(Loaded { settings, origins })
}

fn read_file(path: &Path, origins: &mut BTreeMap<String, String>) -> Result<Table, Error> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|reason| Error::Unreadable { path: shown.clone(), reason })?;
    let refused = |error: toml::de::Error| Error::File {
        line: error.span().map_or(1, |span| line_of(&text, span.start)),
        path: shown.clone(),
        message: error.message().to_owned(),
    };
    // Typed first: that is what knows unknown keys and their places.
    toml::from_str::<Settings>(&text).map_err(refused)?;
    let table: Table = text.parse().map_err(refused)?;
    let mut section = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            origins.insert(format!("{section}.{}", key.trim()), format!("{shown}:{}", index + 1));
        }
    }
    Ok(table)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Puts one variable into the table. The text is taken as TOML where it is that, else as a string.
fn overlay(table: &mut Table, name: &str, text: &str) -> Result<String, Error> {
    let path = name[PREFIX.len()..].to_ascii_lowercase();
    let keys: Vec<&str> = path.split("__").collect();
    if keys.len() < 2 {
        return Err(Error::Variable { name: name.to_owned(), message: "names no key".to_owned() });
    }
    let parsed = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(text.to_owned()));
    let mut probe = Table::new();
    put(&mut probe, &keys, value.clone());
    if let Err(error) = Settings::deserialize(Value::Table(probe)) {
        return Err(Error::Variable { name: name.to_owned(), message: error.message().to_owned() });
    }
    put(table, &keys, value);
    Ok(keys.join("."))
}

/// Sets the value under a path of sections and a key.
fn put(table: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => drop(table.insert((*key).to_owned(), value)),
        [section, rest @ ..] => {
            if let Value::Table(section) = table.entry(*section).or_insert_with(|| Value::Table(Table::new())) {
                put(section, rest, value);
            }
        }
    }
}

fn check(settings: &Settings) -> Result<(), Error> {
    let refuse = |key: &'static str, message: &str| Err(Error::Value { key, message: message.to_owned() });
    if !(1..=4096).contains(&settings.data.partitions) {
        return refuse("data.partitions", "must be 1 to 4096");
    }
    if settings.engine.shards > usize::from(settings.data.partitions) {
        return refuse("engine.shards", "must not be more than data.partitions");
    }
    let keyspace = &settings.scylla.keyspace;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !(1..=48).contains(&keyspace.len()) || !plain(keyspace) || !keyspace.as_bytes()[0].is_ascii_lowercase() {
        return refuse("scylla.keyspace", "must be 1 to 48 of a-z, 0-9 and _, beginning with a letter");
    }
    if settings.scylla.local_dc.contains('\'') {
        return refuse("scylla.local_dc", "is not the name of a data centre");
    }
    if settings.scylla.nodes.0.is_empty() || settings.scylla.replication == 0 {
        return refuse("scylla", "needs a node and at least one replica");
    }
    if settings.journal.keep_days > 0 && settings.journal.backend == Backend::Embedded {
        return refuse("journal.keep_days", "the embedded journal keeps everything: leave it at 0, or use backend = \"scylla\"");
    }
    if settings.engine.credits == 0 {
        return refuse("engine.credits", "must be at least 1");
    }
    if settings.scylla.tls.enabled && !cfg!(feature = "scylla-tls") {
        return refuse("scylla.tls.enabled", "this binary was built without the feature scylla-tls");
    }
    check_kafka(&settings.kafka)?;
    let seconds = [settings.payments.pin_seconds, settings.payments.unknown_max_seconds, settings.payments.decline_grace_seconds];
    if seconds.iter().any(|seconds| *seconds > 30 * limits::MAX_TTL_MS / 1000) {
        return refuse("payments", "no time may be longer than 30 days");
    }
    Ok(())
}

fn check_kafka(kafka: &Kafka) -> Result<(), Error> {
    let refuse = |key: &'static str, message: &str| Err(Error::Value { key, message: message.to_owned() });
    let name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !(1..=200).contains(&kafka.topic_prefix.len()) || !kafka.topic_prefix.chars().all(name) {
        return refuse("kafka.topic_prefix", "must be 1 to 200 letters, digits, dots, underscores or dashes");
    }
    if !(1..=4096).contains(&kafka.topic_partitions) {
        return refuse("kafka.topic_partitions", "must be 1 to 4096");
    }
    if !(1..=16).contains(&kafka.replication) {
        return refuse("kafka.replication", "must be 1 to 16");
    }
    if !(1..=10_000_000).contains(&kafka.queue_events) {
        return refuse("kafka.queue_events", "must be 1 to 10000000");
    }
    if !(1..=200).contains(&kafka.group.len()) {
        return refuse("kafka.group", "must be 1 to 200 characters");
    }
    if kafka.payment_results && !kafka.enabled {
        return refuse("kafka.payment_results", "needs kafka.enabled = true");
    }
    if kafka.enabled && !cfg!(feature = "kafka") {
        return refuse("kafka.enabled", "this binary was built without the feature kafka");
    }
    if kafka.security.protocol != KafkaProtocol::Plaintext && !cfg!(feature = "kafka-tls") {
        return refuse("kafka.security.protocol", "this binary was built without the feature kafka-tls");
    }
    Ok(())
}

/// Every key with its value and where it came from, in the order of the sections.
pub fn explain(loaded: &Loaded) -> Vec<(String, String, String)> {
    let mut lines = Vec::new();
    if let Ok(Value::Table(sections)) = Value::try_from(&loaded.settings) {
        explain_section("", &sections, loaded, &mut lines);
    }
    lines
}

fn explain_section(path: &str, keys: &Table, loaded: &Loaded, lines: &mut Vec<(String, String, String)>) {
    for (key, value) in keys {
        let name = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Value::Table(keys) = value {
            explain_section(&name, keys, loaded, lines);
            continue;
        }
        let origin = loaded.origins.get(&name).cloned().unwrap_or_else(|| "default".to_owned());
        lines.push((name, value.to_string(), origin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holdfast.toml");
        std::fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(Some(&path), variables)
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_and_line() {
        let error = with("[server]\nlisten = \"127.0.0.1:1\"\nlissten = 3\n", &[]).unwrap_err().to_string();
        assert!(error.contains("holdfast.toml:3:"), "{error}");
        assert!(error.contains("lissten"), "{error}");
    }

    #[test]
    fn a_variable_wins_over_the_file_and_is_named_as_origin() {
        let loaded = with("[engine]\nshards = 2\n", &[("HOLDFAST__ENGINE__SHARDS", "3")]).unwrap();
        assert_eq!(loaded.settings.engine.shards, 3);
        assert_eq!(loaded.origins["engine.shards"], "HOLDFAST__ENGINE__SHARDS");
    }

    #[test]
    fn an_unknown_variable_is_refused_by_name() {
        let error = with("", &[("HOLDFAST__ENGINE__SHARTS", "3")]).unwrap_err().to_string();
        assert!(error.contains("HOLDFAST__ENGINE__SHARTS"), "{error}");
    }

    #[test]
    fn a_variable_reaches_a_section_inside_a_section() {
        let loaded = with("[kafka]\nenabled = false\n", &[("HOLDFAST__KAFKA__SECURITY__USER", "clerk")]).unwrap();
        assert_eq!(loaded.settings.kafka.security.user, "clerk");
        let rows = explain(&loaded);
        let row = rows.iter().find(|row| row.0 == "kafka.security.user").unwrap();
        assert_eq!(row.2, "HOLDFAST__KAFKA__SECURITY__USER");
    }

    /// Left out in silence, paid orders would expire.
    #[test]
    fn payment_results_from_kafka_need_kafka() {
        let error = with("[kafka]\npayment_results = true\n", &[]).unwrap_err().to_string();
        assert!(error.contains("kafka.enabled = true"), "{error}");
    }

    #[test]
    fn brokers_in_a_variable_are_a_list_with_commas() {
        let loaded = with("", &[("HOLDFAST__KAFKA__BROKERS", "127.0.0.1:9092,127.0.0.2:9092")]).unwrap();
        assert_eq!(loaded.settings.kafka.brokers, "127.0.0.1:9092,127.0.0.2:9092");
    }

    #[test]
    fn the_commented_file_says_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/holdfast.toml");
        let loaded = load(Some(&path), std::iter::empty()).unwrap();
        let shown = Value::try_from(&loaded.settings).unwrap();
        assert_eq!(shown, Value::try_from(Settings::default()).unwrap());
    }
}
