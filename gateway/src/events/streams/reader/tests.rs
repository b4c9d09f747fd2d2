//! What streams of events are given, on a journal in memory.

use super::*;
use holdfast_engine::Causality;
use holdfast_engine::codec::Batch;
use holdfast_engine::event::{ArchiveFact, Event, Record, StockFact};
use holdfast_engine::ids::{OrderId, PartitionId, Partitions, Sku};
use holdfast_engine::quantity::Quantity;
use holdfast_engine::time::Timestamp;
use holdfast_storage::memory::MemoryJournal;
use holdfast_storage::{Log, LogId, LogSeq, Row, Rows, Snapshot, SnapshotHead, Snapshots, Table, Visit};
use std::sync::atomic::{AtomicU64, Ordering};

fn append(journal: &MemoryJournal, seq: u64, event: Event) {
    let mut batch = Batch::default();
    batch.push(PartitionId(0), &Record { seq, at: Timestamp::new(1), event });
    journal.append(LogId(0), &batch).unwrap();
}

fn append_small(journal: &MemoryJournal, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        let fact = StockFact::ThresholdSet { threshold: Quantity::new(1), version: seq };
        append(journal, seq, Event::Stock { sku: Sku::new("SKU").unwrap(), fact });
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
    append_small(&journal, 1..=2000);
    let (reader, journal) = (Reader::start().unwrap(), Arc::new(journal));
    let (mut after, mut seen, mut lasts) = (Cursor::default(), Vec::new(), Vec::new());
    while let Some(chunk) = reader.next((None, Role::Admin), journal.clone(), after).await.unwrap() {
        assert!(chunk.text.len() < CHUNK + 1024, "{}", chunk.text.len());
        // Defect: one had at most 64 events, however small they were.
        assert!(chunk.last || chunk.text.len() >= CHUNK, "{}", chunk.text.len());
        seen.extend(sequences(&chunk.text));
        lasts.push(chunk.last);
        after = chunk.next;
    }
    assert_eq!(seen, (1..=2000).collect::<Vec<_>>());
    assert!(lasts.pop() == Some(true) && lasts.len() > 4 && !lasts.contains(&true), "{lasts:?}");
}

#[actix_web::test]
async fn streams_at_one_cursor_share_a_chunk_and_what_comes_later_is_behind_it() {
    let (reader, journal) = (Reader::start().unwrap(), Arc::new(journal()));
    append_small(&journal, 1..=3);
    let first = reader.next((None, Role::Admin), journal.clone(), Cursor::default()).await.unwrap().unwrap();
    append_small(&journal, 4..=5);
    let second = reader.next((None, Role::Admin), journal.clone(), Cursor::default()).await.unwrap().unwrap();
    assert_eq!(first.text.as_ptr(), second.text.as_ptr());
    let rest = reader.next((None, Role::Admin), journal.clone(), second.next).await.unwrap().unwrap();
    assert_eq!([sequences(&first.text), sequences(&rest.text)], [vec![1, 2, 3], vec![4, 5]]);
    assert!(reader.next((None, Role::Admin), journal, rest.next).await.unwrap().is_none());
}

