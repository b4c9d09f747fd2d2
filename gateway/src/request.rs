//! What every request brings beside its body: who sends it, under which id and which idempotency key.

use crate::app::App;
use crate::body::Body;
use crate::client;
use crate::etag::{Tag, Tags};
use crate::problem::{Code, FieldError, Problem};
use crate::refusals::WRONG_KEY;
use actix_web::http::header::{
    AUTHORIZATION, AsHeaderName, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, WWW_AUTHENTICATE,
};
use actix_web::{HttpMessage, HttpRequest};
use compact_str::CompactString;
use data_encoding::HEXLOWER;
use holdfast_engine::command::CommandKey;
use holdfast_engine::ids::{Fingerprint, KeyHash, RequestId};
use holdfast_engine::limits;
use serde::de::DeserializeOwned;
use std::cell::Cell;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The media type of most bodies.
pub const JSON: &str = "application/json";
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who sends a request, and its id.
pub struct Caller {
    /// What its idempotency keys are bound to: see [`crate::keys`].
    pub scope: CompactString,
    pub request_id: RequestId,
}

impl Caller {
    /// # Errors
    /// `unauthorized` if keys are configured and the request has none of them.
    pub fn of(request: &HttpRequest, app: &App) -> Result<Self, Problem> {
        Self::named(request.headers(), app, request_id(request))
    }

    /// As [`Self::of`], where nobody needs a key: `None` for a request without one.
    ///
    /// # Errors
    /// `unauthorized` for a key that is wrong: else keys could be tried here.
    pub fn if_any(request: &HttpRequest, app: &App) -> Result<Option<Self>, Problem> {
        match app.keys.are_needed() && !request.headers().contains_key(AUTHORIZATION) {
            true => Ok(None),
            false => Self::of(request, app).map(Some),
        }
    }

    /// As [`Self::of`], of a request whose id is known.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn named(headers: &HeaderMap, app: &App, request_id: RequestId) -> Result<Self, Problem> {
        let scope = scope(headers, app).ok_or_else(|| unauthorized(headers).by(request_id.as_str()))?;
        Ok(Self { scope, request_id })
    }

    /// The key of the request, bound to this client and `route`.
    ///
    /// # Errors
    /// `idempotency_key_missing` or `invalid_request`.
    pub fn key(&self, request: &HttpRequest, route: &str) -> Result<KeyHash, Problem> {
        let Some(header) = request.headers().get(&IDEMPOTENCY_KEY) else {
            return Err(key_missing().by(self.request_id.as_str()));
        };
        let key = header.to_str().unwrap_or_default();
        self.bind_key(route, key).ok_or_else(|| {
            let error = FieldError::new("", format!("Idempotency-Key {}", key_rule()));
            Problem::invalid(vec![error]).by(self.request_id.as_str())
        })
    }

    /// As [`Self::key`], of a request that may come without one. `fingerprint` is of what its body means.
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn optional_key(
        &self,
        request: &HttpRequest,
        route: &str,
        fingerprint: Fingerprint,
    ) -> Result<Option<CommandKey>, Problem> {
        if !request.headers().contains_key(&IDEMPOTENCY_KEY) {
            return Ok(None);
        }
        let hash = self.key(request, route)?;
        Ok(Some(CommandKey { hash, fingerprint, request_id: self.request_id.clone() }))
    }

    /// A quoted key (a structured-field string) and the same key without quotes are one.
    pub fn bind_key(&self, route: &str, key: &str) -> Option<KeyHash> {
        let bare = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
        let fits = (1..=limits::IDEMPOTENCY_KEY.bytes).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| KeyHash::derive(&self.scope, route, bare))
    }
}

/// What a key must be.
pub fn key_rule() -> String {
    format!("must be 1 to {} visible ASCII characters", limits::IDEMPOTENCY_KEY.characters)
}

pub fn key_missing() -> Problem {
    Problem::new(Code::IdempotencyKeyMissing, "this request creates something: it needs an Idempotency-Key")
}

