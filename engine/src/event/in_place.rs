//! What facts of an order say, read from their bytes without a value of them.
//!
//! Invariant: the bytes were checked when they came, or are our own, so that reading cannot fail. Nothing but a shortage is made whole.

use super::fact_kind::{pass_allocation, pass_line, read_currency};
use super::{Allocation, Kind, Shortage, SkuHold};
use crate::bytes::{Read, Reader};
use crate::ids::{CorrelationId, Fingerprint, KeyName, Location, Sku};
use crate::quantity::{Currency, Money, Quantity};
use crate::time::Timestamp;
use std::fmt;
use std::marker::PhantomData;

/// What cannot be read is our own fault.
///
/// # Panics
/// If it cannot be read.
#[inline]
pub(super) fn checked<T>(read: Read<T>) -> T {
    read.unwrap_or_else(|error| unreachable!("the facts of an order were checked when they came, and cannot be read: {error:?}"))
}

/// What a [`List`] can be of.
pub trait InPlace<'a>: Sized {
    /// Reads the value that begins here.
    fn read(bytes: &mut Bytes<'a>) -> Self;
}

/// Bytes that values are read from.
#[derive(Clone, Copy, PartialEq)]
pub struct Bytes<'a>(pub(super) Reader<'a>);

/// A list, read one after the other.
#[derive(Clone, Copy, PartialEq)]
pub struct List<'a, T> {
    left: usize,
    bytes: Bytes<'a>,
    of: PhantomData<T>,
}

impl<'a, T: InPlace<'a>> List<'a, T> {
    /// The list that begins here.
    pub(super) fn begin(mut reader: Reader<'a>) -> Self {
        let left = checked(reader.count());
        Self { left, bytes: Bytes(reader), of: PhantomData }
    }

    pub(crate) fn none() -> Self {
        Self { left: 0, bytes: Bytes(Reader::new(&[])), of: PhantomData }
    }

    /// The list that begins here, and what follows it.
    fn read(reader: &mut Reader<'a>, pass: impl FnMut(&mut Reader<'a>) -> Read<()>) -> Self {
        let list = Self::begin(*reader);
        checked(reader.pass_each(pass));
        list
    }
}

impl<'a, T: InPlace<'a>> Iterator for List<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        Some(T::read(&mut self.bytes))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, T: InPlace<'a>> ExactSizeIterator for List<'a, T> {}

impl<'a, T: InPlace<'a> + Copy + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// See [`super::Placed`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlacedRef<'a> {
    pub kind: Kind,
    pub number: u64,
    /// Encoded: it is asked for at a retry alone.
    fingerprint: &'a [u8],
    pub request_id: &'a str,
    pub customer: Option<&'a str>,
    pub currency: Option<Currency>,
    pub lines: List<'a, LineRef<'a>>,
    pub allow_partial: bool,
    pub expires_at: Timestamp,
    pub shipping_address: Option<&'a str>,
    pub metadata: Option<&'a str>,
    pub payment: Option<PaymentRequestRef<'a>>,
    pub origin: OriginRef<'a>,
}

/// See [`super::PaymentRequest`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaymentRequestRef<'a> {
    pub provider: &'a str,
    pub return_url: Option<&'a str>,
}

/// See [`super::Origin`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OriginRef<'a> {
    pub client: Option<&'a str>,
    pub correlation: Option<&'a str>,
}

impl<'a> OriginRef<'a> {
    /// Of bytes that are empty where nothing is known.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let mut reader = Reader::new(bytes);
        let (client, correlation) = (checked(reader.optional(Reader::text)), checked(reader.optional(Reader::text)));
        Self { client, correlation }
    }

    /// `None` if neither is known.
    pub fn to_origin(self) -> Option<Box<super::Origin>> {
        super::Origin::of(self.client.map(KeyName::of_checked), self.correlation.map(CorrelationId::of_checked))
    }
}

impl<'a> PlacedRef<'a> {
    /// Behind the kind of the fact. Gives where its lines begin, too.
    pub(super) fn read(reader: &mut Reader<'a>, origin: OriginRef<'a>) -> (Self, Reader<'a>) {
        let kind = if checked(reader.variant(2)) == 0 { Kind::Order } else { Kind::Reservation };
        let number = checked(reader.number(64));
        let fingerprint = checked(reader.pass_wide());
        let request_id = checked(reader.text());
        let customer = checked(reader.optional(Reader::text));
        let currency = checked(reader.optional(read_currency)).map(Currency::of_checked);
        let begin = *reader;
        let placed = Self {
            kind,
            number,
            fingerprint,
            request_id,
            customer,
            currency,
            lines: List::read(reader, pass_line),
            allow_partial: checked(reader.flag()),
            expires_at: Timestamp::new(checked(reader.number(64))),
            shipping_address: checked(reader.optional(Reader::text)),
            metadata: checked(reader.optional(Reader::text)),
            payment: checked(reader.optional(read_payment)),
            origin,
        };
        (placed, begin)
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(checked(Reader::new(self.fingerprint).wide()))
    }
}

