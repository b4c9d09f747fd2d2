//! Asks a journal on another machine for what memory no longer has, so that no shard waits for an answer.
//!
//! Invariant: what is found goes back to the inbox that asked, with the command it is for and nothing done yet. Whether
//! the answer is still good when it arrives is for the shard to say.

use crate::inbox::{Inbox, Letter};
use crossbeam::channel::{Receiver, Sender, unbounded};
use holdfast_engine::command::{Command, Loaded, Missing};
use holdfast_engine::ids::Ticket;
use holdfast_storage::{Error, Journal, projection};
use std::sync::Arc;
use std::time::Duration;

/// Questions on their way at once: each holds a thread for one round trip.
const THREADS: usize = 16;
/// Between two tries of a question the cluster does not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// A command that waits for what it needs.
pub struct Question {
    pub ticket: Ticket,
    pub command: Command,
    pub missing: Missing,
    /// Archivings of its partition when it was asked.
    pub archived: u64,
    pub inbox: Arc<Inbox>,
}

/// Cheap to clone; the threads end when the last clone is gone.
#[derive(Clone)]
pub struct Lookups {
    questions: Sender<Question>,
}

impl Lookups {
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(journal: &Arc<dyn Journal>) -> std::io::Result<Self> {
        // Bounded by the credits of the shards.
        let (questions, asked) = unbounded();
        let threads = if journal.remote() { THREADS } else { 0 };
        for _ in 0..threads {
            let (journal, asked) = (journal.clone(), asked.clone());
            std::thread::Builder::new().name("lookups".to_owned()).spawn(move || run(&*journal, &asked))?;
        }
        Ok(Self { questions })
    }

    pub fn ask(&self, question: Question) {
        // Without threads the process ends, and nobody waits any more.
        self.questions.send(question).unwrap_or_default();
    }
}

fn run(journal: &dyn Journal, asked: &Receiver<Question>) {
    while let Ok(Question { ticket, command, missing, archived, inbox }) = asked.recv() {
        if let Some(loaded) = find(journal, &missing, &inbox) {
            let (command, loaded) = (Box::new(command), Box::new(loaded));
            inbox.push(Letter::Loaded { ticket, command, loaded, archived });
        }
    }
}

/// Asks until answered. None once the shard that asked is gone.
fn find(journal: &dyn Journal, missing: &Missing, inbox: &Inbox) -> Option<Loaded> {
    while !inbox.closed() {
        match load(journal, missing) {
            Ok(loaded) => return Some(loaded),
            Err(error) => {
                tracing::warn!(%error, "a projection cannot be read: trying on");
                std::thread::sleep(PAUSE);
            }
        }
    }
    None
}

/// What is missing, as far as the projections have it.
///
/// # Errors
/// If the store cannot be read.
pub fn load(journal: &dyn Journal, missing: &Missing) -> Result<Loaded, Error> {
    let order = missing.order.map_or(Ok(None), |id| projection::order(journal, id))?;
    let key = missing.key.map_or(Ok(None), |key| projection::key(journal, key))?;
    Ok(Loaded { order, key })
}
