//! Request bodies, as every route reads them.
//!
//! Invariants: nobody waits for a body that pauses or trickles longer than the settings of `server` allow, and from the moment the
//! server closes on nobody waits for one at all. A body that did not come whole is a problem, and nothing of its request was
//! executed; what is left of it is kept for whoever answers ([`unread`]).

mod collected;
pub mod json;
pub mod unread;
mod waiting;

use crate::http::caller::text;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::reply::unavailable;
use crate::process::stopping::Phase;
use crate::state::App;
use crate::wire::figures::grouped;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::{ErrorInternalServerError, PayloadError};
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
pub use collected::Whole;
use collected::{Collected, Full};
use futures_util::Stream;
use holdfast_engine::limits::MAX_BODY_BYTES;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, RawWakerVTable, Waker, ready};
use waiting::{Entry, Timeouts};

/// A body that is here, or why it is not.
pub struct Body(pub Result<Whole, Problem>);

impl FromRequest for Body {
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Infallible>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, pieces) = (request.clone(), Pieces::of(request, payload));
        Box::pin(async move {
            let Some(mut pieces) = pieces else { return Ok(Self(Err(unavailable()))) };
            pieces.silence.endless = false;
            let (app, length) = (pieces.app.clone(), length(request.headers()));
            let poll = |context: &mut Context<'_>| pieces.poll(context, &mut Context::from_waker(feeder(context.waker())));
            let body = whole(&app, length, poll).await;
            if body.is_err() {
                unread::keep(&request, pieces.payload);
            }
            Ok(Self(body))
        })
    }
}

/// The body of an order, read where its request is served. `Body` does the same at the price of an allocation.
pub async fn of(request: &mut ServiceRequest) -> Body {
    let (mut payload, mut silence) = (request.take_payload(), Silence::default());
    let served = request.request();
    let Some(app) = served.app_data::<Data<App>>() else { return Body(Err(unavailable())) };
    let poll = |context: &mut Context<'_>| {
        let feeding = &mut Context::from_waker(feeder(context.waker()));
        silence.poll(app, &mut payload, context, feeding)
    };
    let body = whole(app, length(served.headers()), poll).await;
    if body.is_err() {
        unread::keep(served, payload);
    }
    Body(body)
}

/// The length that the head of a request says its body has.
fn length(headers: &HeaderMap) -> usize {
    text(headers, CONTENT_LENGTH).and_then(|length| length.parse().ok()).unwrap_or_default()
}

/// # Errors
/// `too_large` for a body that the head says is.
pub fn fits(headers: &HeaderMap) -> Result<(), Problem> {
    if length(headers) > MAX_BODY_BYTES { Err(too_large()) } else { Ok(()) }
}

thread_local! {
    /// The waker of the connection that is being polled, as two addresses that are compared and never used.
    static CONNECTION: Cell<Option<(*const (), *const RawWakerVTable)>> = const { Cell::new(None) };
}

fn address(waker: &Waker) -> (*const (), *const RawWakerVTable) {
    (waker.data(), std::ptr::from_ref(waker.vtable()))
}

/// Polls what serves a request as the connection polls it: bodies that are read by the same waker need no wake-up. Must be the outermost
/// of what is around the routes.
pub async fn connected<F: Future>(serving: F) -> F::Output {
    struct Polled;
    impl Drop for Polled {
        fn drop(&mut self) {
            CONNECTION.set(None);
        }
    }
    let mut serving = pin!(serving);
    poll_fn(|context| {
        CONNECTION.set(Some(address(context.waker())));
        let _polled = Polled;
        serving.as_mut().poll(context)
    })
    .await
}

/// Whom the feeder of a body wakes.
///
/// Over HTTP/1, the only HTTP spoken here, it runs in the task of the connection, which polls its request again after each piece: there a
/// wake-up would poll the whole connection once more for nothing. Whoever polls by another waker, such as a task of its own or
/// middleware that looks at several futures, polls again only if that one is woken.
fn feeder(reader: &Waker) -> &Waker {
    if CONNECTION.get() == Some(address(reader)) { Waker::noop() } else { reader }
}

/// The problem of a body that is larger than any may be.
pub fn too_large() -> Problem {
    let detail = format!("the body is over the limit of this server: body_bytes is {}", grouped(MAX_BODY_BYTES as u64));
    Problem::over(Code::TooLarge, "body_bytes", detail)
}

