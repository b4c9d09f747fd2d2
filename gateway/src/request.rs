//! What every request brings beside its body: who sends it, under which id and which idempotency key.

use crate::app::App;
use crate::body::Body;
use crate::problem::{Code, FieldError, Problem};
use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, AsHeaderName, CONTENT_TYPE, HeaderMap, HeaderName, IF_MATCH};
use compact_str::CompactString;
use data_encoding::HEXLOWER;
use holdfast_engine::ids::{KeyHash, RequestId};
use holdfast_engine::limits::MAX_KEY_BYTES;
use serde::de::DeserializeOwned;
use std::cell::Cell;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who sends a request, and its id.
pub struct Caller {
    pub client: CompactString,
    pub request_id: RequestId,
}

impl Caller {
    /// # Errors
    /// `unauthorized` if keys are configured and the request has none of them.
    pub fn of(request: &HttpRequest, app: &App) -> Result<Self, Problem> {
        let request_id = request_id(request.headers());
        let client = match &app.keys {
            None => CompactString::const_new(""),
            Some(keys) => {
                let bearer = text(request.headers(), &AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
                let client = bearer.and_then(|key| keys.client(key));
                let missing = || Problem::new(Code::Unauthorized, "a valid API key is required").by(request_id.as_str());
                client.ok_or_else(missing)?
            }
        };
        Ok(Self { client, request_id })
    }

    /// The key of the request, bound to this client and `route`.
    ///
    /// # Errors
    /// `idempotency_key_missing` or `invalid_request`.
    pub fn key(&self, request: &HttpRequest, route: &str) -> Result<KeyHash, Problem> {
        let Some(header) = request.headers().get(&IDEMPOTENCY_KEY) else {
            let detail = "this request creates something: it needs an Idempotency-Key";
            return Err(Problem::new(Code::IdempotencyKeyMissing, detail).by(self.request_id.as_str()));
        };
        let key = header.to_str().unwrap_or_default();
        self.bind_key(route, key).ok_or_else(|| {
            let error = FieldError::new("", "Idempotency-Key must be 1 to 255 visible ASCII characters");
            Problem::invalid(vec![error]).by(self.request_id.as_str())
        })
    }

    /// A quoted key (a structured-field string) and the same key without quotes are one.
    pub fn bind_key(&self, route: &str, key: &str) -> Option<KeyHash> {
        let bare = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
        let fits = (1..=MAX_KEY_BYTES).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| KeyHash::derive(&self.client, route, bare))
    }
}

pub fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The caller's `X-Request-Id` if it can be used, else a new one.
pub fn request_id(headers: &HeaderMap) -> RequestId {
    text(headers, &X_REQUEST_ID).and_then(RequestId::new).unwrap_or_else(new_request_id)
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

/// The version condition of `If-Match`: `None` for any.
///
/// # Errors
/// `precondition_required` without one, `invalid_request` for one that is no version.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(condition) = text(headers, &IF_MATCH) else {
        return Err(Problem::new(Code::PreconditionRequired, "send If-Match: \"<version>\", \"0\" for a new location, or *"));
    };
    if condition.trim() == "*" {
        return Ok(None);
    }
    let version = condition.trim().trim_start_matches("W/").trim_matches('"').parse();
    version.map(Some).map_err(|_| Problem::invalid(vec![FieldError::new("", "If-Match must be a version in quotes, or *")]))
}

/// Reads a JSON body.
///
/// # Errors
/// `unsupported_media_type`, `invalid_request` with the place of the mistake, or whatever kept the body from coming.
pub fn json<T: DeserializeOwned>(request: &HttpRequest, body: Body) -> Result<T, Problem> {
    content_type(request, &["application/json"])?;
    let body = body.0?;
    // All of it is checked to be UTF-8 at once, rather than each string in it.
    let parsed = std::str::from_utf8(&body).ok().and_then(|text| serde_json::from_str(text).ok());
    parsed.ok_or_else(|| explain::<T>(&body))
}

/// As [`json`], for a body that may be left out.
///
/// # Errors
/// As [`json`].
pub fn json_or_default<T: DeserializeOwned + Default>(request: &HttpRequest, body: Body) -> Result<T, Problem> {
    match body {
        Body(Ok(body)) if body.is_empty() => Ok(T::default()),
        body => json(request, body),
    }
}

/// # Errors
/// `unsupported_media_type` if the request names another type.
pub fn content_type(request: &HttpRequest, accepted: &[&str]) -> Result<(), Problem> {
    let named = text(request.headers(), &CONTENT_TYPE).unwrap_or_default();
    if accepted.contains(&named) {
        return Ok(());
    }
    let essence = named.split(';').next().unwrap_or_default().trim();
    if accepted.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        return Ok(());
    }
    let detail = format!("Content-Type must be {}", accepted[0]);
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

/// Reads again, slowly, to say where the mistake is.
fn explain<T: DeserializeOwned>(body: &[u8]) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let error = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => {
            let path = error.path().to_string();
            let pointer =
                if path == "." { String::new() } else { format!("/{}", path.replace(['.', '['], "/").replace(']', "")) };
            FieldError::new(pointer, error.inner().to_string())
        }
        Ok(_) => FieldError::new("", "there is more after the JSON value"),
    };
    Problem::invalid(vec![error])
}
