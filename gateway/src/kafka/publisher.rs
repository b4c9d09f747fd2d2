//! What publishes the journal of a live engine, if anything does.
//!
//! Invariant: it holds on to the journal no longer than until [`Publisher::stop`] returns, so that it can be opened again.

use crate::settings::Kafka;
use holdfast_storage::Journal;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub struct Publisher {
    #[cfg(feature = "kafka")]
    relay: Option<holdfast_storage::kafka::relay::Relay>,
}

#[cfg(feature = "kafka")]
impl Publisher {
    /// # Errors
    /// If the settings name a file that cannot be read, or the thread cannot be started.
    pub fn start(kafka: &Kafka, journal: &Arc<dyn Journal>) -> io::Result<Self> {
        let relay = kafka.enabled.then(|| crate::kafka::connection::start(kafka, journal.clone())).transpose()?;
        Ok(Self { relay })
    }

    /// Publishes what is left, for at most `timeout`.
    pub async fn stop(self, timeout: Duration) {
        if let Some(relay) = self.relay {
            let _ = actix_web::web::block(move || relay.stop(timeout)).await;
        }
    }
}

/// Without the feature `kafka` settings that turn it on are refused.
#[cfg(not(feature = "kafka"))]
impl Publisher {
    /// # Errors
    /// Never.
    pub fn start(_: &Kafka, _: &Arc<dyn Journal>) -> io::Result<Self> {
        Ok(Self {})
    }

    pub async fn stop(self, _: Duration) {}
}