/// Defect: a connection was given an event as a whole, and copied megabytes of it for each stream that nobody read.
#[actix_web::test]
async fn a_large_event_is_given_out_in_slices_that_are_together_the_event_and_no_copies_of_it() {
    let (reader, journal) = (Reader::start().unwrap(), Arc::new(journal()));
    let order = OrderId::parse("00000000000000000000000000").unwrap();
    append(&journal, 1, Event::Archive(ArchiveFact::Orders(vec![order; 65_536])));
    let chunk = reader.next((None, Role::Admin), journal, Cursor::default()).await.unwrap().unwrap();
    assert!(chunk.text.len() > 1 << 20, "{}", chunk.text.len());
    let (mut rest, mut whole) = (chunk.text.clone(), Vec::new());
    while !rest.is_empty() {
        let at = whole.len();
        let slice = slice(&mut rest);
        assert!(!slice.is_empty() && slice.len() <= SLICE, "{}", slice.len());
        assert_eq!(slice.as_ptr(), chunk.text[at..].as_ptr());
        whole.extend_from_slice(&slice);
    }
    assert!(whole == chunk.text && sequences(&whole) == [1]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut remembered = Remembered::default();
    for number in 0..100 {
        let chunk = Chunk { text: vec![0; 1 << 20].into(), next: Cursor::default(), last: false };
        remembered.add(number.to_string(), &chunk);
    }
    assert_eq!((remembered.chunks.len(), remembered.order.len(), remembered.bytes), (16, 16, REMEMBERED));
    assert!(remembered.chunks.contains_key("99"));
}

/// Defect: what had been rendered from the beginning was given to new streams for as long as it was remembered.
#[actix_web::test]
async fn a_stream_from_the_beginning_is_given_nothing_that_is_purged() {
    let (reader, journal) = (Reader::start().unwrap(), Arc::new(Purged { journal: journal(), first: AtomicU64::new(1) }));
    append_small(&journal.journal, 1..=5);
    let chunk = reader.next((None, Role::Admin), journal.clone(), Cursor::default()).await.unwrap().unwrap();
    assert_eq!(sequences(&chunk.text), [1, 2, 3, 4, 5]);
    journal.first.store(4, Ordering::SeqCst);
    for _ in 0..2 {
        let chunk = reader.next((None, Role::Admin), journal.clone(), Cursor::default()).await.unwrap().unwrap();
        assert_eq!(sequences(&chunk.text), [4, 5]);
    }
}

/// Defect: with the first panic the thread was gone, and every stream was answered 200 and ended.
#[actix_web::test]
async fn where_rendering_panics_that_stream_ends_and_the_others_go_on() {
    let reader = Reader::start().unwrap();
    let broken = Arc::new(Purged { journal: journal(), first: AtomicU64::new(BROKEN) });
    let whole = Arc::new(journal());
    append_small(&whole, 1..=2);
    for _ in 0..2 {
        assert!(reader.next((None, Role::Admin), broken.clone(), Cursor::default()).await.is_err());
        let chunk = reader.next((None, Role::Admin), whole.clone(), Cursor::default()).await.unwrap().unwrap();
        assert_eq!(sequences(&chunk.text), [1, 2]);
    }
}

/// A journal that keeps its commits from one on.
struct Purged {
    journal: MemoryJournal,
    first: AtomicU64,
}

/// As first commit: nothing can be read at all.
const BROKEN: u64 = u64::MAX;

impl Log for Purged {
    fn causality(&self) -> Causality {
        self.journal.causality()
    }

    fn partitions(&self) -> Partitions {
        self.journal.partitions()
    }

    fn append(&self, log: LogId, batch: &Batch) -> Result<LogSeq, Error> {
        self.journal.append(log, batch)
    }

    fn end(&self, log: LogId) -> LogSeq {
        self.journal.end(log)
    }

    fn first(&self, _log: LogId) -> Result<LogSeq, Error> {
        let first = self.first.load(Ordering::SeqCst);
        assert_ne!(first, BROKEN, "nobody can read this");
        Ok(first)
    }

    fn read(&self, log: LogId, after: LogSeq, visit: &mut Visit<'_>) -> Result<(), Error> {
        let first = self.first(log)?;
        if after + 1 < first { Err(Error::Purged { first }) } else { self.journal.read(log, after, visit) }
    }
}

impl Snapshots for Purged {
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.journal.save_snapshot(snapshot)
    }

    fn snapshot_heads(&self, partition: PartitionId) -> Result<Vec<SnapshotHead>, Error> {
        self.journal.snapshot_heads(partition)
    }

    fn snapshot(&self, head: SnapshotHead) -> Result<Option<Snapshot>, Error> {
        self.journal.snapshot(head)
    }
}

impl Rows for Purged {
    fn project(&self, rows: &[Row]) -> Result<(), Error> {
        self.journal.project(rows)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.journal.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, Error> {
        self.journal.scan(table, from, to, limit)
    }
}
