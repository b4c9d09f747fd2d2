//! How a value becomes bytes, and how bytes are read where they are, without a value of them. Below `event` and `codec`.
//!
//! Invariant: what is read in place is what postcard reads: both refuse the same bytes, of those that were asked to be checked.

use crate::ids::Text;
use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// Where the encoding of a value goes. The one that comes with postcard hands over byte after byte.
struct Appending(Vec<u8>);

impl Flavor for Appending {
    type Output = Vec<u8>;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// The buffer with the bytes of a value behind what is in it.
pub(crate) fn append<T: Serialize + ?Sized>(value: &T, buffer: Vec<u8>) -> Vec<u8> {
    match postcard::serialize_with_flavor(value, Appending(buffer)) {
        Ok(buffer) => buffer,
        // Our own types into memory: there is no way for this to fail.
        Err(error) => unreachable!("encoding failed: {error}"),
    }
}

/// Appends a number as postcard writes those of more than 8 bits.
pub(crate) fn append_number(mut number: u64, buffer: &mut Vec<u8>) {
    while number >= 0x80 {
        buffer.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    buffer.push(number.to_le_bytes()[0]);
}

/// How many bytes [`append_number`] appends.
pub(crate) fn number_len(number: u64) -> usize {
    (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

/// Why bytes cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Short,
    Malformed(&'static str),
}

const TOO_LARGE: &str = "a number is too large";

pub(crate) type Read<T> = Result<T, Unreadable>;

/// Reads values from the front of bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Whether what is passed over must be what its type allows. Not for bytes that were checked when they came.
    checks: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, checks: false }
    }

    pub(crate) fn checking(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, checks: true }
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn checks(&self) -> bool {
        self.checks
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Read<u8> {
        let (first, rest) = self.rest.split_first().ok_or(Unreadable::Short)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn bytes(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Unreadable::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const COUNT: usize>(&mut self) -> Read<[u8; COUNT]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Unreadable::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A number of so many bits, which are more than 8.
    #[inline]
    pub(crate) fn number(&mut self, bits: u32) -> Read<u64> {
        let first = self.byte()?;
        if first < 0x80 { Ok(first.into()) } else { self.number_on(first, bits) }
    }

    fn number_on(&mut self, first: u8, bits: u32) -> Read<u64> {
        let (mut number, mut shift) = (u64::from(first & 0x7f), 7);
        loop {
            let byte = self.byte()?;
            if bits - shift <= 7 && byte >> (bits - shift) != 0 {
                return Err(Unreadable::Malformed(TOO_LARGE));
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    #[inline]
    pub(crate) fn number32(&mut self) -> Read<u32> {
        let number = self.number(32)?;
        u32::try_from(number).map_err(|_| Unreadable::Malformed(TOO_LARGE))
    }

    #[inline]
    pub(crate) fn signed(&mut self) -> Read<i64> {
        let number = self.number(64)?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    /// A number of 128 bits.
    pub(crate) fn wide(&mut self) -> Read<u128> {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            number |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let whole = shift < 126 || byte < 4;
                return if whole { Ok(number) } else { Err(Unreadable::Malformed(TOO_LARGE)) };
            }
        }
        Err(Unreadable::Malformed(TOO_LARGE))
    }

    /// Passes over a number of 128 bits, and gives its bytes.
    pub(crate) fn pass_wide(&mut self) -> Read<&'a [u8]> {
        let mut whole = *self;
        if self.checks {
            self.wide()?;
            return whole.bytes(whole.rest.len() - self.rest.len());
        }
        let last = self.rest.iter().position(|byte| *byte < 0x80).ok_or(Unreadable::Short)?;
        self.bytes(last + 1)
    }

    #[inline]
    pub(crate) fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unreadable::Malformed("neither yes nor no")),
        }
    }

    /// Which of so many variants.
    pub(crate) fn variant(&mut self, count: u32) -> Read<u32> {
        let variant = self.number32()?;
        if variant < count { Ok(variant) } else { Err(Unreadable::Malformed("a variant that this build does not know")) }
    }

    #[inline]
    pub(crate) fn count(&mut self) -> Read<usize> {
        usize::try_from(self.number(64)?).map_err(|_| Unreadable::Short)
    }

    #[inline]
    pub(crate) fn text(&mut self) -> Read<&'a str> {
        let count = self.count()?;
        std::str::from_utf8(self.bytes(count)?).map_err(|_| Unreadable::Malformed("text that is no UTF-8"))
    }

    #[inline]
    pub(crate) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// Passes over a text of a type.
    #[inline]
    pub(crate) fn pass<T: Text + ?Sized>(&mut self) -> Read<()> {
        if self.checks {
            let text = self.text()?;
            return if T::allows(text) { Ok(()) } else { Err(Unreadable::Malformed("text out of bounds")) };
        }
        let count = self.count()?;
        self.bytes(count).map(drop)
    }

    pub(crate) fn pass_optional<T: Text + ?Sized>(&mut self) -> Read<()> {
        self.optional(Self::pass::<T>).map(drop)
    }

    /// Passes over a list.
    pub(crate) fn pass_each(&mut self, mut pass: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        let count = self.count()?;
        (0..count).try_for_each(|_| pass(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::DeserializeOwned;
    use std::fmt::Debug;

    /// Both read the same and stop at the same place, or refuse.
    fn agrees<'a, T: DeserializeOwned + PartialEq + Debug>(bytes: &'a [u8], read: impl FnOnce(&mut Reader<'a>) -> Read<T>) {
        let mut reader = Reader::checking(bytes);
        let taken = read(&mut reader).ok().map(|value| (value, reader.rest()));
        assert_eq!(taken, postcard::take_from_bytes(bytes).ok(), "{bytes:?}");
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_postcard_reads_them(any_bytes in prop::collection::vec(any::<u8>(), 0..24), most in 0_usize..20) {
            // Mostly ones that go on, so that long numbers are among them.
            let mut long = any_bytes.clone();
            long.iter_mut().take(most).for_each(|byte| *byte |= 0x80);
            for bytes in [&any_bytes, &long] {
                agrees(bytes, |reader| reader.number(16).map(|number| u16::try_from(number).unwrap()));
                agrees(bytes, Reader::number32);
                agrees(bytes, |reader| reader.number(64));
                agrees(bytes, Reader::signed);
                agrees(bytes, Reader::wide);
                agrees(bytes, Reader::flag);
                agrees(bytes, |reader| reader.optional(Reader::flag));
                agrees(bytes, |reader| reader.text().map(str::to_owned));
            }
        }

        #[test]
        fn a_number_is_written_as_postcard_writes_it(number: u64, shift in 0_u32..64) {
            let (number, mut bytes) = (number >> shift, Vec::new());
            append_number(number, &mut bytes);
            prop_assert_eq!(bytes.len(), number_len(number));
            prop_assert_eq!(bytes, append(&number, Vec::new()));
        }
    }
}
