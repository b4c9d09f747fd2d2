//! Kafka: what is published to it and what is taken from it, over one client.
//!
//! [`client`] is how all clients are set up, `topic` creates and looks at topics, `session` ends threads that live in sessions;
//! [`relay`] publishes every fact, [`inbound`] takes what others put there for us. Invariants: nothing outside this folder names the
//! driver; neither direction knows the other.

pub mod client;
pub mod inbound;
pub mod relay;
mod session;
mod topic;

pub use client::{Connection, TopicPartition};
