//! Which orders are traced: those whose caller says so by `traceparent` (W3C Trace Context), and one in so many of the others.
//!
//! Invariant: while tracing is off, an order costs one load here and nothing anywhere else.

use crate::settings::Telemetry;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use holdfast_engine::ids::OrderId;
use holdfast_storage::traced::{Span, TRACED, Trace};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::SystemTime;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Under which trace the answer to a traced request is found.
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

static ON: AtomicBool = AtomicBool::new(false);
/// Of requests whose caller leaves it open, one in so many; 0: none.
static EVERY: AtomicU32 = AtomicU32::new(0);
static SEEN: AtomicU32 = AtomicU32::new(0);

/// Turns tracing on, where the settings name whoever takes traces.
pub fn start(settings: &Telemetry) {
    EVERY.store(settings.trace_one_in, Ordering::Relaxed);
    ON.store(!settings.otlp_endpoint.is_empty(), Ordering::Relaxed);
}

/// A trace of the request with these headers, if it is to have one.
pub fn sampled(headers: &HeaderMap) -> Option<Box<Trace>> {
    if !ON.load(Ordering::Relaxed) {
        return None;
    }
    let given = headers.get(&TRACEPARENT).and_then(|value| Parent::parse(value.to_str().ok()?));
    let random = || getrandom::u64().unwrap_or(1).max(1);
    let (trace, parent) = match given {
        Some(parent) if parent.sampled => (parent.trace, Some(parent.span)),
        Some(_) => return None,
        None if is_next(EVERY.load(Ordering::Relaxed)) => (u128::from(random()) << 64 | u128::from(random()), None),
        None => return None,
    };
    Some(Box::new(Trace::new(Span { trace, id: random() }, parent, SystemTime::now())))
}

fn is_next(every: u32) -> bool {
    every > 0 && SEEN.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
}

/// A request whose order is in the table of traced ones.
pub struct Following {
    order: OrderId,
    span: Span,
}

impl Following {
    /// Begins with an order, which is about to be sent.
    pub fn begin(order: OrderId, trace: Trace) -> Option<Box<Self>> {
        let span = trace.span;
        TRACED.begin(order, trace).then(|| Box::new(Self { order, span }))
    }

    /// Ends with its answer, which names the trace if it has the order.
    pub fn end(self, status: u16, headers: &mut HeaderMap) {
        TRACED.answered(self.order, status);
        if status == 201
            && let Ok(id) = HeaderValue::from_str(&format!("{:032x}", self.span.trace))
        {
            headers.insert(X_TRACE_ID, id);
        }
    }
}

/// What a caller says of its own trace.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    trace: u128,
    span: u64,
    sampled: bool,
}

impl Parent {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str, digits: usize| {
            part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        // A later version may have more parts behind these.
        let known = version != "ff" && hex(version, 2) && (version != "00" || parts.next().is_none());
        if !known || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
            return None;
        }
        let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (trace != 0 && span != 0).then_some(Self { trace, span, sampled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_w3c_says_or_not_at_all() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        let read = |text: String| Parent::parse(&text).map(|parent| (parent.trace, parent.span, parent.sampled));
        let expected = |sampled| Some((0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7, sampled));
        assert_eq!(read(format!("00-{trace}-{span}-01")), expected(true));
        assert_eq!(read(format!("00-{trace}-{span}-00")), expected(false));
        assert_eq!(read(format!("01-{trace}-{span}-03-more")), expected(true), "of a later version");
        for wrong in [
            String::new(),
            format!("ff-{trace}-{span}-01"),
            format!("00-{trace}-{span}-01-more"),
            format!("00-{trace}-{span}"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}-{span}-+1"),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
