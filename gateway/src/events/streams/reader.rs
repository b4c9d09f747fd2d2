//! What is read and rendered for all streams of events, on a thread off the path of orders.
//!
//! Invariants: what is behind a cursor is rendered once for all streams of one role that come to it while it is remembered; a chunk is at most one
//! event longer than [`CHUNK`]; what is remembered takes at most [`REMEMBERED`] bytes and the last chunk; a stream from the beginning
//! begins with what the journal keeps by then, whatever is remembered.

use crate::events::reading::start;
use crate::events::{Cursor, Published, read};
use crate::keys::Role;
use crate::threads::readers::Readers;
use actix_web::web::Bytes;
use holdfast_actors::ClientId;
use holdfast_storage::{Error, Journal};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of text after which a chunk ends, however many events are behind it.
const CHUNK: usize = 64 * 1024;
/// Bytes given to a connection at once: it copies them, and asks for no more than these before the system takes some.
const SLICE: usize = 32 * 1024;
/// Bytes of chunks that are remembered.
const REMEMBERED: usize = 16 << 20;
/// Between two chunks that are rendered: the threads that serve orders send them too. A chunk every time is more than can be rendered.
const PAUSE: Duration = Duration::from_micros(500);

/// Events of a stream, as text.
#[derive(Clone)]
pub struct Chunk {
    pub text: Bytes,
    pub next: Cursor,
    /// There was nothing behind it.
    pub last: bool,
}

/// The next bytes of a text for a connection. They are those of the text: however many streams have it, it is there once.
pub fn slice(text: &mut Bytes) -> Bytes {
    text.split_to(text.len().min(SLICE))
}

/// The thread ends when this is gone.
pub struct Reader {
    threads: Readers,
    kept: Arc<Mutex<Shared>>,
}

/// What only the thread looks at.
struct Shared {
    remembered: Remembered,
    /// When the next chunk may be rendered.
    due: Instant,
}

impl Reader {
    /// # Errors
    /// If the thread cannot be started.
    pub fn start() -> io::Result<Self> {
        let kept = Shared { remembered: Remembered::default(), due: Instant::now() };
        Ok(Self { threads: Readers::start("streams", 1)?, kept: Arc::new(Mutex::new(kept)) })
    }

    /// What comes behind a cursor, if there is anything, for a stream of this client and role. It may be nothing that is for that role.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn next(
        &self,
        (client, role): (Option<ClientId>, Role),
        journal: Arc<dyn Journal>,
        after: Cursor,
    ) -> Result<Option<Chunk>, Error> {
        let kept = self.kept.clone();
        let found = self.threads.run(client, move || known_or_made(&kept, role, &*journal, &after)).await;
        found.unwrap_or_else(|| Err(Error::Failed("what is behind the cursor of a stream could not be rendered".to_owned())))
    }
}

fn known_or_made(kept: &Mutex<Shared>, role: Role, journal: &dyn Journal, after: &Cursor) -> Result<Option<Chunk>, Error> {
    // The beginning is another one when something was purged.
    let after = start(journal, after)?;
    let name = format!("{after} {}", role.name());
    if let Some(known) = lock(kept).remembered.chunks.get(&name) {
        return Ok(Some(known.clone()));
    }
    let Some(chunk) = chunk(role, journal, &after)? else { return Ok(None) };
    let due = lock(kept).due;
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
    let mut kept = lock(kept);
    kept.due = Instant::now() + PAUSE;
    kept.remembered.add(name, &chunk);
    Ok(Some(chunk))
}

fn lock(kept: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Each change of it is whole.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn chunk(role: Role, journal: &dyn Journal, after: &Cursor) -> Result<Option<Chunk>, Error> {
    let mut text = String::new();
    let reached = read(journal, after, usize::MAX, &mut |event| {
        render(&event, role, &mut text);
        if text.len() < CHUNK { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(reached.next.map(|next| Chunk { text: text.into(), next, last: reached.last }))
}

fn render(published: &Published<'_>, role: Role, text: &mut String) {
    let Some(event) = published.shown_to(role) else { return };
    // Text and numbers of ours, written into memory: there is no way for this to fail.
    let json = serde_json::to_string(&event).unwrap_or_default();
    let _ = write!(text, "id: {}\nevent: {}\ndata: {json}\n\n", published.cursor, event.event_type());
}

/// The chunks made last, by the cursor they come behind and the role that they are for. What was read behind a cursor once is never anything else, only less than
/// there is by now: the streams that follow it go on together.
#[derive(Default)]
struct Remembered {
    chunks: HashMap<String, Chunk>,
    order: VecDeque<String>,
    bytes: usize,
}

impl Remembered {
    fn add(&mut self, after: String, chunk: &Chunk) {
        self.bytes += chunk.text.len();
        self.order.push_back(after.clone());
        self.chunks.insert(after, chunk.clone());
        while self.bytes > REMEMBERED && self.order.len() > 1 {
            let oldest = self.order.pop_front().and_then(|oldest| self.chunks.remove(&oldest));
            self.bytes -= oldest.map_or(0, |oldest| oldest.text.len());
        }
    }
}

#[cfg(test)]
mod tests;
