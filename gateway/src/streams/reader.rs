//! The thread that reads and renders for all streams of events, off the path of orders.
//!
//! Invariants: what is behind a cursor is rendered once for all streams that come to it while it is remembered; a chunk is at most one
//! event longer than [`CHUNK`]; what is remembered takes at most [`REMEMBERED`] bytes and the last chunk.

use crate::events::{CloudEvent, Cursor, Published, read};
use crate::priority::be_nice;
use actix_web::web::Bytes;
use crossbeam::channel::{Receiver, Sender, unbounded};
use holdfast_storage::{Error, Journal};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Bytes given to a connection at once.
const CHUNK: usize = 32 * 1024;
/// Events read from the disk at once.
const PAGE: usize = 64;
/// Bytes of chunks that are remembered.
const REMEMBERED: usize = 16 << 20;
const NICENESS: i32 = 15;
/// Between two chunks: the threads that serve orders send them too. A stream alone gets more a second than can be rendered.
const PAUSE: Duration = Duration::from_micros(500);

/// Events of a stream, as text.
#[derive(Clone)]
pub struct Chunk {
    pub text: Bytes,
    pub next: Cursor,
    /// There was nothing behind it.
    pub last: bool,
}

struct Question {
    journal: Arc<dyn Journal>,
    after: Cursor,
    answer: oneshot::Sender<Result<Option<Chunk>, Error>>,
}

/// The thread ends when this is gone.
pub struct Reader {
    questions: Sender<Question>,
}

impl Reader {
    /// # Errors
    /// If the thread cannot be started.
    pub fn start() -> io::Result<Self> {
        // Bounded by the streams: each asks for one thing at a time.
        let (questions, asked) = unbounded();
        std::thread::Builder::new().name("streams".to_owned()).spawn(move || {
            be_nice(NICENESS);
            run(&asked);
        })?;
        Ok(Self { questions })
    }

    /// What comes behind a cursor, if there is anything.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn next(&self, journal: Arc<dyn Journal>, after: Cursor) -> Result<Option<Chunk>, Error> {
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { journal, after, answer }).map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?
    }
}

fn run(asked: &Receiver<Question>) {
    let (mut remembered, mut due) = (Remembered::default(), Instant::now());
    while let Ok(Question { journal, after, answer }) = asked.recv() {
        if answer.is_closed() {
            continue;
        }
        let name = after.to_string();
        let chunk = match remembered.chunks.get(&name) {
            Some(known) => Ok(Some(known.clone())),
            None => chunk(&*journal, &after).inspect(|chunk| remembered.add(name, chunk.as_ref())),
        };
        if let Ok(Some(_)) = chunk {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due = Instant::now() + PAUSE;
        }
        // Its stream may have ended meanwhile.
        drop(answer.send(chunk));
    }
}

fn chunk(journal: &dyn Journal, after: &Cursor) -> Result<Option<Chunk>, Error> {
    let found = read(journal, after, PAGE)?;
    let (mut text, mut next, mut shown) = (String::new(), None, 0);
    for event in &found {
        if text.len() >= CHUNK {
            break;
        }
        render(event, &mut text);
        (next, shown) = (Some(event.cursor.clone()), shown + 1);
    }
    let last = shown == found.len() && shown < PAGE;
    Ok(next.map(|next| Chunk { text: text.into(), next, last }))
}

fn render(Published { cursor, partition, record }: &Published, text: &mut String) {
    let event = CloudEvent::of(*partition, record);
    // Strings, numbers and maps of them, written into memory: there is no way for this to fail.
    let json = serde_json::to_string(&event).unwrap_or_default();
    write!(text, "id: {cursor}\nevent: {}\ndata: {json}\n\n", event.event_type).unwrap_or_default();
}

/// The chunks made last, by the cursor they come behind. What was read behind a cursor once is never anything else, only less than
/// there is by now: the streams that follow it go on together.
#[derive(Default)]
struct Remembered {
    chunks: HashMap<String, Chunk>,
    order: VecDeque<String>,
    bytes: usize,
}

impl Remembered {
    fn add(&mut self, after: String, chunk: Option<&Chunk>) {
        let Some(chunk) = chunk else { return };
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
mod tests {
    use super::*;
    use holdfast_engine::Causality;
    use holdfast_engine::codec::Batch;
    use holdfast_engine::event::{Event, Record, StockFact};
    use holdfast_engine::ids::{PartitionId, Partitions, Sku};
    use holdfast_engine::quantity::Quantity;
    use holdfast_engine::time::Timestamp;
    use holdfast_storage::LogId;
    use holdfast_storage::memory::MemoryJournal;

    fn append(journal: &MemoryJournal, seqs: std::ops::RangeInclusive<u64>) {
        for seq in seqs {
            let fact = StockFact::ThresholdSet { threshold: Quantity(1), version: seq };
            let event = Event::Stock { sku: Sku::new("SKU").unwrap(), fact };
            let mut batch = Batch::default();
            batch.push(PartitionId(0), &Record { seq, at: Timestamp(1), event });
            journal.append(LogId(0), &batch).unwrap();
        }
    }

    fn journal() -> MemoryJournal {
        MemoryJournal::with(Causality::OneLog, Partitions::new(4).unwrap())
    }

    fn sequences(text: &[u8]) -> Vec<u64> {
        let data = std::str::from_utf8(text).unwrap().lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|event| serde_json::from_str::<serde_json::Value>(event).unwrap()["sequence"].as_u64().unwrap()).collect()
    }

    #[actix_web::test]
    async fn chunks_one_behind_the_other_have_every_event_once_and_are_bounded() {
        let journal = journal();
        append(&journal, 1..=1000);
        let (reader, journal) = (Reader::start().unwrap(), Arc::new(journal));
        let (mut after, mut seen, mut lasts) = (Cursor::default(), Vec::new(), Vec::new());
        while let Some(chunk) = reader.next(journal.clone(), after).await.unwrap() {
            assert!(chunk.text.len() < CHUNK + 1024, "{}", chunk.text.len());
            seen.extend(sequences(&chunk.text));
            lasts.push(chunk.last);
            after = chunk.next;
        }
        assert_eq!(seen, (1..=1000).collect::<Vec<_>>());
        assert!(lasts.pop() == Some(true) && lasts.len() > 7 && !lasts.contains(&true), "{lasts:?}");
    }

    #[actix_web::test]
    async fn streams_at_one_cursor_share_a_chunk_and_what_comes_later_is_behind_it() {
        let (reader, journal) = (Reader::start().unwrap(), Arc::new(journal()));
        append(&journal, 1..=3);
        let first = reader.next(journal.clone(), Cursor::default()).await.unwrap().unwrap();
        append(&journal, 4..=5);
        let second = reader.next(journal.clone(), Cursor::default()).await.unwrap().unwrap();
        assert_eq!(first.text.as_ptr(), second.text.as_ptr());
        let rest = reader.next(journal.clone(), second.next).await.unwrap().unwrap();
        assert_eq!([sequences(&first.text), sequences(&rest.text)], [vec![1, 2, 3], vec![4, 5]]);
        assert!(reader.next(journal, rest.next).await.unwrap().is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut remembered = Remembered::default();
        for number in 0..100 {
            let chunk = Chunk { text: vec![0; 1 << 20].into(), next: Cursor::default(), last: false };
            remembered.add(number.to_string(), Some(&chunk));
        }
        assert_eq!((remembered.chunks.len(), remembered.order.len(), remembered.bytes), (16, 16, REMEMBERED));
        assert!(remembered.chunks.contains_key("99"));
    }
}
