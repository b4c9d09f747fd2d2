//! Request bodies, as every route reads them.
//!
//! Invariants: nobody waits for a body longer than `server.body_timeout_seconds` without a byte of it, and from the moment the server
//! closes on nobody waits for one at all. A body that did not come whole is a problem, and nothing of its request was executed.

use crate::app::App;
use crate::dto::grouped;
use crate::problem::{Code, FieldError, Problem};
use crate::reply::unavailable;
use crate::stopping::Phase;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::{ErrorInternalServerError, PayloadError};
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::Stream;
use holdfast_engine::limits::MAX_BODY_BYTES;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, RawWakerVTable, Waker, ready};
use std::time::Duration;
use tokio::sync::watch;

/// A body that is here, or why it is not.
pub struct Body(pub Result<Bytes, Problem>);

impl FromRequest for Body {
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Infallible>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (length, pieces) = (length(request), Pieces::of(request, payload));
        Box::pin(async move {
            let Some(mut pieces) = pieces else { return Ok(Self(Err(unavailable()))) };
            Ok(Self(whole(length, |context| pieces.poll(context, &mut Context::from_waker(feeder(context.waker())))).await))
        })
    }
}

/// The body of an order, read where its request is served. `Body` does the same at the price of an allocation.
pub async fn of(request: &mut ServiceRequest) -> Body {
    let (mut payload, mut silence) = (request.take_payload(), Silence::default());
    let request = request.request();
    let Some(app) = request.app_data::<Data<App>>() else { return Body(Err(unavailable())) };
    let poll = |context: &mut Context<'_>| {
        let feeding = &mut Context::from_waker(feeder(context.waker()));
        silence.poll(app, &mut payload, context, feeding)
    };
    Body(whole(length(request), poll).await)
}

fn length(request: &HttpRequest) -> usize {
    crate::request::text(request.headers(), CONTENT_LENGTH).and_then(|length| length.parse().ok()).unwrap_or_default()
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
    length: usize,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, Problem>>>,
) -> Result<Bytes, Problem> {
    if length > MAX_BODY_BYTES {
        return Err(too_large());
    }
    let mut collected = Collected::default();
    while let Some(piece) = poll_fn(&mut poll).await {
        collected.add(piece?, length);
        if collected.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
    }
    Ok(collected.into_bytes())
}

/// What came of a body so far. One that comes in one piece, as most do, is not copied.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: BytesMut,
}

impl Collected {
    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn add(&mut self, piece: Bytes, length: usize) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(length.min(MAX_BODY_BYTES));
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
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
        Some(Self { app, payload: payload.take(), silence: Silence::default() })
    }

    fn poll(&mut self, context: &mut Context<'_>, feeding: &mut Context<'_>) -> Poll<Option<Result<Bytes, Problem>>> {
        self.silence.poll(&self.app, &mut self.payload, context, feeding)
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

/// Looks after one body: it may not stay silent.
#[derive(Default)]
struct Silence {
    /// Its place among the bodies this thread waits for, once it was waited for.
    key: Option<usize>,
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
            Poll::Ready(piece) => {
                self.broken();
                Poll::Ready(piece.map(|piece| piece.map_err(|error| unread(&error))))
            }
        }
    }

    /// There is nothing new. Ready if that is so for too long.
    fn still(&mut self, app: &App, context: &mut Context<'_>) -> Poll<Problem> {
        let limit = app.settings.server.body_timeout_seconds;
        let Some(key) = self.key else {
            // What came with the head is fed after this first look: even a server that closes has to look twice.
            self.key = Some(WAITING.with_borrow_mut(|waiting| waiting.add(context.waker(), limit, || app.phase.subscribe())));
            return Poll::Pending;
        };
        if *app.phase.borrow() == Phase::Closing {
            let detail = "the server stops and the body has not come: nothing was executed";
            return Poll::Ready(Problem::new(Code::ShuttingDown, detail));
        }
        let silent = ready!(WAITING.with_borrow_mut(|waiting| waiting.silent(key, context.waker())));
        let detail = format!("nothing of the body came for {silent} s: nothing was executed");
        Poll::Ready(Problem::new(Code::RequestTimeout, detail))
    }

    fn broken(&mut self) {
        if let Some(key) = self.key {
            WAITING.with_borrow_mut(|waiting| waiting.heard_of(key));
        }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // Not there any more while the thread ends.
            WAITING.try_with(|waiting| waiting.borrow_mut().bodies.try_remove(key)).map(drop).unwrap_or_default();
        }
    }
}

fn unread(error: &PayloadError) -> Problem {
    match error {
        PayloadError::Overflow => too_large(),
        error => Problem::invalid(vec![FieldError::new("", format!("the body could not be read: {error}"))]),
    }
}

