//! What brings payment results from Kafka to a live engine, if anything does.
//!
//! Invariant: after [`Subscriber::stop`] returned nothing is sent to the engine from here, and the group may give its
//! partitions to another server.

use crate::state::App;
use actix_web::web::Data;
use std::io;
use std::time::Duration;

pub struct Subscriber {
    #[cfg(feature = "kafka")]
    running: Option<Running>,
}

#[cfg(feature = "kafka")]
struct Running {
    inbound: holdfast_storage::kafka::inbound::Inbound,
    handler: actix_web::rt::task::JoinHandle<()>,
}

#[cfg(feature = "kafka")]
impl Subscriber {
    /// # Errors
    /// If the settings name a file that cannot be read, or the thread cannot be started.
    pub fn start(app: &Data<App>) -> io::Result<Self> {
        let kafka = &app.settings.kafka;
        if !(kafka.enabled && kafka.payment_results) {
            return Ok(Self { running: None });
        }
        let (settle, work) = crate::kafka::payment_results::handler(app.clone());
        let inbound =
            holdfast_storage::kafka::inbound::Inbound::start(crate::kafka::connection::payment_results(kafka)?, settle)?;
        Ok(Self { running: Some(Running { inbound, handler: actix_web::rt::spawn(work) }) })
    }

    /// Settles what is in hand, for at most `timeout`.
    pub async fn stop(self, timeout: Duration) {
        if let Some(Running { inbound, handler }) = self.running {
            let _ = actix_web::web::block(move || inbound.stop(timeout)).await;
            handler.abort();
        }
    }
}

/// Without the feature `kafka` settings that turn it on are refused.
#[cfg(not(feature = "kafka"))]
impl Subscriber {
    /// # Errors
    /// Never.
    pub fn start(_: &Data<App>) -> io::Result<Self> {
        Ok(Self {})
    }

    pub async fn stop(self, _: Duration) {}
}
