//! Settings: the defaults, the file over them, the environment over that, the command line over all.
//!
//! Invariant: each limit and knob is in one place, `config/holdfast.toml` shows them all, and `config explain` says
//! where each value came from. Whatever cannot be used is named with its place, all of it at once.

mod check;
mod console;
mod directory;
mod file;
mod files;
pub mod log_filter;
mod mistakes;
pub mod network;
pub(crate) mod ranges;
mod rates;
mod sections;
mod telemetry;
mod values;
mod variables;

pub use console::Console;
pub use files::warn_of_open_secrets;
pub use mistakes::{Mistake, Mistakes};
pub use ranges::MOST_WORKERS;
pub use rates::{Limits, Rate, RateLimit};
pub use sections::{
    Admin, Auth, Backend, Data, Engine, Holds, Journal, Kafka, KafkaProtocol, KafkaSecurity, Late, Orders, Payments, Quorum,
    Sandbox, Scylla, ScyllaTls, Server, Settings,
};
pub use telemetry::{Format, Log, Sample, Telemetry};
pub use values::{CommaList, Switch};
pub use variables::{environment, strays};

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Settings with the origin of each value that is not a default.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// `section.key` → file and line, variable, or argument.
    pub origins: BTreeMap<String, String>,
}

impl Loaded {
    /// Notes that an argument of the command line gave a value.
    pub fn from_argument(&mut self, key: &str, argument: &str) {
        self.origins.insert(key.to_owned(), argument.to_owned());
    }
}

/// A value for one key.
struct Assignment {
    origin: String,
    /// `section.key`.
    key: String,
    path: Vec<String>,
    value: Value,
}

/// Reads `file` (if any) and the variables given over the defaults.
///
/// # Errors
/// For everything unknown, malformed or out of range.
pub fn load(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Loaded, Mistakes> {
    let (loaded, mut mistakes) = gather(file, variables);
    mistakes.extend(check::values(&loaded));
    if mistakes.is_empty() { Ok(loaded) } else { Err(Mistakes(mistakes)) }
}

/// As [`load`], with the command line over it, and for whoever is to serve with these settings.
///
/// # Errors
/// As [`load`], and for whatever keeps a server from starting that can be told by now.
pub fn load_to_serve(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    arguments: impl FnOnce(&mut Loaded),
) -> Result<Loaded, Mistakes> {
    let (mut loaded, mut mistakes) = gather(file, variables);
    arguments(&mut loaded);
    mistakes.extend(check::values(&loaded));
    mistakes.extend(check::serving(&loaded));
    if mistakes.is_empty() { Ok(loaded) } else { Err(Mistakes(mistakes)) }
}

/// What can be used, and what is wrong with the rest.
fn gather(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> (Loaded, Vec<Mistake>) {
    let (mut given, mut mistakes) = file.map(file::read).unwrap_or_default();
    let (over, wrong) = variables::read(variables);
    given.extend(over);
    mistakes.extend(wrong);
    let (mut table, mut origins) = (Table::new(), BTreeMap::new());
    for Assignment { origin, key, path, value } in given {
        put(&mut table, &path, value);
        origins.insert(key, origin);
    }
    let mut settings = Settings::deserialize(Value::Table(table)).unwrap_or_else(|error| {
        mistakes.push(Mistake::new(None, "", error.message()));
        Settings::default()
    });
    settings.data.partitions_named = origins.contains_key("data.partitions");
    (Loaded { settings, origins }, mistakes)
}

/// Whether a value can stand at this path, and if not why.
fn probe(path: &[String], value: Value) -> Result<(), String> {
    let mut table = Table::new();
    put(&mut table, path, value);
    Settings::deserialize(Value::Table(table)).map(drop).map_err(|error| error.message().to_owned())
}

/// Sets the value under a path of sections and a key.
fn put(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => drop(table.insert(key.clone(), value)),
        [section, rest @ ..] => {
            if let Value::Table(section) = table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                put(section, rest, value);
            }
        }
    }
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
mod tests;