pub fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// What the idempotency keys of whoever sends these headers are bound to. `None` for who is nobody.
fn scope(headers: &HeaderMap, app: &App) -> Option<CompactString> {
    let keys = app.keys.now();
    let Some(keys) = &*keys else { return Some(CompactString::const_new("")) };
    let (scheme, key) = text(headers, &AUTHORIZATION)?.split_once(' ')?;
    let scope = if scheme.eq_ignore_ascii_case("bearer") { keys.scope(key.trim_start()) } else { None };
    scope.inspect(|scope| client::has_scope(scope))
}

/// A wrong key is told from none: see [`crate::refusals`].
fn unauthorized(headers: &HeaderMap) -> Problem {
    let problem = Problem::new(Code::Unauthorized, "a valid API key is required");
    match headers.contains_key(AUTHORIZATION) {
        true => problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(WRONG_KEY)),
        false => problem,
    }
}

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

/// The versions that `If-Match` names. `None`: any, or there is no such header. What is no version of ours, and a weak tag, never
/// matches.
///
/// # Errors
/// `invalid_request` for what is no condition.
pub fn if_match(headers: &HeaderMap) -> Result<Option<Vec<u64>>, Problem> {
    let Some(condition) = headers.get(IF_MATCH) else { return Ok(None) };
    let malformed = || Problem::invalid(vec![FieldError::new("", "If-Match must be versions in quotes, or *")]);
    let tags = match Tags::parse(condition.as_bytes()).ok_or_else(malformed)? {
        Tags::Any => return Ok(None),
        Tags::Listed(tags) => tags,
    };
    Ok(Some(tags.iter().filter_map(Tag::version).collect()))
}

/// As [`if_match`], of a request that must have the header.
///
/// # Errors
/// As [`if_match`], and `precondition_required` without one.
pub fn required_if_match(headers: &HeaderMap) -> Result<Option<Vec<u64>>, Problem> {
    let missing = || Problem::new(Code::PreconditionRequired, "send If-Match: \"<version>\", \"0\" for a new location, or *");
    if headers.contains_key(IF_MATCH) { if_match(headers) } else { Err(missing()) }
}

/// Reads a JSON body.
///
/// # Errors
/// `unsupported_media_type`, `invalid_request` with the place of the mistake, or whatever kept the body from coming.
pub fn json<T: DeserializeOwned>(request: &HttpRequest, body: Body) -> Result<T, Problem> {
    content_type(request, &[JSON])?;
    parsed(body)
}

/// Reads a JSON body whose media type was looked at.
///
/// # Errors
/// As [`json`].
pub fn parsed<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    parse(&body.0?)
}

/// Reads JSON.
///
/// # Errors
/// `invalid_request` with the place of the mistake.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // All of it is checked to be UTF-8 at once, rather than each string in it.
    let parsed = std::str::from_utf8(body).ok().and_then(|text| serde_json::from_str(text).ok());
    parsed.ok_or_else(|| explain::<T>(body))
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
/// `unsupported_media_type` if the request names another type, or a charset that is not UTF-8.
pub fn content_type(request: &HttpRequest, accepted: &[&str]) -> Result<(), Problem> {
    let named = text(request.headers(), &CONTENT_TYPE).unwrap_or_default();
    if accepted.contains(&named) {
        return Ok(());
    }
    let (essence, parameters) = named.split_once(';').unwrap_or((named, ""));
    if !accepted.iter().any(|accepted| essence.trim().eq_ignore_ascii_case(accepted)) {
        let detail = format!("Content-Type must be {}", accepted[0]);
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    match parameters.split(';').filter_map(charset).all(|charset| is_utf8(&charset)) {
        true => Ok(()),
        false => Err(Problem::new(Code::UnsupportedMediaType, "the charset must be utf-8")),
    }
}

/// The charset that a parameter of a media type names, if it is that parameter. It may be a quoted string.
fn charset(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=')?;
    name.trim().eq_ignore_ascii_case("charset").then(|| {
        let value = value.trim();
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        quoted.map_or_else(|| value.to_owned(), |quoted| quoted.replace('\\', ""))
    })
}

fn is_utf8(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
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
