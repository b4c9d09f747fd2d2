//! The facts of one order, as one run of their bytes.
//!
//! Invariants: the first is the placing of the order, and no other is; they are in the order in which they came about; the bytes can be
//! read, as those that come from outside are checked once. What is written of it, to a row, a snapshot or an answer, is a copy of the
//! bytes: for each fact its sequence, its time and the fact, as postcard encodes them.

mod record;

pub use record::{RecordRef, Records};

use super::fact_kind::FactKind;
use super::in_place::{LineRef, List, OriginRef, PlacedRef, checked};
use super::{OrderFact, OrderRecord, Origin};
use crate::bytes::{Read, Reader, Unreadable, append, append_number, number_len};
use crate::ids::Seq;
use crate::time::Timestamp;
use record::read_record;
use serde::de::Error as _;
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The placing of an order: what was asked for, where its lines begin and where the next fact does.
pub(crate) struct Placing<'a> {
    pub(crate) placed: PlacedRef<'a>,
    pub(crate) lines: u32,
    pub(crate) behind: u32,
}

#[derive(Clone, PartialEq)]
pub struct History {
    /// Where the order came from, if that is known, then its facts.
    bytes: Box<[u8]>,
    origin: u32,
    /// Where the last fact begins.
    last: u32,
    facts: u32,
}

#[expect(clippy::len_without_is_empty, reason = "it is never empty: it begins with the placing of the order")]
impl History {
    /// `None` if the first fact is not the placing of an order, or another one is.
    pub fn new(records: &[OrderRecord]) -> Option<Self> {
        let (first, rest) = records.split_first()?;
        let OrderFact::Placed(placed) = &*first.fact else { return None };
        let mut history = Self::begin((first.seq, first.at), &append(&first.fact, Vec::new()), &placed.origin_bytes())?;
        for record in rest {
            if record.fact.kind() == FactKind::Placed {
                return None;
            }
            history.push(record);
        }
        Some(history)
    }

    /// Of an order that was placed by this fact, with where it came from, if that is known. `None` for another fact.
    pub(crate) fn begin((seq, at): (Seq, Timestamp), placing: &[u8], origin: &[u8]) -> Option<Self> {
        if checked(FactKind::read(&mut Reader::new(placing))) != FactKind::Placed {
            return None;
        }
        let bytes = extended(Box::from(origin), (seq, at), placing);
        Some(Self { bytes, origin: place_of(origin), last: place_of(origin), facts: 1 })
    }

