//! The client of the brokers: how each is set up, and why one cannot go on.
//!
//! Invariant: what operators set counts for every client, and each failure says what failed and where.

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use std::time::Duration;

/// A partition of a topic.
pub type TopicPartition = i32;

/// Where the brokers are and how to talk to them.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// Further properties of the client, security above all.
    pub properties: Vec<(String, String)>,
}

/// Why the brokers cannot be worked with. Says what to do where somebody has to do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Kafka at {brokers} does not answer: {reason}")]
    Unreachable { brokers: String, reason: String },
    #[error("the Kafka client cannot be set up: {0}")]
    Client(String),
    #[error("the topic {topic} {problem}")]
    Topic { topic: String, problem: String },
    #[error("the topic {topic} {problem}")]
    TopicMissing { topic: String, problem: String },
}

impl Error {
    /// Whether it stays until somebody does something.
    pub(crate) fn lasts(&self) -> bool {
        match self {
            Self::Client(_) | Self::Topic { .. } => true,
            Self::Unreachable { .. } | Self::TopicMissing { .. } => false,
        }
    }
}

/// How long one question may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of one message. More than the largest event that was ever seen, less than what a broker chokes on.
pub(crate) const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// What all clients have in common.
pub(crate) fn config(connection: &Connection) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &connection.brokers)
        .set("client.id", "holdfast")
        .set("socket.timeout.ms", "10000")
        .set("socket.connection.setup.timeout.ms", "5000")
        // A broker that comes back is found within this.
        .set("reconnect.backoff.max.ms", "1000");
    for (name, value) in &connection.properties {
        config.set(name, value);
    }
    config
}

pub(crate) fn client_error(error: &KafkaError) -> Error {
    Error::Client(error.to_string())
}

/// The log of the client library tells of every lost connection; what an operator has to know is said once, elsewhere.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::warn!(facility, "kafka client: {message}");
        }
        RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning
        | RDKafkaLogLevel::Notice
        | RDKafkaLogLevel::Info
        | RDKafkaLogLevel::Debug => tracing::debug!(facility, "kafka client: {message}"),
    }
}

/// For clients whose calls say themselves what went wrong.
pub(super) struct SilentContext;

impl ClientContext for SilentContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for SilentContext {}
