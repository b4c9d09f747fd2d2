//! Bytes of events, batches, projections and snapshots.
//!
//! A record is a version byte and a postcard body. A frame is what one commit writes: a header with a checksum, then
//! entries `partition u16 | seq u64 | length u32 | record` of any number of partitions. Every length is bounded before
//! it is believed, and bytes that do not end where they should are refused.
//!
//! Records, rows and snapshots have a version each. To add one: raise its constant in [`version`], keep the old body as a type of its
//! own, and map it to the new type in the `match` that decodes it; add a golden file. A snapshot that only gains something takes a new
//! section (see [`sections`]) and keeps its version. What an older version wrote is read for ever; what a newer one wrote is refused.

pub(crate) mod origin;
pub mod sections;
pub mod version;

use crate::bytes::{Reader, Unreadable, append, append_number};
use crate::event::{History, OrderFact, Record, StoredResponse};
use crate::ids::{Fingerprint, OrderId, PartitionId, Seq};
use crate::limits;
use crate::plant::{self, Bug};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const MAGIC: [u8; 4] = *b"HFJ1";
/// Positions of `Event::Stock` and `Event::Order`, frozen like all of them.
const STOCK_TAG: u8 = 0;
const ORDER_TAG: u8 = 1;
/// Bytes before the entries of a frame.
pub const HEADER: usize = 12;
const ENTRY: usize = 14;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the bytes end inside a value")]
    Short,
    #[error(transparent)]
    Newer(#[from] version::Newer),
    #[error("not a frame of a journal")]
    Magic,
    #[error("checksum does not match")]
    Checksum,
    #[error("a value of {0} bytes is over the limit")]
    TooLong(usize),
    #[error("malformed value: {0}")]
    Malformed(String),
    #[error("{0} bytes left over")]
    LeftOver(usize),
}

impl From<Unreadable> for Error {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::Short => Self::Short,
            Unreadable::Malformed(what) => Self::Malformed(what.to_owned()),
        }
    }
}

/// Events of one or more partitions on their way to the journal.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Encoded entries.
    pub entries: Vec<u8>,
    pub events: u32,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    pub fn push(&mut self, partition: PartitionId, record: &Record) {
        let start = self.begin(partition, record.seq);
        self.entries = origin::append_record(record, std::mem::take(&mut self.entries));
        self.end(start);
    }

    /// Pushes the record of a fact of an order, behind which stands what is said of its origin, if anything is. Gives the bytes of the
    /// fact, which are encoded here and nowhere else.
    pub(crate) fn push_order(
        &mut self,
        partition: PartitionId,
        (seq, at): (Seq, Timestamp),
        order: OrderId,
        fact: &OrderFact,
        origin: &[u8],
    ) -> &[u8] {
        let start = self.begin(partition, seq);
        self.entries.push(if origin.is_empty() { version::PLAIN_RECORD } else { version::RECORD });
        append_number(seq, &mut self.entries);
        append_number(at.millis(), &mut self.entries);
        self.entries.push(ORDER_TAG);
        self.entries.extend_from_slice(&order.bytes());
        let begin = self.entries.len();
        self.entries = append(fact, std::mem::take(&mut self.entries));
        let end = self.entries.len();
        self.entries.extend_from_slice(origin);
        self.end(start);
        &self.entries[begin..end]
    }

    /// Begins an entry.
    fn begin(&mut self, partition: PartitionId, seq: Seq) -> usize {
        let start = self.entries.len();
        self.entries.extend_from_slice(&partition.0.to_le_bytes());
        self.entries.extend_from_slice(&seq.to_le_bytes());
        self.entries.extend_from_slice(&[0; 4]);
        start
    }

    /// Ends the entry that begins there.
    fn end(&mut self, start: usize) {
        let length = self.entries.len() - start - ENTRY;
        // Refused when read, so it must never be written. Facts that are decided now are smaller by far: see `limits`.
        assert!(length <= limits::MAX_RECORD_BYTES, "a record of {length} bytes");
        let length = length_of(&self.entries[start + ENTRY..]);
        self.entries[start + 10..start + ENTRY].copy_from_slice(&length.to_le_bytes());
        self.events += 1;
    }

    /// Takes what is gathered and leaves an empty batch.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Empties the batch and keeps its room.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.events = 0;
    }

    /// Appends the entries of a later batch.
    pub fn extend(&mut self, other: &Batch) {
        self.entries.extend_from_slice(&other.entries);
        self.events += other.events;
    }

    /// The entries of each partition as batches of their own, in their order.
    ///
    /// # Panics
    /// If the entries were not written by [`Self::push`].
    pub fn by_partition(&self) -> BTreeMap<PartitionId, Batch> {
        let mut parts: BTreeMap<PartitionId, Batch> = BTreeMap::new();
        let mut frame = Frame { rest: &self.entries };
        while !frame.rest.is_empty() {
            let whole = frame.rest;
            let entry = frame.entry().unwrap_or_else(|error| panic!("a batch is not what was pushed: {error}"));
            let part = parts.entry(entry.partition).or_default();
            part.entries.extend_from_slice(&whole[..whole.len() - frame.rest.len()]);
            part.events += 1;
        }
        parts
    }

    /// The frame to write: header, checksum, entries.
    ///
    /// # Panics
    /// If the entries are longer than a header can say: cut off, the length would make another frame of them.
    pub fn frame(&self) -> Vec<u8> {
        let length = length_of(&self.entries);
        let mut frame = Vec::with_capacity(HEADER + self.entries.len());
        frame.extend_from_slice(&MAGIC);
        frame.extend_from_slice(&checksum(&self.entries).to_le_bytes());
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&self.entries);
        frame
    }
}