/// Reads a body to its end.
async fn whole(
    app: &App,
    length: usize,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, Problem>>>,
) -> Result<Whole, Problem> {
    if length > MAX_BODY_BYTES {
        return Err(too_large());
    }
    let mut collected = Collected::new(length, &app.tuned.load().server);
    while let Some(piece) = poll_fn(&mut poll).await {
        collected.add(piece?).map_err(|full| no_room(&full))?;
    }
    Ok(collected.into_whole())
}

fn no_room(full: &Full) -> Problem {
    match full {
        Full::TooLarge => too_large(),
        Full::Budget => Problem::new(Code::Overloaded, "the bodies of other requests take all the room there is for bodies"),
        Full::Share => {
            Problem::new(Code::Overloaded, "this client's bodies take all the room that one client may have for bodies")
        }
    }
}

/// A body in the pieces in which it comes, of any length. May be read in another task than the one that feeds it.
pub struct Pieces {
    app: Data<App>,
    payload: Payload,
    silence: Silence,
}

impl FromRequest for Pieces {
    type Error = actix_web::Error;
    type Future = std::future::Ready<Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        std::future::ready(Self::of(request, payload).ok_or_else(|| ErrorInternalServerError("there is no app")))
    }
}

impl Pieces {
    fn of(request: &HttpRequest, payload: &mut Payload) -> Option<Self> {
        let app = request.app_data::<Data<App>>()?.clone();
        Some(Self { app, payload: payload.take(), silence: Silence { endless: true, ..Silence::default() } })
    }

    fn poll(&mut self, context: &mut Context<'_>, feeding: &mut Context<'_>) -> Poll<Option<Result<Bytes, Problem>>> {
        self.silence.poll(&self.app, &mut self.payload, context, feeding)
    }

    /// What was not read of it.
    pub fn rest(self) -> Payload {
        self.payload
    }

    /// The next piece. `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        poll_fn(|context| {
            let waker = context.waker().clone();
            self.poll(context, &mut Context::from_waker(&waker))
        })
        .await
    }
}

/// Looks after one body that is waited for.
#[derive(Default)]
struct Silence {
    /// What it is among the bodies this thread waits for, once it was waited for.
    entry: Option<Entry>,
    /// Of one that may be of any length, endless; else as the settings say.
    endless: bool,
}

impl Silence {
    /// Polls the payload. `context` is woken by silence, `feeding` by what feeds the payload.
    fn poll(
        &mut self,
        app: &App,
        payload: &mut Payload,
        context: &mut Context<'_>,
        feeding: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Problem>>> {
        match Pin::new(payload).poll_next(feeding) {
            Poll::Pending => self.still(app, context).map(|problem| Some(Err(problem))),
            Poll::Ready(Some(Ok(piece))) => {
                self.broken(piece.len());
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(end) => Poll::Ready(end.map(|piece| piece.map_err(|error| unread(&error)))),
        }
    }

    /// There is nothing new. Ready if that is so for too long.
    fn still(&mut self, app: &App, context: &mut Context<'_>) -> Poll<Problem> {
        let Some(entry) = &self.entry else {
            // What came with the head is fed after this first look: even a server that closes has to look twice.
            let timeout = Timeouts::of(&app.settings.server);
            let timeout = if self.endless { timeout.endless() } else { timeout };
            self.entry = Some(Entry::new(context.waker(), timeout, || app.phase.subscribe()));
            return Poll::Pending;
        };
        if *app.phase.borrow() == Phase::Closing {
            let detail = "the server stops and the body has not come: nothing was executed";
            return Poll::Ready(Problem::new(Code::ShuttingDown, detail));
        }
        let late = ready!(entry.late(context.waker()));
        Poll::Ready(Problem::new(Code::RequestTimeout, late.to_string()))
    }

    fn broken(&self, bytes: usize) {
        if let Some(entry) = &self.entry {
            entry.heard_of(bytes);
        }
    }
}

fn unread(error: &PayloadError) -> Problem {
    match error {
        PayloadError::Overflow => too_large(),
        error => Problem::invalid(vec![FieldError::new("", format!("the body could not be read: {error}"))]),
    }
}
