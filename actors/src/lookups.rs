//! Asks a journal on another machine for what memory no longer has, so that no shard waits for an answer.
//!
//! Invariant: what is found, or why it cannot be read, goes back to the inbox that asked, with the command it is for and nothing done yet. Whether
//! the answer is still good when it arrives is for the shard to say.

use crate::inbox::{Inbox, ShardMessage};
use crate::panics;
use crossbeam::channel::{Receiver, Sender, unbounded};
use holdfast_engine::command::{Command, Loaded, Missing};
use holdfast_engine::ids::{PartitionId, Seq, Ticket};
use holdfast_storage::backoff::Backoff;
use holdfast_storage::{Error, Journal, rows};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Requests on their way at once: each holds a thread for one round trip.
const THREADS: usize = 16;
/// Between two tries of a request that the cluster does not answer.
const PAUSES: Backoff = Backoff::even(Duration::from_millis(200));

/// A command that waits for what it needs.
pub struct LookupRequest {
    pub ticket: Ticket,
    pub command: Command,
    pub missing: Missing,
    /// The partition it is for, its last record when it was asked, and its life.
    pub partition: PartitionId,
    pub asked: Seq,
    pub life: u64,
    pub inbox: Arc<Inbox>,
}

/// Cheap to clone; the threads end when the last clone is gone.
#[derive(Clone)]
pub struct Lookups {
    requests: Sender<LookupRequest>,
}

impl Lookups {
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(journal: &Arc<dyn Journal>) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        // Bounded by the credits of the shards.
        let (requests, asked) = unbounded();
        let count = if journal.remote() { THREADS } else { 0 };
        let thread = |_| {
            let (journal, asked) = (journal.clone(), asked.clone());
            std::thread::Builder::new().name("lookups".to_owned()).spawn(move || run(&*journal, &asked))
        };
        let threads = (0..count).map(thread).collect::<std::io::Result<Vec<_>>>()?;
        Ok((Self { requests }, threads))
    }

    pub fn ask(&self, request: LookupRequest) {
        // Without threads the process ends, and nobody waits any more.
        let _ = self.requests.send(request);
    }
}

fn run(journal: &dyn Journal, requests: &Receiver<LookupRequest>) {
    while let Ok(LookupRequest { ticket, command, missing, partition, asked, life, inbox }) = requests.recv() {
        let message = match find(journal, &missing, &inbox) {
            None => continue,
            Some(Ok(loaded)) => {
                ShardMessage::Loaded { ticket, command: Box::new(command), loaded: Box::new(loaded), asked, life }
            }
            Some(Err(error)) => ShardMessage::Unread { ticket, partition, life, error: Box::new(error) },
        };
        inbox.push(message);
    }
}

/// Asks until answered: a row that is there and cannot be read is an answer. None once the shard that asked is gone.
fn find(journal: &dyn Journal, missing: &Missing, inbox: &Inbox) -> Option<Result<Loaded, Error>> {
    let mut pauses = PAUSES;
    while !inbox.closed() {
        match load(journal, missing) {
            Err(error @ (Error::Unreachable(_) | Error::Stopped)) => {
                tracing::warn!(%error, "a projection cannot be read: trying on");
                std::thread::sleep(pauses.next_pause());
            }
            answered => return Some(answered),
        }
    }
    None
}

/// What is missing, as far as the projections have it.
///
/// # Errors
/// If the store cannot be read, or a row is not what was written: also where reading it panics.
pub fn load(journal: &dyn Journal, missing: &Missing) -> Result<Loaded, Error> {
    let read = || {
        let order = missing.order.map_or(Ok(None), |id| rows::order(journal, id))?;
        let key = missing.key.map_or(Ok(None), |key| rows::key(journal, key))?;
        Ok(Loaded { order, key })
    };
    // The store keeps nothing half done in a read.
    let read = catch_unwind(AssertUnwindSafe(read));
    read.unwrap_or_else(|panic| Err(Error::Failed(format!("reading a row panicked: {}", panics::text(&*panic)))))
}
