//! What is published about events and topics: the JSON Schemas of `docs/events` and `docs/asyncapi.yaml`, read as strangers
//! read them.
//!
//! Invariant: an event passes only if a schema names its type and every member it has.

use jsonschema::{Registry, Validator};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Where references between the files are resolved. Nothing is ever fetched from there.
const BASE: &str = "https://holdfast.invalid/events/";

pub(crate) struct Contract {
    events: BTreeMap<String, Validator>,
    payment_result: Validator,
}

impl Contract {
    /// Reads every schema.
    pub(crate) fn read() -> Self {
        let files = files(&docs().join("events"), "");
        let added =
            files.iter().try_fold(Registry::new(), |registry, (name, schema)| registry.add(format!("{BASE}{name}"), schema));
        let registry = or_panic(or_panic(added, "the schemas").prepare(), "the schemas");
        let validator = |name: &str| {
            let schema = files.get(name).unwrap_or_else(|| panic!("there is no docs/events/{name}"));
            let options = jsonschema::options().with_registry(&registry).with_base_uri(format!("{BASE}{name}"));
            or_panic(options.should_validate_formats(true).build(schema), name)
        };
        let own = files.iter().filter(|(name, _)| !name.contains('/'));
        let events = own.map(|(name, schema)| {
            let kind = schema["properties"]["type"]["const"].as_str().unwrap_or_default();
            assert_eq!(format!("{kind}.json"), format!("holdfast.{name}"), "the type of docs/events/{name}");
            (kind.to_owned(), validator(name))
        });
        Self { events: events.collect(), payment_result: validator("inbound/payment_result.json") }
    }

    /// Types of which there is a schema.
    pub(crate) fn types(&self) -> BTreeSet<&str> {
        self.events.keys().map(String::as_str).collect()
    }

    /// # Errors
    /// Says what is wrong with the event.
    pub(crate) fn check(&self, event: &Value) -> Result<(), String> {
        let kind = event["type"].as_str().unwrap_or_default();
        let schema = self.events.get(kind).ok_or_else(|| format!("docs/events knows no type {kind:?}: {event}"))?;
        schema.validate(event).map_err(|error| format!("{error} at {:?} of {event}", error.instance_path().to_string()))
    }

    /// Whether a record may be put into the topic of payment results.
    pub(crate) fn takes_result(&self, result: &Value) -> bool {
        self.payment_result.is_valid(result)
    }
}

/// The AsyncAPI document.
pub(crate) struct AsyncApi(Value);

impl AsyncApi {
    pub(crate) fn read() -> Self {
        let text = or_panic(std::fs::read_to_string(docs().join("asyncapi.yaml")), "docs/asyncapi.yaml");
        Self(or_panic(serde_saphyr::from_str(&text), "docs/asyncapi.yaml"))
    }

    /// The addresses of its channels, each with the files of its payloads, empty where there is none.
    pub(crate) fn channels(&self) -> BTreeMap<String, BTreeSet<String>> {
        let channels = members(&self.0["channels"]).map(|(_, channel)| {
            let messages = members(&channel["messages"]).map(|(_, message)| self.resolve(message));
            let payloads = messages.map(|message| message["payload"]["schema"]["$ref"].as_str().unwrap_or_default().to_owned());
            (channel["address"].as_str().unwrap_or_default().to_owned(), payloads.collect())
        });
        channels.collect()
    }

    /// The headers that a message of a channel must have.
    pub(crate) fn required_headers(&self, message: &str) -> BTreeSet<String> {
        let headers = self.resolve(&self.0["components"]["messages"][message]["headers"]);
        headers["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Follows every reference of the document.
    pub(crate) fn follow_all(&self) {
        self.follow(&self.0);
    }

    fn follow(&self, value: &Value) {
        match value {
            Value::Object(members) => {
                if members.contains_key("$ref") {
                    self.resolve(value);
                }
                members.values().for_each(|member| self.follow(member));
            }
            Value::Array(items) => items.iter().for_each(|item| self.follow(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// What a reference means, or the value itself if it is none.
    fn resolve(&self, value: &Value) -> Value {
        let Some(reference) = value["$ref"].as_str() else { return value.clone() };
        match reference.strip_prefix('#') {
            Some(pointer) => {
                self.0.pointer(pointer).unwrap_or_else(|| panic!("docs/asyncapi.yaml: {reference} leads nowhere")).clone()
            }
            None => read_json(&docs().join(reference)),
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// The schemas under a directory by their path in it.
fn files(dir: &Path, prefix: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for entry in or_panic(std::fs::read_dir(dir), "docs/events").flatten() {
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()));
        if path.is_dir() {
            found.extend(files(&path, &format!("{name}/")));
        } else if name.ends_with(".json") {
            found.insert(name, read_json(&path));
        }
    }
    found
}

fn read_json(path: &Path) -> Value {
    let shown = path.display().to_string();
    or_panic(serde_json::from_str(&or_panic(std::fs::read_to_string(path), &shown)), &shown)
}

fn or_panic<T>(result: Result<T, impl Display>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}
