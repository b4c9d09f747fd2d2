//! Which requests are traced, of those that change orders or stock: those whose caller says so by `traceparent` (W3C Trace Context), and one in
//! so many of the others.
//!
//! A request is followed from its head to its answer. What it is about is known when its first command is sent; one that sends none from its
//! own thread, as a batch or one that is refused, is one part. Invariant: while tracing is off, a request costs one load here and
//! nothing anywhere else.

use crate::settings::Telemetry;
use actix_web::Error;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use holdfast_engine::command::Command;
use holdfast_engine::ids::OrderId;
use holdfast_storage::traced::{Span, Subject, TRACED, Trace};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
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

thread_local! {
    /// Of the request that is being polled.
    static CURRENT: Cell<Option<Box<Current>>> = const { Cell::new(None) };
}

/// A trace of the request with these headers, if it is to have one.
pub fn sampled(route: (&'static str, &'static str), headers: &HeaderMap) -> Option<Box<Trace>> {
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
    Some(Box::new(Trace::new(route, Span { trace, id: random() }, parent, SystemTime::now())))
}

fn is_next(every: u32) -> bool {
    every > 0 && SEEN.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
}

/// A traced request that is being served.
enum Current {
    /// Nothing was sent for it yet.
    Begun(Trace),
    Sent(Following),
}

/// Serves a request, and follows it if it has a trace.
///
/// # Errors
/// What serving it ends with.
pub async fn followed<F>(trace: Option<Box<Trace>>, serving: F) -> F::Output
where
    F: Future<Output = Result<ServiceResponse, Error>>,
{
    struct Polled<'a>(&'a mut Option<Box<Current>>);
    impl Drop for Polled<'_> {
        fn drop(&mut self) {
            // Also when it panics: the next request on this thread is another.
            *self.0 = CURRENT.take();
        }
    }
    let Some(trace) = trace else { return serving.await };
    let (mut serving, mut current) = (pin!(serving), Some(Box::new(Current::Begun(*trace))));
    let mut answer = poll_fn(|context| {
        CURRENT.set(current.take());
        let _polled = Polled(&mut current);
        serving.as_mut().poll(context)
    })
    .await;
    if let (Some(current), Ok(response)) = (current, &mut answer) {
        let status = response.status();
        current.end(status, response.headers_mut());
    }
    answer
}

/// A command is about to be sent for the request that is being served.
pub fn sends(command: &Command) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    CURRENT.set(CURRENT.take().and_then(|current| current.sends(command)));
}

impl Current {
    fn sends(self: Box<Self>, command: &Command) -> Option<Box<Self>> {
        match (*self, Subject::of(command)) {
            (Self::Begun(trace), Some(subject)) => {
                Following::begin(subject, trace).map(|following| Box::new(Self::Sent(*following)))
            }
            (current, _) => Some(Box::new(current)),
        }
    }

    fn end(self: Box<Self>, status: StatusCode, headers: &mut HeaderMap) {
        let following = match *self {
            Self::Sent(following) => Some(Box::new(following)),
            Self::Begun(trace) => Following::begin(Subject::Alone(trace.span.id), trace),
        };
        if let Some(following) = following {
            following.end(status, headers);
        }
    }
}

/// A request that is in the table of traced ones.
pub struct Following {
    subject: Subject,
    span: Span,
}

impl Following {
    /// Begins with an order, which is about to be placed.
    pub fn placing(order: OrderId, trace: Trace) -> Option<Box<Self>> {
        Self::begin(Subject::Order(order), trace)
    }

    fn begin(subject: Subject, trace: Trace) -> Option<Box<Self>> {
        let span = trace.span;
        TRACED.begin(subject.clone(), trace).then(|| Box::new(Self { subject, span }))
    }

    /// Ends with its answer, which names the trace if it was carried out.
    pub fn end(self, status: StatusCode, headers: &mut HeaderMap) {
        TRACED.answered(&self.subject, status.as_u16());
        if status.is_success()
            && status != StatusCode::ACCEPTED
            && let Ok(id) = HeaderValue::from_str(&format!("{:032x}", self.span.trace))
        {
            headers.insert(X_TRACE_ID, id);
        }
    }
}

/// Whoever asked has gone before the answer: nobody waits for what comes of it.
impl Drop for Following {
    fn drop(&mut self) {
        TRACED.give_up(&self.subject);
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