/// One event of a frame, still encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<'a> {
    pub partition: PartitionId,
    pub seq: Seq,
    record: &'a [u8],
}

impl Entry<'_> {
    /// Whether the event is one of stock, by its tag and without decoding it: version byte, two varints, the tag.
    pub fn concerns_stock(&self) -> bool {
        let mut rest = self.record.iter().skip(1);
        for _ in 0..2 {
            rest.by_ref().find(|byte| **byte < 0x80);
        }
        rest.next() == Some(&STOCK_TAG)
    }

    /// The check value of the record's bytes: the same wherever and whenever the same fact is read.
    pub fn check(&self) -> u32 {
        crc32fast::hash(self.record)
    }

    /// Bytes of the encoded record.
    pub fn bytes(&self) -> usize {
        self.record.len()
    }

    pub fn decode(&self) -> Result<Record, Error> {
        decode_record(self.record)
    }
}

/// Length in bytes of the frame that begins here, if its header is whole.
pub fn frame_len(bytes: &[u8]) -> Result<usize, Error> {
    let header = bytes.get(..HEADER).ok_or(Error::Short)?;
    if header[..4] != MAGIC {
        return Err(Error::Magic);
    }
    Ok(HEADER + read_u32(&header[8..]) as usize)
}

/// The check value in the header of a frame that was read: the same for the same facts in the same places.
///
/// # Errors
/// If there is no header.
pub fn frame_check(frame: &[u8]) -> Result<u32, Error> {
    frame_len(frame).map(|_| read_u32(&frame[4..]))
}

/// Checks a frame and walks its entries.
pub fn read_frame(frame: &[u8]) -> Result<Frame<'_>, Error> {
    let length = frame_len(frame)?;
    let entries = frame.get(HEADER..length).ok_or(Error::Short)?;
    if frame.len() > length {
        return Err(Error::LeftOver(frame.len() - length));
    }
    if checksum(entries) != read_u32(&frame[4..]) && !plant::active(Bug::TornTailAccepted) {
        return Err(Error::Checksum);
    }
    Ok(Frame { rest: entries })
}

/// Iterator over the entries of a checked frame.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frame<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.rest = &[];
        }
        Some(entry)
    }
}

impl<'a> Frame<'a> {
    fn entry(&mut self) -> Result<Entry<'a>, Error> {
        let head = self.rest.get(..ENTRY).ok_or(Error::Short)?;
        let length = read_u32(&head[10..]) as usize;
        if length > limits::MAX_RECORD_BYTES {
            return Err(Error::TooLong(length));
        }
        let record = self.rest.get(ENTRY..ENTRY + length).ok_or(Error::Short)?;
        let mut seq = [0; 8];
        seq.copy_from_slice(&head[2..10]);
        self.rest = &self.rest[ENTRY + length..];
        let partition = PartitionId(u16::from_le_bytes([head[0], head[1]]));
        Ok(Entry { partition, seq: Seq::from_le_bytes(seq), record })
    }
}

