//! The only type the gateway sees: a command goes in, a reply or an honest "unknown" comes out.

use crate::inbox::{Letter, ShardReport};
use crate::replies::{Pending, Ports};
use crate::router::Router;
use crate::unanswered::Unanswered;
use futures_util::future::join_all;
use holdfast_engine::answer::Reply;
use holdfast_engine::command::Command;
use std::cell::Cell;
use std::future::Future;
use tokio::sync::oneshot;

/// Requests that a thread sends before it lets others have the processor.
const TURN: u32 = 16;

/// Where threads outnumber cores, one that reads a hundred requests in a row leaves the shard with all of them at once, and
/// then the disk with all of them at once while nobody has anything to do. With a core to itself it costs nothing.
fn give_way() {
    thread_local! {
        static SENT: Cell<u32> = const { Cell::new(0) };
    }
    let sent = SENT.get() + 1;
    SENT.set(sent % TURN);
    if sent == TURN {
        std::thread::yield_now();
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) router: Router,
    pub(crate) ports: Ports,
}

impl Handle {
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Sends a command now and returns its reply to come. Must be called on a thread with a local task set.
    ///
    /// # Errors
    /// If the command was refused admission: it was not executed.
    pub fn send(&self, command: Command) -> Result<Pending, Unanswered> {
        let inbox = self.router.inbox(command.partition(self.router.partitions));
        if inbox.closed() {
            return Err(Unanswered::Unavailable);
        }
        if !inbox.credits.take() {
            return Err(Unanswered::Overloaded);
        }
        let pending = self.ports.register(inbox.shard, inbox.epoch);
        let ticket = pending.ticket();
        let letter = match command {
            Command::Place { order, placed } => Letter::Place { ticket, order, placed },
            command => Letter::Request { ticket, command: Box::new(command) },
        };
        if !inbox.push(letter) {
            return Err(Unanswered::Unavailable);
        }
        give_way();
        Ok(pending)
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// See [`Unanswered`]: only `Lost` leaves open whether the command was executed.
    pub fn execute(&self, command: Command) -> impl Future<Output = Result<Reply, Unanswered>> + use<> {
        let sent = self.send(command);
        async move { sent?.await }
    }

    /// What each shard has in hand. Shards that do not answer are left out.
    pub async fn reports(&self) -> Vec<ShardReport> {
        let asked = self.router.table().inboxes.clone().into_iter().map(|inbox| async move {
            let (answer, report) = oneshot::channel();
            inbox.push(Letter::Report(answer)).then_some(())?;
            report.await.ok()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}
