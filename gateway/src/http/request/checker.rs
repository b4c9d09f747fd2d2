//! What fields must be: each rule of a single field, in words that name its bounds.
//!
//! Invariants: a caller hears of all mistakes of a body at once; every bound is the engine's, in what is checked and in what is said.
//! Whether a name that nobody could read may be used is not a matter of the field alone: see `routes::names`.

use super::document::{self, Mistake};
use super::{Errors, PaymentIn};
use crate::http::problem::{FieldError, is_enough};
use crate::providers::registry;
use crate::wire::figures::grouped;
use holdfast_engine::event::PaymentRequest;
use holdfast_engine::ids::{Label, Location, Sku, Url};
use holdfast_engine::limits;
use holdfast_engine::quantity::Quantity;
use serde_json::value::RawValue;

/// Gathers mistakes so that a caller hears of all of them at once.
#[derive(Default)]
pub struct Checker {
    pub errors: Errors,
}

impl Checker {
    fn fail(&mut self, pointer: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, message));
    }

    pub(super) fn take<T>(&mut self, value: Option<T>, pointer: impl Fn() -> String, rule: impl FnOnce() -> String) -> Option<T> {
        if value.is_none() && !is_enough(&self.errors) {
            self.fail(&pointer(), rule());
        }
        value
    }

    pub fn sku(&mut self, text: &str, pointer: impl Fn() -> String) -> Option<Sku> {
        self.take(Sku::new(text), pointer, Sku::rule)
    }

    pub fn location(&mut self, text: &str, pointer: impl Fn() -> String) -> Option<Location> {
        self.take(Location::new(text), pointer, Location::rule)
    }

    pub fn label(&mut self, text: &str, pointer: impl Fn() -> String) -> Option<Label> {
        self.take(Label::new(text), pointer, Label::rule)
    }

    pub fn some_label(&mut self, text: Option<&str>, pointer: impl Fn() -> String) -> Option<Label> {
        text.and_then(|text| self.label(text, pointer))
    }

    /// Units of a bucket.
    pub fn units(&mut self, units: u64, pointer: &str) -> Option<Quantity> {
        let fits = u32::try_from(units).ok().filter(|units| *units <= limits::MAX_BUCKET);
        let rule = || format!("must be 0 to {} (bucket_units)", grouped(limits::MAX_BUCKET.into()));
        self.take(fits.map(Quantity::new), || pointer.to_owned(), rule)
    }

    /// What a bucket moves by.
    pub fn delta(&mut self, delta: i64, pointer: &str) {
        if delta == 0 || delta.unsigned_abs() > u64::from(limits::MAX_BUCKET) {
            let most = grouped(limits::MAX_BUCKET.into());
            self.fail(pointer, format!("must be -{most} to {most} and not 0"));
        }
    }

    pub(super) fn quantity(&mut self, units: u64, line: usize) -> Option<Quantity> {
        let fits = u32::try_from(units).ok().filter(|units| (1..=limits::MAX_LINE_QUANTITY).contains(units));
        let rule = || format!("must be 1 to {} (line_quantity)", grouped(limits::MAX_LINE_QUANTITY.into()));
        self.take(fits.map(Quantity::new), || format!("/lines/{line}/quantity"), rule)
    }

    /// What a request means by its time, which no setting changes: see `fingerprint`.
    pub fn ttl_ms(&mut self, seconds: Option<u64>) -> u64 {
        let millis = seconds.map_or(limits::DEFAULT_TTL_MS, |seconds| seconds.saturating_mul(1000));
        if !(limits::MIN_TTL_MS..=limits::MAX_TTL_MS).contains(&millis) {
            self.fail("/ttl_seconds", format!("must be {} to {}", limits::MIN_TTL_MS / 1000, limits::MAX_TTL_MS / 1000));
        }
        millis
    }

    pub(super) fn lines(&mut self, count: usize) {
        if !(1..=limits::MAX_LINES).contains(&count) {
            self.fail("/lines", format!("must have 1 to {} lines (lines_per_order)", limits::MAX_LINES));
        }
    }

    /// JSON that is kept as it came.
    pub(super) fn json(&mut self, given: Option<&RawValue>, pointer: impl Fn() -> String) -> Option<Box<str>> {
        document::canonical(given?.get()).map_err(|mistake: Mistake| self.fail(&pointer(), mistake.to_string())).ok()
    }

    pub fn payment(&mut self, payment: &PaymentIn, base: &str) -> Option<PaymentRequest> {
        let provider = self.take(registry::provider(&payment.provider), || format!("{base}/provider"), registry::rule);
        let return_url = payment.return_url.as_deref().and_then(|url| {
            let absolute = (url.starts_with("http://") || url.starts_with("https://")).then(|| Url::new(url)).flatten();
            let rule = || format!("must be an http or https URL of at most {} bytes", grouped(Url::LENGTH.bytes as u64));
            self.take(absolute, || format!("{base}/return_url"), rule)
        });
        Some(PaymentRequest { provider: provider?, return_url })
    }
}
