//! On whose behalf a request sends its commands, and how long it waits for room for them.
//!
//! Invariant: what is looked up for a request counts as its commands do: of its client's share, and in bulk where it is many in one.

use super::{Sent, send_from};
use crate::http::client;
use crate::http::reply::Outcome;
use crate::state::App;
use holdfast_actors::replies::Pending;
use holdfast_actors::{ClientId, NotSent, Origin, Unanswered};
use holdfast_engine::command::Command;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// From a refused admission to the next try.
pub const BUSY_PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy)]
pub struct Sender {
    origin: Origin,
    /// How long a command that finds no room is sent again.
    timeout: Duration,
}

impl Sender {
    /// Of the request that is served on this thread. A command that finds no room is refused at once.
    pub fn current() -> Self {
        Self { origin: Origin { client: client::current(), bulk: false }, timeout: Duration::ZERO }
    }

    /// Of a request that is many in one.
    pub fn bulk(client: Option<ClientId>, timeout: Duration) -> Self {
        Self { origin: Origin { client, bulk: true }, timeout }
    }

    /// Sends a command as soon as there is room for it.
    pub async fn send(self, app: &App, mut command: Command) -> Result<Pending, Unanswered> {
        let mut give_up_at = None;
        loop {
            let NotSent { why, command: refused } = match send_from(app, self.origin, command) {
                Ok(pending) => return Ok(pending),
                Err(not_sent) => not_sent,
            };
            let at = *give_up_at.get_or_insert_with(|| Instant::now() + self.timeout);
            match refused {
                Some(again) if matches!(why, Unanswered::Overloaded | Unanswered::ShareTaken) && Instant::now() < at => {
                    command = *again
                }
                Some(_) | None => return Err(why),
            }
            sleep(BUSY_PAUSE).await;
        }
    }

    /// Sends a command as [`Self::send`] and waits for its reply as [`Sent::new`] says.
    pub async fn execute(self, app: &App, command: Command) -> Outcome {
        let reads = command.reads();
        let pending = self.send(app, command).await;
        Sent::of(app, reads, pending).outcome().await
    }
}
