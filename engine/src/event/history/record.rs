//! One fact of a history where it is: still encoded.
//!
//! Invariant: its bytes were checked, or are our own.

use crate::bytes::{Read, Reader};
use crate::event::fact_kind::{self, FactKind};
use crate::event::in_place::{List, OriginRef, SkuHoldRef, checked};
use crate::event::{OrderFact, OrderRecord, Shortage};
use crate::ids::Seq;
use crate::time::Timestamp;
use std::fmt;

/// A fact in its place in the journal, still encoded.
#[derive(Clone, Copy, PartialEq)]
pub struct RecordRef<'a> {
    pub seq: Seq,
    pub at: Timestamp,
    pub kind: FactKind,
    /// From its kind on.
    pub(super) fact: &'a [u8],
    /// Where the order came from, encoded.
    pub(super) origin: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// Of what follows a reader, which is one fact with its place.
    pub(super) fn last(mut reader: Reader<'a>, origin: &'a [u8]) -> Self {
        let (seq, at) = (checked(reader.number(64)), Timestamp::new(checked(reader.number(64))));
        let fact = reader.rest();
        Self { seq, at, kind: checked(FactKind::read(&mut reader)), fact, origin }
    }

    /// Decodes the fact.
    pub fn fact(&self) -> OrderFact {
        let mut fact = postcard::from_bytes(self.fact).unwrap_or_else(|error| unreachable!("a fact was checked: {error}"));
        if let OrderFact::Placed(placed) = &mut fact {
            placed.origin = OriginRef::read(self.origin).to_origin();
        }
        fact
    }

    /// Decodes it.
    pub fn to_record(&self) -> OrderRecord {
        OrderRecord { seq: self.seq, at: self.at, fact: self.fact().into() }
    }

    /// What stands behind the kind of the fact.
    pub(crate) fn body(&self) -> Reader<'a> {
        let mut reader = Reader::new(self.fact);
        checked(FactKind::read(&mut reader));
        reader
    }

    /// What each SKU holds for the order from this fact on.
    pub fn holds(&self) -> Option<List<'a, SkuHoldRef<'a>>> {
        let mut body = self.body();
        match self.kind {
            FactKind::Held => Some(List::begin(body)),
            FactKind::Reheld => {
                checked(body.byte());
                Some(List::begin(body))
            }
            FactKind::Placed | FactKind::Rejected | FactKind::TooManyLocations | FactKind::Expired | FactKind::Cancelled => None,
            FactKind::Extended | FactKind::Confirmed | FactKind::Settled | FactKind::PaymentStarted => None,
            FactKind::PaymentOpened | FactKind::PaymentUnknown | FactKind::PaymentDeclined | FactKind::PaymentVoided => None,
            FactKind::Paid | FactKind::PaymentLate | FactKind::RefundDue | FactKind::Refunded => None,
        }
    }

    /// That of holds which were made for late money.
    ///
    /// # Panics
    /// If there are none.
    pub(crate) fn generation(&self) -> u8 {
        assert_eq!(self.kind, FactKind::Reheld, "it holds nothing again");
        checked(self.body().byte())
    }

    /// The end of an order that was extended.
    ///
    /// # Panics
    /// If it is no extension.
    pub(crate) fn extended_to(&self) -> Timestamp {
        assert_eq!(self.kind, FactKind::Extended, "it extends no order");
        Timestamp::new(checked(self.body().number(64)))
    }

    /// What the order was rejected for.
    pub fn shortages(&self) -> Option<List<'a, Shortage>> {
        matches!(self.kind, FactKind::Rejected | FactKind::TooManyLocations).then(|| List::begin(self.body()))
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_record().fmt(f)
    }
}

/// The facts of a history from the first on, each where it is.
#[derive(Clone)]
pub struct Records<'a> {
    reader: Reader<'a>,
    left: usize,
    /// Where the order came from, encoded.
    origin: &'a [u8],
}

impl<'a> Records<'a> {
    /// So many facts.
    pub(super) fn new(facts: &'a [u8], left: usize, origin: &'a [u8]) -> Self {
        Self { reader: Reader::new(facts), left, origin }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordRef<'a>;

    fn next(&mut self) -> Option<RecordRef<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(RecordRef { origin: self.origin, ..checked(read_record(&mut self.reader)) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Records<'_> {}

/// A fact behind its place, which begin here.
pub(super) fn read_record<'a>(reader: &mut Reader<'a>) -> Read<RecordRef<'a>> {
    let (seq, at) = (reader.number(64)?, Timestamp::new(reader.number(64)?));
    let behind = reader.rest();
    let kind = FactKind::read(reader)?;
    fact_kind::pass(kind, reader)?;
    let fact = &behind[..behind.len() - reader.rest().len()];
    Ok(RecordRef { seq, at, kind, fact, origin: &[] })
}
