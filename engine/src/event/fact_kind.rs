//! Which fact of an order it is, and how many bytes it takes.
//!
//! Invariant: a kind is the position of its variant in [`OrderFact`], which is what the bytes of a fact begin with. Passing over a fact
//! ends where its decoding ends; bytes that are checked meanwhile can be decoded.

use super::OrderFact;
use crate::bytes::{Read, Reader, Unreadable};
use crate::ids::{CustomerId, Label, Location, Provider, RequestId, Sku, Url};
use crate::quantity::Currency;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    Placed,
    Held,
    Rejected,
    Expired,
    Cancelled,
    Extended,
    Confirmed,
    PaymentStarted,
    PaymentOpened,
    PaymentUnknown,
    PaymentDeclined,
    PaymentVoided,
    Paid,
    PaymentLate,
    Reheld,
    RefundDue,
    Refunded,
    Settled,
    TooManyLocations,
}

const KINDS: [FactKind; 19] = [
    FactKind::Placed,
    FactKind::Held,
    FactKind::Rejected,
    FactKind::Expired,
    FactKind::Cancelled,
    FactKind::Extended,
    FactKind::Confirmed,
    FactKind::PaymentStarted,
    FactKind::PaymentOpened,
    FactKind::PaymentUnknown,
    FactKind::PaymentDeclined,
    FactKind::PaymentVoided,
    FactKind::Paid,
    FactKind::PaymentLate,
    FactKind::Reheld,
    FactKind::RefundDue,
    FactKind::Refunded,
    FactKind::Settled,
    FactKind::TooManyLocations,
];

impl FactKind {
    /// Reads the kind of the fact that begins here.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let position = usize::try_from(reader.number32()?).unwrap_or(KINDS.len());
        KINDS.get(position).copied().ok_or(Unreadable::Malformed("a fact that this build does not know"))
    }
}

impl OrderFact {
    pub fn kind(&self) -> FactKind {
        match self {
            Self::Placed(_) => FactKind::Placed,
            Self::Held { .. } => FactKind::Held,
            Self::Rejected { .. } => FactKind::Rejected,
            Self::Expired => FactKind::Expired,
            Self::Cancelled { .. } => FactKind::Cancelled,
            Self::Extended { .. } => FactKind::Extended,
            Self::Confirmed { .. } => FactKind::Confirmed,
            Self::PaymentStarted { .. } => FactKind::PaymentStarted,
            Self::PaymentOpened { .. } => FactKind::PaymentOpened,
            Self::PaymentUnknown { .. } => FactKind::PaymentUnknown,
            Self::PaymentDeclined { .. } => FactKind::PaymentDeclined,
            Self::PaymentVoided { .. } => FactKind::PaymentVoided,
            Self::Paid { .. } => FactKind::Paid,
            Self::PaymentLate { .. } => FactKind::PaymentLate,
            Self::Reheld { .. } => FactKind::Reheld,
            Self::RefundDue { .. } => FactKind::RefundDue,
            Self::Refunded { .. } => FactKind::Refunded,
            Self::Settled => FactKind::Settled,
            Self::TooManyLocations { .. } => FactKind::TooManyLocations,
        }
    }
}

/// Passes over a fact behind its kind.
pub(crate) fn pass(kind: FactKind, reader: &mut Reader<'_>) -> Read<()> {
    match kind {
        FactKind::Placed => pass_placed(reader),
        FactKind::Held => pass_holds(reader),
        FactKind::Rejected | FactKind::TooManyLocations => reader.pass_each(pass_shortage),
        FactKind::Expired | FactKind::Settled => Ok(()),
        FactKind::Cancelled | FactKind::Confirmed => reader.pass_optional::<Label>(),
        FactKind::Extended => reader.number(64).map(drop),
        FactKind::PaymentStarted => pass_started(reader),
        FactKind::PaymentOpened => {
            reader.byte()?;
            reader.pass::<Url>()
        }
        FactKind::PaymentDeclined => {
            reader.byte()?;
            reader.number(64).map(drop)
        }
        FactKind::PaymentUnknown | FactKind::PaymentVoided | FactKind::Paid | FactKind::PaymentLate | FactKind::Refunded => {
            reader.byte().map(drop)
        }
        FactKind::Reheld => {
            reader.byte()?;
            pass_holds(reader)
        }
        FactKind::RefundDue => {
            reader.bytes(2)?;
            reader.variant(2).map(drop)
        }
    }
}