#[cfg(test)]
impl PlacedRef<'_> {
    pub(super) fn to_placed(self) -> super::Placed {
        use crate::ids::{CustomerId, Label, Provider, RequestId, Url};
        let line = |line: LineRef<'_>| super::Line {
            sku: Sku::of_checked(line.sku),
            quantity: line.quantity,
            unit_price: line.unit_price,
            seller: line.seller.map(Label::of_checked),
            metadata: line.metadata.map(Box::from),
        };
        let payment = |asked: PaymentRequestRef<'_>| super::PaymentRequest {
            provider: Provider::of_checked(asked.provider),
            return_url: asked.return_url.map(Url::of_checked),
        };
        super::Placed {
            kind: self.kind,
            number: self.number,
            fingerprint: self.fingerprint(),
            request_id: RequestId::of_checked(self.request_id),
            customer: self.customer.map(CustomerId::of_checked),
            currency: self.currency,
            lines: self.lines.map(line).collect(),
            allow_partial: self.allow_partial,
            expires_at: self.expires_at,
            shipping_address: self.shipping_address.map(Box::from),
            metadata: self.metadata.map(Box::from),
            payment: self.payment.map(payment),
            origin: self.origin.to_origin(),
        }
    }
}

fn read_payment<'a>(reader: &mut Reader<'a>) -> Read<PaymentRequestRef<'a>> {
    Ok(PaymentRequestRef { provider: reader.text()?, return_url: reader.optional(Reader::text)? })
}

/// See [`super::Line`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineRef<'a> {
    pub sku: &'a str,
    pub quantity: Quantity,
    pub unit_price: Money,
    pub seller: Option<&'a str>,
    pub metadata: Option<&'a str>,
}

impl<'a> InPlace<'a> for LineRef<'a> {
    fn read(Bytes(reader): &mut Bytes<'a>) -> Self {
        Self {
            sku: checked(reader.text()),
            quantity: Quantity::new(checked(reader.number32())),
            unit_price: Money::new(checked(reader.signed())),
            seller: checked(reader.optional(Reader::text)),
            metadata: checked(reader.optional(Reader::text)),
        }
    }
}

/// See [`SkuHold`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SkuHoldRef<'a> {
    pub sku: &'a str,
    pub allocations: List<'a, AllocationRef<'a>>,
}

impl SkuHoldRef<'_> {
    /// Of all locations.
    pub fn units(self) -> Quantity {
        Quantity::of(self.allocations.map(|taken| u64::from(taken.quantity.units())).sum())
    }

    pub fn to_hold(self) -> SkuHold {
        SkuHold { sku: Sku::of_checked(self.sku), allocations: self.allocations.map(AllocationRef::to_allocation).collect() }
    }
}

impl<'a> InPlace<'a> for SkuHoldRef<'a> {
    fn read(Bytes(reader): &mut Bytes<'a>) -> Self {
        Self { sku: checked(reader.text()), allocations: List::read(reader, pass_allocation) }
    }
}

/// See [`Allocation`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AllocationRef<'a> {
    pub location: &'a str,
    pub quantity: Quantity,
}

impl AllocationRef<'_> {
    pub fn to_allocation(self) -> Allocation {
        Allocation { location: Location::of_checked(self.location), quantity: self.quantity }
    }
}

impl<'a> InPlace<'a> for AllocationRef<'a> {
    fn read(Bytes(reader): &mut Bytes<'a>) -> Self {
        Self { location: checked(reader.text()), quantity: Quantity::new(checked(reader.number32())) }
    }
}

impl InPlace<'_> for Shortage {
    fn read(Bytes(reader): &mut Bytes<'_>) -> Self {
        let line = checked(reader.number(16));
        Self {
            line: u16::try_from(line).unwrap_or_else(|_| unreachable!("it was read with 16 bits")),
            sku: Sku::of_checked(checked(reader.text())),
            requested: Quantity::new(checked(reader.number32())),
            available: checked(reader.optional(|reader| reader.number(64))),
        }
    }
}
