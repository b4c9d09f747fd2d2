//! A small blocking HTTP client that never says more than it knows: an answer, or that the outcome is unknown.

use crate::server::poll;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use ureq::Agent;
use ureq::http;

/// Longer than the server lets anybody wait.
const PATIENCE: Duration = Duration::from_secs(20);
/// For reading the whole journal, on a cluster through slow proxies.
const LONG_PATIENCE: Duration = Duration::from_secs(300);

/// A request that can be sent again exactly as it was.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub key: Option<String>,
    pub if_match: Option<String>,
    pub correlation: Option<String>,
    /// Empty for none.
    pub body: String,
}

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), key: None, if_match: None, correlation: None, body: String::new() }
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: "DELETE", ..Self::get(path) }
    }

    /// Without a body.
    pub fn press(path: impl Into<String>) -> Self {
        Self { method: "POST", ..Self::get(path) }
    }

    pub fn post(path: impl Into<String>, body: &Value) -> Self {
        Self { body: body.to_string(), ..Self::press(path) }
    }

    /// With an idempotency key.
    pub fn keyed(path: impl Into<String>, key: impl Into<String>, body: &Value) -> Self {
        Self { key: Some(key.into()), ..Self::post(path, body) }
    }

    pub fn put(path: impl Into<String>, version: u64, body: &Value) -> Self {
        Self { method: "PUT", if_match: Some(format!("\"{version}\"")), ..Self::post(path, body) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// `Idempotent-Replayed: true`.
    pub replayed: bool,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The text of a member, empty if it is none.
    pub fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_default().to_owned()
    }

    pub fn shown(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// What a caller knows afterwards.
#[derive(Clone, Debug)]
pub enum Reached {
    Answered(Answer),
    /// 503: the server promises that nothing was executed.
    Refused(Answer),
    /// The connection broke, or 202: it may have happened.
    Unknown,
}

/// Looks on while somebody else has taken over from a server, and counts what that server says was done.
#[derive(Debug, Default)]
pub struct Watch {
    /// Set before the server goes on.
    pub over: AtomicBool,
    /// Answers to requests that were sent before: true only if they were durable before.
    pub late: AtomicU64,
    /// Answers to requests that were sent after it.
    pub wrong: AtomicU64,
}

pub struct Client {
    agent: Agent,
    url: String,
    watch: Arc<Watch>,
}

impl Client {
    pub fn new(url: &str) -> Self {
        Self::within(url, PATIENCE)
    }

    fn within(url: &str, patience: Duration) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(patience)).proxy(None).build();
        Self { agent: config.into(), url: url.to_owned(), watch: Arc::default() }
    }

    /// The same for what takes as long as there is data.
    #[must_use]
    pub fn patiently(&self) -> Self {
        Self::within(&self.url, LONG_PATIENCE)
    }

    #[must_use]
    pub fn watched(mut self, watch: &Arc<Watch>) -> Self {
        self.watch = watch.clone();
        self
    }

    pub fn send(&self, request: &Request) -> Reached {
        let over = self.watch.over.load(Ordering::SeqCst);
        match self.exchange(request) {
            Err(_) => Reached::Unknown,
            Ok(answer) if answer.status == 202 => Reached::Unknown,
            Ok(answer) if answer.status == 503 => Reached::Refused(answer),
            Ok(answer) => {
                if (200..300).contains(&answer.status) && self.watch.over.load(Ordering::SeqCst) {
                    let count = if over { &self.watch.wrong } else { &self.watch.late };
                    count.fetch_add(1, Ordering::SeqCst);
                }
                Reached::Answered(answer)
            }
        }
    }

    /// Whether it is carried out, from now on: 202.
    pub fn accepts(&self, request: &Request) -> bool {
        self.exchange(request).is_ok_and(|answer| answer.status == 202)
    }

    /// The answer of a server that must answer, perhaps after it said "later" for a while.
    ///
    /// # Errors
    /// Says what came instead.
    pub fn ask(&self, request: &Request) -> Result<Answer, String> {
        let mut last = Err(String::new());
        let answered = poll(PATIENCE, || {
            last = self.exchange(request).map_err(|error| format!("{} {}: {error}", request.method, request.path));
            match &last {
                Ok(answer) if answer.status == 503 => None,
                _ => Some(()),
            }
        });
        match answered {
            Some(()) => last,
            None => Err(format!("{last:?} for {PATIENCE:?}")),
        }
    }

    /// The JSON of a 200.
    ///
    /// # Errors
    /// Says what came instead.
    pub fn json(&self, request: &Request) -> Result<Value, String> {
        let answer = self.ask(request)?;
        match answer.status {
            200 => Ok(answer.json()),
            _ => Err(format!("{} {}: {}", request.method, request.path, answer.shown())),
        }
    }

    fn exchange(&self, request: &Request) -> Result<Answer, ureq::Error> {
        let mut head = http::Request::builder().method(request.method).uri(format!("{}{}", self.url, request.path));
        if let Some(key) = &request.key {
            head = head.header("Idempotency-Key", key);
        }
        if let Some(version) = &request.if_match {
            head = head.header("If-Match", version);
        }
        if let Some(correlation) = &request.correlation {
            head = head.header("X-Correlation-Id", correlation);
        }
        let mut response = if !request.body.is_empty() {
            self.agent.run(head.header("Content-Type", "application/json").body(request.body.as_str())?)?
        } else if request.method == "POST" {
            self.agent.run(head.body("")?)?
        } else {
            self.agent.run(head.body(())?)?
        };
        let replayed = response.headers().get("Idempotent-Replayed").is_some_and(|value| value == "true");
        Ok(Answer { status: response.status().as_u16(), replayed, body: response.body_mut().read_to_vec()? })
    }
}
