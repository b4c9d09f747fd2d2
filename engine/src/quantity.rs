//! Units of stock and money as checked integers. No float anywhere.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A number of units. Arithmetic is checked: a result outside `u32` is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quantity(u32);

impl Quantity {
    pub const ZERO: Self = Self(0);

    pub const fn new(units: u32) -> Self {
        Self(units)
    }

    /// So many units as one quantity.
    ///
    /// # Panics
    /// Where `units` do not fit into 32 bits. No order and no bucket has so many: see [`crate::limits`].
    pub fn of(units: u64) -> Self {
        Self(u32::try_from(units).expect("the units of one order or bucket fit into 32 bits"))
    }

    pub const fn units(self) -> u32 {
        self.0
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `self` moved by `delta`, if the result is a quantity no bucket limit forbids.
    pub fn checked_add_signed(self, delta: i64) -> Option<Self> {
        let moved = i64::from(self.0).checked_add(delta)?;
        let moved = u32::try_from(moved).ok()?;
        (moved <= crate::limits::MAX_BUCKET).then_some(Self(moved))
    }

    /// What `self` has more than `other`, or zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount in minor units of its currency. Arithmetic is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Money(i64);

impl Money {
    pub const ZERO: Self = Self(0);

    pub const fn new(minor: i64) -> Self {
        Self(minor)
    }

    /// In minor units.
    pub const fn minor(self) -> i64 {
        self.0
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub fn checked_times(self, units: Quantity) -> Option<Self> {
        self.0.checked_mul(i64::from(units.0)).map(Self)
    }
}

/// An ISO 4217 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[u8; 3]")]
pub struct Currency([u8; 3]);

impl Currency {
    pub fn new(code: &str) -> Option<Self> {
        iso_currency::Currency::from_code(code)?;
        Some(Self(code.as_bytes().try_into().ok()?))
    }

    /// Of a code that was checked when it came.
    pub(crate) fn of_checked(code: [u8; 3]) -> Self {
        Self(code)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<[u8; 3]> for Currency {
    type Error = &'static str;
    fn try_from(code: [u8; 3]) -> Result<Self, Self::Error> {
        std::str::from_utf8(&code).ok().and_then(Self::new).ok_or("not an ISO 4217 code")
    }
}
