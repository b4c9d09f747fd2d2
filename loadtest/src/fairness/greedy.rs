//! The greedy client: full batches one after the other, unread streams, audits.
//!
//! Invariant: no item of any batch is the repetition of another, so each is executed.

use crate::http::{Connection, Target};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Reservations of a full batch.
const ITEMS: usize = 4096;
/// After a refusal, as long as a client that obeys no `Retry-After` takes.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Greed {
    target: Target,
    skus: Vec<String>,
    ttl: u64,
    next: AtomicU64,
    name: String,
    /// Answers by what was asked and the status.
    answers: Mutex<BTreeMap<String, u64>>,
    /// Held open, never read.
    streams: Mutex<Vec<Connection>>,
}

impl Greed {
    pub(super) fn new(target: Target, skus: Vec<String>, ttl: u64) -> Self {
        let name = crate::run::name();
        Self { target, skus, ttl, next: AtomicU64::new(0), name, answers: Mutex::default(), streams: Mutex::default() }
    }

    pub(super) async fn open_streams(&self, count: usize) -> Result<(), String> {
        let request = self.target.request("GET", "/v1/events/stream", "", "");
        for _ in 0..count {
            let mut connection = self.target.connect().await.map_err(|error| error.to_string())?;
            connection.write(&request).await.map_err(|error| error.to_string())?;
            self.streams.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(())
    }

    /// Asks on and on, on a connection each.
    pub(super) fn start(self: Arc<Self>, runtime: &Runtime, batches: usize, audits: usize) {
        for _ in 0..batches {
            runtime.spawn(self.clone().ask("batch", self.target.clone(), |greed| greed.batch()));
        }
        for _ in 0..audits {
            runtime.spawn(self.clone().ask("audit", self.target.operators().clone(), |greed| {
                greed.target.operators().request("POST", "/admin/v1/audit", "", "")
            }));
        }
    }

    async fn ask(self: Arc<Self>, what: &'static str, target: Target, make: fn(&Self) -> Vec<u8>) {
        loop {
            let Ok(mut connection) = target.connect().await else {
                self.count(what, "no connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            // Until it breaks.
            while let Ok(status) = connection.exchange(&make(&self)).await {
                self.count(what, &status.to_string());
                if status != 200 {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            self.count(what, "broken");
        }
    }

    fn batch(&self) -> Vec<u8> {
        let first = self.next.fetch_add(ITEMS as u64, Ordering::Relaxed);
        let mut body = String::with_capacity(ITEMS * 96);
        for number in first..first + ITEMS as u64 {
            let sku = &self.skus[number as usize % self.skus.len()];
            let begin = if number == first { "{\"items\":[" } else { "," };
            let (name, ttl) = (&self.name, self.ttl);
            let item = format_args!(
                "{{\"key\":\"{name}-{number}\",\"ttl_seconds\":{ttl},\"lines\":[{{\"sku\":\"{sku}\",\"quantity\":1}}]}}"
            );
            let _ = write!(body, "{begin}{item}");
        }
        body.push_str("]}");
        self.target.request("POST", "/v1/reservations:batch", "", &body)
    }

    fn count(&self, what: &str, status: &str) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(format!("{what} {status}")).or_default() += 1;
    }

    /// What it was answered so far.
    pub(super) fn told(&self) -> Vec<(String, u64)> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(name, count)| (name.clone(), *count)).collect()
    }
}
