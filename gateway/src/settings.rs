//! Settings: the defaults, the file over them, what operators changed over that, the environment over that, the command line over all.
//!
//! Invariant: each limit and knob is in one place, `config/holdfast.toml` shows them all, and `config explain` says
//! where each value came from, and whether another comes into force without a restart. Whatever cannot be used is named with its place, all of it at once.

mod check;
mod console;
mod directory;
mod file;
mod files;
mod live;
pub mod log_filter;
mod mistakes;
pub mod network;
pub(crate) mod ranges;
mod rates;
mod sections;
mod telemetry;
mod tuned;
mod values;
mod variables;

pub use console::Console;
pub use files::warn_of_open_secrets;
pub use live::{KNOBS, Knob, SHARDS, change, knob};
pub use mistakes::{Mistake, Mistakes};
pub use ranges::{MOST_WORKERS, range_of};
pub use rates::{Limits, Rate, RateLimit};
pub use sections::{
    Admin, Auth, Backend, Data, Engine, Holds, Journal, Kafka, KafkaProtocol, KafkaSecurity, Late, Orders, Payments, Quorum,
    Sandbox, Scylla, ScyllaTls, Server, Settings,
};
pub use telemetry::{Format, Log, Sample, Telemetry};
pub use tuned::{Entry, write as write_entries};
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
    pub tuned: Tuned,
}

/// What operators changed while the server ran, and what there is without it.
#[derive(Debug, Default)]
pub struct Tuned {
    pub entries: Vec<Entry>,
    pub base: Settings,
    /// As [`Loaded::origins`], of `base`.
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
    let (loaded, mut mistakes) = gather(file, Vec::new(), variables);
    mistakes.extend(check::values(&loaded));
    if mistakes.is_empty() { Ok(loaded) } else { Err(Mistakes(mistakes)) }
}

/// As [`load`], with what operators changed between the file and the variables, and arguments over it.
///
/// # Errors
/// As [`load`].
pub fn load_tuned(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    arguments: impl Fn(&mut Loaded),
) -> Result<Loaded, Mistakes> {
    checked(layered(file, variables, arguments), check::values)
}

/// As [`load_tuned`], for whoever is to serve with these settings.
///
/// # Errors
/// As [`load`], and for whatever keeps a server from starting that can be told by now.
pub fn load_to_serve(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    arguments: impl Fn(&mut Loaded),
) -> Result<Loaded, Mistakes> {
    checked(layered(file, variables, arguments), |loaded| [check::values(loaded), check::serving(loaded)].concat())
}

/// What is wrong only with what operators changed is told with the file that has it: the settings file may be right.
fn checked((loaded, mut mistakes): (Loaded, Vec<Mistake>), check: impl Fn(&Loaded) -> Vec<Mistake>) -> Result<Loaded, Mistakes> {
    let tuned = &loaded.tuned;
    let base = Loaded { settings: tuned.base.clone(), origins: tuned.origins.clone(), tuned: Tuned::default() };
    let without: Vec<(String, String)> = check(&base).into_iter().map(|mistake| (mistake.key, mistake.message)).collect();
    let dir = &base.settings.data.dir;
    mistakes.extend(check(&loaded).into_iter().map(|mistake| {
        let is_without = without.iter().any(|(key, message)| *key == mistake.key && *message == mistake.message);
        if is_without { mistake } else { tuned::named(dir, mistake) }
    }));
    if mistakes.is_empty() { Ok(loaded) } else { Err(Mistakes(mistakes)) }
}

/// Where the data is says where the file of changes is, so that the settings are read once without it.
fn layered(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    arguments: impl Fn(&mut Loaded),
) -> (Loaded, Vec<Mistake>) {
    let variables: Vec<(String, String)> = variables.collect();
    let (mut base, mut mistakes) = gather(file, Vec::new(), variables.iter().cloned());
    arguments(&mut base);
    let data = &base.settings.data;
    let entries = if data.ephemeral { Ok(Vec::new()) } else { tuned::read(&data.dir) };
    let entries = entries.unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        Vec::new()
    });
    let (given, wrong) = tuned::assignments(&entries);
    mistakes.extend(wrong.into_iter().map(|mistake| tuned::named(&data.dir, mistake)));
    // What is wrong with the others is known.
    let (mut loaded, _) = gather(file, given, variables.into_iter());
    arguments(&mut loaded);
    loaded.tuned = Tuned { entries, base: base.settings, origins: base.origins };
    (loaded, mistakes)
}

/// What can be used, and what is wrong with the rest.
fn gather(
    file: Option<&Path>,
    between: Vec<Assignment>,
    variables: impl Iterator<Item = (String, String)>,
) -> (Loaded, Vec<Mistake>) {
    let (mut given, mut mistakes) = file.map(file::read).unwrap_or_default();
    given.extend(between);
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
    (Loaded { settings, origins, tuned: Tuned::default() }, mistakes)
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

/// The settings with another value of one key.
///
/// # Errors
/// If the value cannot stand there.
pub fn replaced(settings: &Settings, key: &str, value: Value) -> Result<Settings, String> {
    let path = tuned::path_of(key);
    probe(&path, value.clone())?;
    let mut table = Table::try_from(settings).map_err(|error| error.to_string())?;
    put(&mut table, &path, value);
    let replaced = Settings::deserialize(Value::Table(table)).map_err(|error| error.message().to_owned())?;
    // Not all of it is in a table.
    Ok(Settings { data: settings.data.clone(), ..replaced })
}

/// What is wrong with settings that can be changed while the server runs.
pub fn live_mistakes(settings: &Settings) -> Vec<Mistake> {
    check::live(&Loaded { settings: settings.clone(), origins: BTreeMap::new(), tuned: Tuned::default() })
}

/// What there is to say of a setting.
#[derive(Debug, PartialEq, serde::Serialize)]
pub struct Explained {
    /// `section.key`.
    pub key: String,
    pub value: Value,
    /// How another value comes into force.
    pub change: &'static str,
    pub origin: String,
}

/// Every key with its value, how it is changed and where it came from, in the order of the sections.
pub fn explain(loaded: &Loaded) -> Vec<Explained> {
    let origin = |key: &str| loaded.origins.get(key).cloned().unwrap_or_else(|| "default".to_owned());
    let row = |(key, value): (String, Value)| {
        let (change, origin) = (change(&key), origin(&key));
        Explained { key, value, change, origin }
    };
    values_of(&loaded.settings).into_iter().map(row).collect()
}

/// Every key with its value, in the order of the sections.
pub fn values_of(settings: &Settings) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    if let Ok(sections) = Table::try_from(settings) {
        add_values("", sections, &mut values);
    }
    values
}

fn add_values(path: &str, keys: Table, values: &mut Vec<(String, Value)>) {
    for (key, value) in keys {
        let name = if path.is_empty() { key } else { format!("{path}.{key}") };
        match value {
            Value::Table(keys) => add_values(&name, keys, values),
            value => values.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests;
