//! Another number of shards, by the API for operators.
//!
//! Invariant: it returns when the partitions are where they are to be, and an operation that failed is an error.

use crate::http::Target;
use serde_json::{Value, json};
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Steering {
    pub(super) target: Target,
}

impl Steering {
    pub(super) fn new(target: Target) -> Self {
        Self { target }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.target.call("POST", path, "", &body.to_string()).await
    }

    /// Shards there are.
    pub(super) async fn shards(&self) -> Result<u32, String> {
        let shards = self.target.call("GET", "/admin/v1/shards", "", "").await?;
        let count = shards["shards"].as_array().map(Vec::len).unwrap_or_default();
        u32::try_from(count).map_err(|error| error.to_string())
    }

    /// Has so many shards. Returns how many partitions moved.
    pub(super) async fn steer(&self, shards: u32) -> Result<u64, String> {
        let plan = self.post("/admin/v1/tuning:plan", &json!({"changes": {"engine.shards": shards}})).await?;
        let applied = self.post("/admin/v1/tuning:apply", &json!({"plan": plan["plan"], "note": "loadtest reshard"})).await?;
        match applied.get("operation") {
            Some(operation) => self.to_the_end(operation.clone()).await,
            None => Ok(0),
        }
    }

    async fn to_the_end(&self, mut operation: Value) -> Result<u64, String> {
        let path = format!("/admin/v1/operations/{}", operation["id"].as_str().unwrap_or_default());
        while operation["state"] == "running" {
            tokio::time::sleep(PAUSE).await;
            operation = self.target.call("GET", &path, "", "").await?;
        }
        match operation["state"].as_str() {
            Some("done") => Ok(operation["moved"].as_u64().unwrap_or_default()),
            _ => Err(format!("the shards did not change: {operation}")),
        }
    }
}