    /// Reads a history as it is encoded, and checks it.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let (count, bytes) = (reader.count()?, reader.rest());
        let (mut last, mut facts) = (0, 0);
        for _ in 0..count {
            last = place_of(&bytes[..bytes.len() - reader.rest().len()]);
            let placing = read_record(reader)?.kind == FactKind::Placed;
            if placing != (facts == 0) {
                return Err(Unreadable::Malformed(WITHOUT_PLACING));
            }
            facts += 1;
        }
        if facts == 0 {
            return Err(Unreadable::Malformed(WITHOUT_PLACING));
        }
        let bytes = Box::from(&bytes[..bytes.len() - reader.rest().len()]);
        Ok(Self { bytes, origin: 0, last, facts })
    }

    /// What was asked for. Cost: its bytes are read.
    pub fn placed(&self) -> PlacedRef<'_> {
        self.placing().placed
    }

    /// What was asked for, and what is where.
    pub(crate) fn placing(&self) -> Placing<'_> {
        let mut reader = Reader::new(self.fact_bytes());
        read_place(&mut reader);
        checked(FactKind::read(&mut reader));
        let (placed, lines) = PlacedRef::read(&mut reader, self.origin());
        Placing { placed, lines: self.place_of(lines), behind: self.place_of(reader) }
    }

    /// The lines of the order, which begin there: see [`Placing`].
    pub(crate) fn lines_at(&self, place: u32) -> List<'_, LineRef<'_>> {
        List::begin(Reader::new(&self.bytes[place as usize..]))
    }

    /// Where a reader of the facts is.
    fn place_of(&self, reader: Reader<'_>) -> u32 {
        place_of(&self.bytes[..self.bytes.len() - reader.rest().len()])
    }

    pub fn origin(&self) -> OriginRef<'_> {
        OriginRef::read(self.origin_bytes())
    }

    /// Where the order came from, encoded; empty if that is not known.
    pub(crate) fn origin_bytes(&self) -> &[u8] {
        &self.bytes[..self.origin as usize]
    }

    /// The facts as they are encoded, one behind the other.
    pub(crate) fn fact_bytes(&self) -> &[u8] {
        &self.bytes[self.origin as usize..]
    }

    /// Says where the order came from, of a history that was read without it.
    pub(crate) fn set_origin(&mut self, origin: &Origin) {
        assert_eq!(self.origin, 0, "an order came from one place");
        let origin = append(origin, Vec::new());
        self.bytes = [&*origin, &*self.bytes].concat().into();
        self.origin = place_of(&origin);
        self.last += self.origin;
    }

    pub fn len(&self) -> usize {
        self.facts as usize
    }

    /// Counts the facts: the ETag of the resource.
    pub fn version(&self) -> u32 {
        self.facts
    }

    pub fn first(&self) -> RecordRef<'_> {
        self.iter().next().unwrap_or_else(|| unreachable!("a history begins with the placing of its order"))
    }

    pub fn last(&self) -> RecordRef<'_> {
        self.record_at(self.last).0
    }

    /// The fact that begins there, and where the next does.
    pub(crate) fn record_at(&self, place: u32) -> (RecordRef<'_>, u32) {
        let mut reader = Reader::new(&self.bytes[place as usize..]);
        if place == self.last {
            return (RecordRef::last(reader, self.origin_bytes()), place_of(&self.bytes));
        }
        let record = checked(read_record(&mut reader));
        (RecordRef { origin: self.origin_bytes(), ..record }, self.place_of(reader))
    }

    /// Where the last fact begins: see [`Self::record_at`].
    pub(crate) fn last_place(&self) -> u32 {
        self.last
    }

    /// When the order was placed. Cost: two numbers are read.
    pub fn placed_at(&self) -> (Seq, Timestamp) {
        read_place(&mut Reader::new(self.fact_bytes()))
    }

    /// When the last fact came about. Cost: two numbers are read.
    pub fn changed_at(&self) -> (Seq, Timestamp) {
        read_place(&mut Reader::new(&self.bytes[self.last as usize..]))
    }

    /// Each fact where it is. Cost: stepping over all bytes before it.
    pub fn iter(&self) -> Records<'_> {
        Records::new(self.fact_bytes(), self.len(), self.origin_bytes())
    }

    /// Each fact, decoded.
    pub fn facts(&self) -> impl ExactSizeIterator<Item = OrderFact> {
        self.iter().map(|record| record.fact())
    }

    /// Each fact in its place, decoded.
    pub fn records(&self) -> impl ExactSizeIterator<Item = OrderRecord> {
        self.iter().map(|record| record.to_record())
    }

    /// The first so many facts. `None` if there are fewer, or none are asked for. Cost: a copy of their bytes.
    pub fn prefix(&self, len: usize) -> Option<Self> {
        if len == self.len() {
            return Some(self.clone());
        }
        let facts = u32::try_from(len).ok().filter(|facts| (1..self.facts).contains(facts))?;
        let (mut last, mut behind) = (self.origin, self.origin);
        for _ in 0..facts {
            last = behind;
            behind = self.record_at(behind).1;
        }
        Some(Self { bytes: Box::from(&self.bytes[..behind as usize]), origin: self.origin, last, facts })
    }

    /// # Panics
    /// For the placing of an order: it is the first.
    pub fn push(&mut self, record: &OrderRecord) {
        self.push_bytes((record.seq, record.at), &append(&record.fact, Vec::new()));
    }

    /// As [`Self::push`], of the bytes of a fact.
    pub(crate) fn push_bytes(&mut self, at: (Seq, Timestamp), fact: &[u8]) {
        let placing = checked(FactKind::read(&mut Reader::new(fact))) == FactKind::Placed;
        assert!(!placing, "an order is placed once");
        self.last = place_of(&self.bytes);
        self.facts += 1;
        self.bytes = extended(std::mem::take(&mut self.bytes), at, fact);
    }
}

const WITHOUT_PLACING: &str = "a history does not begin with the placing of its order, or has another";

/// The bytes with a fact behind them. They take no more than they need: most orders are placed, held and over.
fn extended(bytes: Box<[u8]>, (seq, at): (Seq, Timestamp), fact: &[u8]) -> Box<[u8]> {
    let mut bytes = Vec::from(bytes);
    bytes.reserve_exact(number_len(seq) + number_len(at.millis()) + fact.len());
    append_number(seq, &mut bytes);
    append_number(at.millis(), &mut bytes);
    bytes.extend_from_slice(fact);
    bytes.into_boxed_slice()
}

/// Where something begins that comes behind these bytes.
fn place_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("the facts of an order take less than 4 GiB")
}

fn read_place(reader: &mut Reader<'_>) -> (Seq, Timestamp) {
    (checked(reader.number(64)), Timestamp::new(checked(reader.number(64))))
}

impl<'a> IntoIterator for &'a History {
    type Item = RecordRef<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Bytes as they are.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|byte| bytes.serialize_element(byte))?;
        bytes.end()
    }
}

