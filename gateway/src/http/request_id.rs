//! Ids of requests: the caller's, or one of ours.
//!
//! Invariant: a request has one id, which stands in its answer and in whatever problem there is.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use compact_str::CompactString;
use data_encoding::HEXLOWER;
use holdfast_engine::ids::RequestId;
use std::cell::Cell;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: the same each time it is asked for. It stands in the answer and in whatever problem there is.
pub fn request_id(request: &HttpRequest) -> RequestId {
    if let Some(given) = given_request_id(request.headers()) {
        return given;
    }
    let mut extensions = request.extensions_mut();
    if let Some(made) = extensions.get::<RequestId>() {
        return made.clone();
    }
    let made = new_request_id();
    extensions.insert(made.clone());
    made
}

/// The id of a request that keeps it by itself.
pub fn take_request_id(headers: &HeaderMap) -> RequestId {
    given_request_id(headers).unwrap_or_else(new_request_id)
}

/// The caller's `X-Request-Id`, if there is one and it can be used.
fn given_request_id(headers: &HeaderMap) -> Option<RequestId> {
    let mut given = headers.get_all(&X_REQUEST_ID);
    let first = given.next()?.to_str().ok()?;
    given.next().is_none().then(|| RequestId::new(first)).flatten()
}

/// Names an answer by the id of its request.
pub fn stamp(response: &mut HeaderMap, id: &RequestId) {
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.insert(X_REQUEST_ID, id);
    }
}

pub fn is_stamped(response: &HeaderMap) -> bool {
    response.contains_key(&X_REQUEST_ID)
}

/// Unique in this process by a counter, between processes by a random start.
fn new_request_id() -> RequestId {
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(getrandom::u64().unwrap_or_default());
    }
    let next = NEXT.get().wrapping_add(1);
    NEXT.set(next);
    let mut digits = [0; 16];
    HEXLOWER.encode_mut(&next.to_be_bytes(), &mut digits);
    let mut id = CompactString::const_new("req_");
    id.push_str(std::str::from_utf8(&digits).unwrap_or_default());
    match RequestId::try_from(id) {
        Ok(id) => id,
        Err(reason) => unreachable!("{reason}"),
    }
}
