//! Kafka: what publishes the journal, and what takes payment results.
//!
//! Invariant: without the feature `kafka` nothing here names the client.

#[cfg(feature = "kafka")]
pub mod connection;
#[cfg(feature = "kafka")]
pub mod payment_results;
pub mod publisher;
pub mod subscriber;
