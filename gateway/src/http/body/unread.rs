//! What is left of a body that nobody reads any more: its request was refused early, or needs none.
//!
//! Invariants: of such a body no more than [`REST`] bytes are read, and nothing for longer than [`LINGER`]; a connection goes on only
//! behind the end of a body, any other is closed once its client could read the answer. Closed at once, with bytes of the body still
//! unread, the system would reset it, and the client might lose the answer.

use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpResponse};
use futures_util::Stream;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// More than a client can have under way that sent a body of usual size with its head.
const REST: usize = 64 * 1024;

/// How long a client has to read the answer before its connection is closed.
const LINGER: Duration = Duration::from_secs(1);

/// Answers a request without reading its body.
pub fn refuse(mut request: ServiceRequest, response: HttpResponse) -> ServiceResponse {
    let payload = request.take_payload();
    keep(request.request(), payload);
    request.into_response(response)
}

/// Keeps a body that was not read to its end until its request is answered.
pub fn keep(request: &HttpRequest, payload: Payload) {
    if !matches!(payload, Payload::None) {
        request.extensions_mut().insert(Rest { payload, read: 0 });
    }
}

/// Takes the body that was kept, if there is one.
pub fn of(response: &ServiceResponse) -> Option<Rest> {
    response.request().extensions_mut().remove()
}

/// A body of which nothing more is wanted.
pub struct Rest {
    payload: Payload,
    read: usize,
}

impl Rest {
    /// Whether its end was reached. Ready before that once too much of it came.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        while self.read <= REST {
            match ready!(Pin::new(&mut self.payload).poll_next(context)) {
                Some(Ok(piece)) => self.read += piece.len(),
                Some(Err(_)) => return Poll::Ready(false),
                None => return Poll::Ready(true),
            }
        }
        Poll::Ready(false)
    }

    /// Whether all of it is here already. What came with the head is fed after the first look, so there are two.
    async fn is_here(&mut self) -> bool {
        let mut looked = false;
        poll_fn(|context| match self.poll(context) {
            Poll::Pending if !looked => {
                looked = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(false),
            ready => ready,
        })
        .await
    }

    /// The answer, after which the connection is closed if the body is not here.
    pub async fn behind(mut self, mut response: ServiceResponse) -> ServiceResponse {
        if self.is_here().await {
            return response;
        }
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        response.map_body(|_, answer| Lingering { answer, rest: Returned::of(self), time: None }.boxed())
    }
}

/// Where a body comes back to that is read while its answer is sent.
#[derive(Clone, Default)]
pub struct Returned(Rc<RefCell<Coming>>);

#[derive(Default)]
enum Coming {
    #[default]
    Unasked,
    Asked(Waker),
    Here(Rest),
}

impl Returned {
    fn of(rest: Rest) -> Self {
        Self(Rc::new(RefCell::new(Coming::Here(rest))))
    }

    /// Nothing more of it will be read.
    pub fn give_back(&self, payload: Payload) {
        if let Coming::Asked(waker) = self.0.replace(Coming::Here(Rest { payload, read: 0 })) {
            waker.wake();
        }
    }

    /// The answer, with what comes back behind it.
    pub fn behind(self, answer: impl MessageBody + 'static) -> impl MessageBody {
        Lingering { answer: BoxBody::new(answer), rest: self, time: None }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<bool> {
        match &mut *self.0.borrow_mut() {
            Coming::Here(rest) => rest.poll(context),
            coming => {
                *coming = Coming::Asked(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// An answer with a rest behind it. The rest is held until the end, by which the connection knows that it is not to be read.
struct Lingering {
    answer: BoxBody,
    rest: Returned,
    /// From the end of the answer on.
    time: Option<Pin<Box<Sleep>>>,
}

impl MessageBody for Lingering {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let Self { answer, rest, time } = self.get_mut();
        if time.is_none() {
            match ready!(Pin::new(answer).poll_next(context)) {
                None => *time = Some(Box::pin(sleep(LINGER))),
                piece => return Poll::Ready(piece),
            }
        }
        // Too much of it is no end: the client may still be writing, and reads what was answered when that fails.
        let ended = matches!(rest.poll(context), Poll::Ready(true));
        let over = time.as_mut().is_some_and(|time| time.as_mut().poll(context).is_ready());
        if ended || over { Poll::Ready(None) } else { Poll::Pending }
    }
}