thread_local! {
    static WAITING: RefCell<Waiting> = RefCell::default();
}

/// The bodies that requests on this thread wait for, under one timer for all: a timer each would cost every order one.
#[derive(Default)]
struct Waiting {
    bodies: Slab<Late>,
    /// Of the timer. It stands still while nothing is waited for.
    second: u64,
    ticking: bool,
}

struct Late {
    waker: Waker,
    /// When the last piece came.
    since: u64,
    limit: u64,
}

const SECOND: Duration = Duration::from_secs(1);

impl Waiting {
    fn add(&mut self, waker: &Waker, limit: u64, phase: impl FnOnce() -> watch::Receiver<Phase>) -> usize {
        if !self.ticking {
            self.ticking = true;
            actix_web::rt::spawn(tick(phase()));
        }
        self.bodies.insert(Late { waker: waker.clone(), since: self.second, limit })
    }

    fn heard_of(&mut self, key: usize) {
        if let Some(body) = self.bodies.get_mut(key) {
            body.since = self.second;
        }
    }

    /// Ready with the seconds of silence, if it is too many.
    fn silent(&mut self, key: usize, waker: &Waker) -> Poll<u64> {
        let Some(body) = self.bodies.get_mut(key) else { return Poll::Pending };
        body.waker.clone_from(waker);
        let silent = self.second - body.since;
        if silent > body.limit { Poll::Ready(body.limit) } else { Poll::Pending }
    }

    /// A second has passed, or the server closes. Returns whom to wake. Empty-handed it ends.
    fn tick(&mut self, seconds: u64, closing: bool) -> Option<Vec<Waker>> {
        self.second += seconds;
        self.ticking = !self.bodies.is_empty();
        let second = self.second;
        let due = |body: &&Late| closing || second - body.since > body.limit;
        let wakers = self.bodies.iter().map(|(_, body)| body).filter(due).map(|body| body.waker.clone());
        self.ticking.then(|| wakers.collect())
    }
}

/// Wakes those who waited long enough, each second, and all of them when the server closes.
async fn tick(mut phase: watch::Receiver<Phase>) {
    let mut closing = false;
    loop {
        let seconds = tokio::select! {
            () = tokio::time::sleep(SECOND) => 1,
            _ = phase.wait_for(|phase| *phase == Phase::Closing), if !closing => { closing = true; 0 }
        };
        let Some(due) = WAITING.with_borrow_mut(|waiting| waiting.tick(seconds, closing)) else { return };
        due.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod yielding;

#[cfg(test)]
mod tests {
    use super::*;

    fn added(waiting: &mut Waiting, limit: u64) -> usize {
        waiting.ticking = true;
        waiting.add(Waker::noop(), limit, || unreachable!("it ticks"))
    }

    #[test]
    fn a_body_is_silent_once_its_seconds_have_passed_whole_and_each_piece_begins_them_anew() {
        let mut waiting = Waiting::default();
        let key = added(&mut waiting, 2);
        let silent = |waiting: &mut Waiting| waiting.silent(key, Waker::noop()).is_ready();
        for _ in 0..2 {
            assert_eq!(waiting.tick(1, false).map(|due| due.len()), Some(0));
            assert!(!silent(&mut waiting), "early");
        }
        waiting.heard_of(key);
        assert_eq!(waiting.tick(1, false).map(|due| due.len()), Some(0));
        assert!(!silent(&mut waiting), "a piece came");
        assert_eq!([waiting.tick(1, false), waiting.tick(1, false)].map(|due| due.unwrap().len()), [0, 1]);
        assert!(silent(&mut waiting));
    }

    #[test]
    fn closing_wakes_every_body_and_the_timer_ends_without_any() {
        let mut waiting = Waiting::default();
        let keys = [added(&mut waiting, 30), added(&mut waiting, 30)];
        assert_eq!(waiting.tick(0, true).map(|due| due.len()), Some(2));
        keys.into_iter().for_each(|key| drop(waiting.bodies.remove(key)));
        assert!(waiting.tick(1, false).is_none() && !waiting.ticking);
    }

    #[test]
    fn a_body_in_pieces_is_their_sum_and_one_in_one_piece_is_not_copied() {
        let mut whole = Collected::default();
        let piece = Bytes::from_static(b"one piece");
        whole.add(piece.clone(), 9);
        assert_eq!(whole.into_bytes().as_ptr(), piece.as_ptr());
        let mut parts = Collected::default();
        [&b"in "[..], b"", b"three ", b"pieces"].into_iter().for_each(|part| parts.add(Bytes::from_static(part), 15));
        assert_eq!(parts.into_bytes(), "in three pieces");
        assert!(Collected::default().into_bytes().is_empty());
    }
}
