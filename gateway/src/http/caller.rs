//! Who sends a request: under which API key, under which idempotency key, and related to what.
//!
//! Invariants: where API keys are needed nobody is a caller without one of them, and nobody does what the role of his key does not allow.

use crate::http::client;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::request_id::request_id;
use crate::http::table::{Access, Operation};
use crate::keys::refusals::WRONG_KEY;
use crate::keys::{Known, Role};
use crate::rates::Source;
use crate::state::App;
use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, AsHeaderName, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use compact_str::CompactString;
use holdfast_engine::command::CommandKey;
use holdfast_engine::ids::{CorrelationId, Fingerprint, KeyHash, KeyName, RequestId};
use holdfast_engine::limits;
use std::future::{Ready, ready};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Who sends a request, and its id.
pub struct Caller {
    /// What its idempotency keys are bound to: see [`crate::keys`].
    pub scope: CompactString,
    /// The name of its API key.
    pub client: Option<KeyName>,
    /// Where nobody needs a key everybody is an admin.
    pub role: Role,
    /// The number of its API key.
    pub key: Option<u128>,
    pub request_id: RequestId,
}

/// Whether the key of this number is still taken: what goes on for long asks again. None: nobody needed one.
pub fn is_taken(app: &App, key: Option<u128>) -> bool {
    key.is_none_or(|number| app.keys.now().as_ref().is_some_and(|keys| keys.has_number(number)))
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
        if app.keys.are_needed() && !request.headers().contains_key(AUTHORIZATION) {
            Ok(None)
        } else {
            Self::of(request, app).map(Some)
        }
    }

    /// As [`Self::of`], of a request whose id is known.
    ///
    /// # Errors
    /// As [`Self::of`].
    #[inline]
    pub fn named(headers: &HeaderMap, app: &App, request_id: RequestId) -> Result<Self, Problem> {
        let known = match &*app.keys.now() {
            None => return Ok(Self::anybody(request_id)),
            Some(keys) => bearer(headers).and_then(|key| keys.find(key)).cloned().ok_or_else(|| unauthorized(headers))?,
        };
        client::has_scope(&known.scope);
        let key = Some(known.id());
        let Known { name, scope, role, .. } = known;
        Ok(Self { scope, client: name, role, key, request_id })
    }

    /// Whoever asks where nobody needs a key.
    fn anybody(request_id: RequestId) -> Self {
        Self { scope: CompactString::const_new(""), client: None, role: Role::Admin, key: None, request_id }
    }

    /// Whose requests this one is counted with.
    pub fn source(&self) -> Source {
        self.key.map_or_else(address, |key| Source::Key(self.role, key))
    }

    /// # Errors
    /// `forbidden` if the role of the key does not reach this operation.
    pub fn may(&self, operation: &Operation) -> Result<(), Problem> {
        match operation.access {
            Access::Roles(roles) | Access::OpenBesideApi(roles) => self.has_one_of(roles),
            Access::Open | Access::Signed => Ok(()),
        }
    }

    /// # Errors
    /// `forbidden` if the key has none of these roles.
    pub fn has_one_of(&self, roles: &[Role]) -> Result<(), Problem> {
        if roles.contains(&self.role) { Ok(()) } else { Err(forbidden(self.role, roles)) }
    }

    /// The key of the request, bound to this client and `route`.
    ///
    /// # Errors
    /// `idempotency_key_missing` or `invalid_request`.
    pub fn key(&self, request: &HttpRequest, route: &str) -> Result<KeyHash, Problem> {
        let header = request.headers().get(&IDEMPOTENCY_KEY).ok_or_else(key_missing)?;
        let wrong = || Problem::invalid(vec![FieldError::new("", format!("Idempotency-Key {}", key_rule()))]);
        self.bind_key(route, header.to_str().unwrap_or_default()).ok_or_else(wrong)
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

/// Found at the admission of the request, which nobody passes who is no caller.
impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions_mut().remove::<Self>();
        ready(Ok(caller.expect("a handler that asks for its caller is of a route that needs keys, and asks once")))
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

/// What the caller relates an order to.
///
/// # Errors
/// `invalid_request` for what is no id, or more than one.
pub fn correlation_id(headers: &HeaderMap) -> Result<Option<CorrelationId>, Problem> {
    let mut given = headers.get_all(&X_CORRELATION_ID);
    let Some(first) = given.next() else { return Ok(None) };
    let id = first.to_str().ok().and_then(CorrelationId::new).filter(|_| given.next().is_none());
    id.map(Some).ok_or_else(|| {
        let longest = limits::CORRELATION_ID.bytes;
        let rule = format!("X-Correlation-Id must be there once, as 1 to {longest} visible ASCII characters");
        Problem::invalid(vec![FieldError::new("", rule)])
    })
}

/// The address of the request that is being served, as a source of requests.
pub fn address() -> Source {
    Source::Address(client::current().map_or(0, |client| client.0))
}

/// The API key that a request shows.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = text(headers, &AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim_start())
}

/// What a key of one role is told where others are needed.
pub(crate) fn forbidden(role: Role, needed: &[Role]) -> Problem {
    let needed: Vec<&str> = needed.iter().map(|role| role.name()).collect();
    Problem::new(Code::Forbidden, format!("the role of the API key is {}; this needs {}", role.name(), needed.join(" or ")))
}

/// A wrong key is told from none: see [`crate::keys::refusals`].
fn unauthorized(headers: &HeaderMap) -> Problem {
    let problem = Problem::new(Code::Unauthorized, "a valid API key is required");
    if headers.contains_key(AUTHORIZATION) {
        problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(WRONG_KEY))
    } else {
        problem
    }
}