fn pass_placed(reader: &mut Reader<'_>) -> Read<()> {
    reader.variant(2)?;
    reader.number(64)?;
    reader.pass_wide()?;
    reader.pass::<RequestId>()?;
    reader.pass_optional::<CustomerId>()?;
    reader.optional(read_currency)?;
    reader.pass_each(pass_line)?;
    reader.flag()?;
    reader.number(64)?;
    reader.pass_optional::<str>()?;
    reader.pass_optional::<str>()?;
    let payment = |reader: &mut Reader<'_>| {
        reader.pass::<Provider>()?;
        reader.pass_optional::<Url>()
    };
    reader.optional(payment).map(drop)
}

pub(super) fn read_currency(reader: &mut Reader<'_>) -> Read<[u8; 3]> {
    let code = reader.array()?;
    let known = !reader.checks() || Currency::try_from(code).is_ok();
    if known { Ok(code) } else { Err(Unreadable::Malformed("not an ISO 4217 code")) }
}

pub(super) fn pass_line(reader: &mut Reader<'_>) -> Read<()> {
    reader.pass::<Sku>()?;
    reader.number32()?;
    reader.signed()?;
    reader.pass_optional::<Label>()?;
    reader.pass_optional::<str>()
}

fn pass_holds(reader: &mut Reader<'_>) -> Read<()> {
    reader.pass_each(|reader| {
        reader.pass::<Sku>()?;
        reader.pass_each(pass_allocation)
    })
}

pub(super) fn pass_allocation(reader: &mut Reader<'_>) -> Read<()> {
    reader.pass::<Location>()?;
    reader.number32().map(drop)
}

fn pass_shortage(reader: &mut Reader<'_>) -> Read<()> {
    reader.number(16)?;
    reader.pass::<Sku>()?;
    reader.number32()?;
    reader.optional(|reader| reader.number(64)).map(drop)
}

fn pass_started(reader: &mut Reader<'_>) -> Read<()> {
    reader.byte()?;
    reader.pass::<Provider>()?;
    reader.pass_optional::<Url>()?;
    reader.number(64)?;
    let key = |reader: &mut Reader<'_>| {
        reader.bytes(16)?;
        reader.pass_wide().map(drop)
    };
    reader.optional(key).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::append;
    use crate::codec::examples;
    use proptest::prelude::*;

    /// What passing over a fact leaves, where it is one.
    fn left(bytes: &[u8], mut reader: Reader<'_>) -> Option<usize> {
        let kind = FactKind::read(&mut reader).ok()?;
        pass(kind, &mut reader).ok()?;
        Some(bytes.len() - reader.rest().len())
    }

    fn taken(bytes: &[u8]) -> Option<usize> {
        let (_, rest) = postcard::take_from_bytes::<OrderFact>(bytes).ok()?;
        Some(bytes.len() - rest.len())
    }

    #[test]
    fn every_kind_is_the_position_of_its_variant_and_is_passed_over_as_a_whole() {
        let facts = examples::order_facts();
        let mut kinds = Vec::new();
        for fact in &facts {
            let bytes = append(fact, Vec::new());
            assert_eq!(FactKind::read(&mut Reader::new(&bytes)), Ok(fact.kind()), "{fact:?}");
            for end in 0..=bytes.len() {
                assert_eq!(left(&bytes[..end], Reader::checking(&bytes[..end])), taken(&bytes[..end]), "{fact:?} to {end}");
            }
            assert_eq!(left(&bytes, Reader::new(&bytes)), Some(bytes.len()), "{fact:?}");
            kinds.push(fact.kind());
        }
        kinds.dedup();
        assert_eq!(kinds, KINDS, "an example of each");
    }

    proptest! {
        #[test]
        fn damaged_facts_are_refused_where_decoding_refuses_them(
            which in any::<prop::sample::Index>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let facts = examples::order_facts();
            let mut bytes = append(which.get(&facts), Vec::new());
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            prop_assert_eq!(left(&bytes, Reader::checking(&bytes)), taken(&bytes));
        }
    }
}