/// A list of its facts, without where the order came from.
impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_tuple(2)?;
        list.serialize_element(&self.facts)?;
        list.serialize_element(&Raw(self.fact_bytes()))?;
        list.end()
    }
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let records: Vec<OrderRecord> = Vec::deserialize(deserializer)?;
        Self::new(&records).ok_or_else(|| D::Error::custom(WITHOUT_PLACING))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::examples;
    use crate::event::{Placed, Shortage, SkuHold};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn record(seq: u64, fact: OrderFact) -> OrderRecord {
        OrderRecord { seq, at: Timestamp::new(1_700_000_000_000 + seq), fact: Arc::new(fact) }
    }

    fn expired(seq: u64) -> OrderRecord {
        record(seq, OrderFact::Expired)
    }

    /// Every fact there is, of an order or a reservation, from somewhere or not.
    fn everything(kind: usize, origin: Option<Box<Origin>>) -> Vec<OrderRecord> {
        let facts = examples::order_facts();
        let OrderFact::Placed(placed) = &facts[kind] else { panic!("{:?}", facts[kind]) };
        let placing = OrderFact::Placed(Box::new(Placed { origin, ..(**placed).clone() }));
        let later = facts.into_iter().skip(2);
        [placing].into_iter().chain(later).zip(300..).map(|(fact, seq)| record(seq, fact)).collect()
    }

    fn origins() -> [Option<Box<Origin>>; 2] {
        let correlation = crate::ids::CorrelationId::new("cart-7");
        [None, Origin::of(crate::ids::KeyName::new("shop"), correlation)]
    }

    #[test]
    fn a_history_begins_with_the_placing_of_its_order_and_has_no_other() {
        let whole = examples::history();
        let placing = whole.first().to_record();
        assert_eq!(History::new(&[]), None);
        assert_eq!(History::new(&[expired(1)]), None);
        assert_eq!(History::new(&[placing.clone(), expired(2), placing]), None);
        assert_eq!(History::new(&whole.records().collect::<Vec<_>>()), Some(whole));
    }

    #[test]
    fn what_comes_after_a_copy_was_made_is_not_in_the_copy() {
        let whole = examples::history();
        let (mut first, last) = (whole.prefix(1).unwrap(), whole.len());
        first.push(&expired(9));
        assert_eq!((first.len(), first.last().seq), (2, 9));
        assert_eq!(whole, examples::history(), "{last} facts as before");
        assert_eq!((whole.prefix(0), whole.prefix(last + 1)), (None, None));
    }

    #[test]
    fn a_history_has_the_facts_it_was_made_of_and_each_prefix_the_first_of_them() {
        for (kind, origin) in [(0, 0), (1, 0), (0, 1)] {
            let records = everything(kind, origins()[origin].clone());
            let whole = History::new(&records).unwrap();
            for len in 1..=records.len() {
                let prefix = whole.prefix(len).unwrap();
                assert!(prefix.records().eq(records[..len].iter().cloned()), "{len}");
                assert_eq!(prefix, History::new(&records[..len]).unwrap(), "{len}");
                assert_eq!(prefix.last().to_record(), records[len - 1]);
                assert_eq!((prefix.placed_at().0, prefix.changed_at().0), (300, 299 + len as u64));
            }
        }
    }

    /// What a fact says of holds, and of shortages.
    fn said(fact: &OrderFact) -> (Option<Vec<SkuHold>>, Option<Vec<Shortage>>) {
        match fact {
            OrderFact::Held { holds } | OrderFact::Reheld { holds, .. } => (Some(holds.clone()), None),
            OrderFact::Rejected { shortages } | OrderFact::TooManyLocations { shortages } => (None, Some(shortages.clone())),
            _ => (None, None),
        }
    }

    #[test]
    fn what_is_read_in_place_is_what_is_decoded() {
        for (kind, origin) in [(0, 0), (1, 0), (0, 1)] {
            let records = everything(kind, origins()[origin].clone());
            let history = History::new(&records).unwrap();
            let OrderFact::Placed(placed) = &*records[0].fact else { panic!("it begins with the placing") };
            assert_eq!(history.placed().to_placed(), **placed);
            for (record, decoded) in history.iter().zip(&records) {
                let read = (
                    record.holds().map(|holds| holds.map(|hold| hold.to_hold()).collect()),
                    record.shortages().map(Iterator::collect),
                );
                assert_eq!(read, said(&decoded.fact), "{decoded:?}");
            }
        }
    }

    #[test]
    fn a_history_is_encoded_as_the_list_of_its_facts() {
        let records = everything(0, None);
        let bytes = append(&records, Vec::new());
        let history = History::new(&records).unwrap();
        assert_eq!(append(&history, Vec::new()), bytes);
        let mut reader = Reader::checking(&bytes);
        assert_eq!((History::read(&mut reader), reader.rest()), (Ok(history.clone()), &[][..]));
        assert_eq!(postcard::from_bytes(&bytes), Ok(history));
    }

    proptest! {
        #[test]
        fn a_damaged_history_is_refused_where_decoding_refuses_it(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            end in any::<prop::sample::Index>(),
        ) {
            let mut bytes = append(&everything(0, None), Vec::new());
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            for bytes in [&bytes[..], &bytes[..end.index(bytes.len())]] {
                let mut reader = Reader::checking(bytes);
                let read = History::read(&mut reader).ok().map(|history| (history.records().collect::<Vec<_>>(), reader.rest()));
                let decoded = postcard::take_from_bytes::<History>(bytes).ok();
                prop_assert_eq!(read, decoded.map(|(history, rest)| (history.records().collect::<Vec<_>>(), rest)));
            }
        }
    }
}
