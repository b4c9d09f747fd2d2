//! The sections `[log]` and `[telemetry]`, with their defaults.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: Format,
    pub level: String,
    pub requests: bool,
    pub sample: Sample,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Human,
    Json,
}

/// Of lines of a level, one in so many is written.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    pub error: u32,
    pub warn: u32,
    pub info: u32,
    pub debug: u32,
    pub trace: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::Human, level: "info".to_owned(), requests: false, sample: Sample::default() }
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self { error: 1, warn: 1, info: 1, debug: 1, trace: 1 }
    }
}

/// What is told of a server that runs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    pub old_names: bool,
    /// Empty: nothing is traced.
    pub otlp_endpoint: String,
    pub trace_one_in: u32,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { old_names: true, otlp_endpoint: String::new(), trace_one_in: 0 }
    }
}