/// Of the length too: a header of which only the magic was written reads as a length and checksum of zero.
fn checksum(entries: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length_of(entries).to_le_bytes());
    hasher.update(entries);
    hasher.finalize()
}

/// # Panics
/// If it takes more than the 32 bits that a header has for it.
fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or_else(|_| panic!("{} bytes in one frame", bytes.len()))
}

fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// A row of a table: a value behind the version of rows.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    append(value, vec![version::ROW])
}

/// The inverse of [`encode`].
///
/// # Errors
/// For a version that is not known, lengths over the limit and bytes left over.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    whole(decode_first(bytes)?)
}

/// The value that a row begins with, and what follows it.
///
/// # Errors
/// As [`decode`], but for what is left over.
pub fn decode_first<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), Error> {
    match version::of(version::Kind::Row, bytes)? {
        (version::ROW, body) => body_of(body),
        (other, _) => Err(version::unknown(other)),
    }
}

/// A record behind its version.
pub fn encode_record(record: &Record) -> Vec<u8> {
    origin::append_record(record, Vec::new())
}

/// The inverse of [`encode_record`].
///
/// # Errors
/// As [`decode`].
pub fn decode_record(bytes: &[u8]) -> Result<Record, Error> {
    match version::of(version::Kind::Record, bytes)? {
        (version::PLAIN_RECORD, body) => whole(body_of(body)?),
        (version::RECORD, body) => origin::record_of(body),
        (other, _) => Err(version::unknown(other)),
    }
}

/// The value that `body` begins with, and what follows it.
pub(crate) fn body_of<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<(T, &'a [u8]), Error> {
    postcard::take_from_bytes(body).map_err(|error| {
        let short = error == postcard::Error::DeserializeUnexpectedEnd;
        if short { Error::Short } else { Error::Malformed(error.to_string()) }
    })
}

/// A value with nothing behind it.
pub(crate) fn whole<T>((value, rest): (T, &[u8])) -> Result<T, Error> {
    if rest.is_empty() { Ok(value) } else { Err(Error::LeftOver(rest.len())) }
}

/// Row of a closed order in the projection. Cost: a copy of its bytes.
pub fn encode_history(history: &History) -> Vec<u8> {
    let origin = history.origin_bytes();
    let mut row = Vec::with_capacity(8 + history.fact_bytes().len() + origin.len());
    row.push(if origin.is_empty() { version::ROW } else { version::HISTORY });
    append_history(history, &mut row);
    row.extend_from_slice(origin);
    row
}

/// Appends a history as it is encoded, without where its order came from.
pub(crate) fn append_history(history: &History, buffer: &mut Vec<u8>) {
    append_number(history.version().into(), buffer);
    buffer.extend_from_slice(history.fact_bytes());
}

/// The inverse of [`encode_history`]. Cost: its bytes are checked and copied.
///
/// # Errors
/// As [`decode`].
pub fn decode_history(row: &[u8]) -> Result<History, Error> {
    match version::of(version::Kind::History, row)? {
        (version::ROW, body) => whole(history_of(body)?),
        (version::HISTORY, body) => origin::history_of(body),
        (other, _) => Err(version::unknown(other)),
    }
}

/// The history that begins here, and what follows it.
pub(crate) fn history_of(body: &[u8]) -> Result<(History, &[u8]), Error> {
    let mut reader = Reader::checking(body);
    let history = History::read(&mut reader)?;
    Ok((history, reader.rest()))
}

/// Row of an idempotency key in the projection.
pub fn encode_key(fingerprint: Fingerprint, answer: &StoredResponse) -> Vec<u8> {
    encode(&(fingerprint, answer))
}

pub fn decode_key(row: &[u8]) -> Result<(Fingerprint, Arc<StoredResponse>), Error> {
    decode(row)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::examples;
