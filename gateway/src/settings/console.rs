//! The section of the console.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    pub enabled: bool,
    pub idle_seconds: u64,
}

impl Default for Console {
    fn default() -> Self {
        Self { enabled: true, idle_seconds: 1800 }
    }
}
