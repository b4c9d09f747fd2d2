//! What a request meets before its handler: whatever the table of routes says can be told from its head alone.
//!
//! Invariants: a header that would be ignored, or would be obeyed in one of two ways, is refused; nothing here reads a body or
//! asks the engine; a request with nothing to refuse costs one walk over its headers and no allocation.

use crate::http::body::json::{JSON, content_type};
use crate::http::body::{fits, unread};
use crate::http::caller::{Caller, address, key_missing};
use crate::http::etag::Tags;
use crate::http::percent;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::reply::{explained, unavailable};
use crate::http::request_id::request_id;
use crate::http::table::{Access, Conditions, Content, Form, Key, Operation, Parameter, Query};
use crate::providers::sandbox::SIGNATURE;
use crate::rates::Standing;
use crate::state::App;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, RETRY_AFTER,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{FromRequest, Handler, HttpMessage, HttpRequest, HttpResponse};
use holdfast_engine::ids::RequestId;

/// Serves a request by a handler, if it is admitted.
pub async fn handle<F, Args>(
    operation: &'static Operation,
    request: ServiceRequest,
    handler: F,
) -> Result<ServiceResponse, actix_web::Error>
where
    F: Handler<Args>,
    Args: FromRequest,
    F::Output: Answer,
{
    let (standing, admitted) = admit(operation, request.request());
    if let Err(problem) = admitted {
        let mut response = problem.answer_to(request.request());
        stamp(standing, &mut response);
        return Ok(unread::refuse(request, response));
    }
    let (request, mut payload) = request.into_parts();
    let response = match Args::from_request(&request, &mut payload).await {
        Ok(arguments) => handler.call(arguments).await.answer_to(&request),
        Err(error) => unusable(error.into(), &request),
    };
    unread::keep(&request, payload);
    let mut response = if operation.method == "GET" { read(operation, &request, response) } else { response };
    let later = request.extensions().get::<Standing>().copied();
    stamp(later.or(standing), &mut response);
    Ok(ServiceResponse::new(request, response))
}

/// What a request does beyond its admission counts too: lets it pass, or says why not.
///
/// # Errors
/// `rate_limited`.
pub fn count(request: &HttpRequest, standing: Option<Standing>) -> Result<(), Problem> {
    if let Some(standing) = standing {
        request.extensions_mut().insert(standing);
    }
    allowed(standing)
}

/// What a handler returns. Here a problem gets the id of its request.
pub trait Answer {
    fn answer_to(self, request: &HttpRequest) -> HttpResponse;
}

impl Answer for HttpResponse {
    fn answer_to(self, _: &HttpRequest) -> HttpResponse {
        self
    }
}

impl Answer for Result<HttpResponse, Problem> {
    fn answer_to(self, request: &HttpRequest) -> HttpResponse {
        self.unwrap_or_else(|problem| explained(problem, request).answer_to(request))
    }
}

/// A request without something that its handler needs.
fn unusable(error: actix_web::Error, request: &HttpRequest) -> HttpResponse {
    match error.as_error::<Problem>() {
        Some(problem) => problem.clone().answer_to(request),
        None => HttpResponse::from_error(error),
    }
}

/// Says where the caller stands, if its requests are limited.
pub fn stamp(standing: Option<Standing>, response: &mut HttpResponse) {
    if let Some(standing) = standing {
        standing.stamp(response.headers_mut());
    }
}

/// Whether a request may be served, and where its caller stands then.
fn admit(operation: &Operation, request: &HttpRequest) -> (Option<Standing>, Result<(), Problem>) {
    let (standing, known) = match operation.access {
        Access::OpenBesideApi(_) if !app(request).is_ok_and(|app| app.settings.admin.is_apart()) => {
            count_address(operation, request)
        }
        Access::Roles(_) | Access::OpenBesideApi(_) => {
            let (standing, known) = identify(operation, request, request_id(request));
            let keep = |(headers, caller)| {
                request.extensions_mut().insert::<Caller>(caller);
                headers
            };
            (standing, known.map(keep))
        }
        Access::Open => count_address(operation, request),
        // Its handler counts those that are not signed: nobody keeps signed ones out by sending others.
        Access::Signed => (None, Headers::read(request.headers())),
    };
    let fit = |headers: Headers| headers.fit(operation, request).and_then(|()| headers.announce(operation, request));
    (standing, known.and_then(fit))
}

/// Who sends a request, if it has a key that may, and sends no more than it may.
#[inline]
pub fn identify(
    operation: &Operation,
    request: &HttpRequest,
    id: RequestId,
) -> (Option<Standing>, Result<(Headers, Caller), Problem>) {
    let known = || {
        let (headers, app) = (Headers::read(request.headers())?, app(request)?);
        let caller = Caller::named(request.headers(), app, id)?;
        caller.may(operation)?;
        Ok((app.rates.count(caller.source(), operation.group), headers, caller))
    };
    match known() {
        Err(problem) => (None, Err(problem)),
        Ok((standing, headers, caller)) => (standing, allowed(standing).map(|()| (headers, caller))),
    }
}

/// As [`identify`], where no key is asked for.
fn count_address(operation: &Operation, request: &HttpRequest) -> (Option<Standing>, Result<Headers, Problem>) {
    let known = || {
        let headers = Headers::read(request.headers())?;
        Ok((request.app_data::<Data<App>>().and_then(|app| app.rates.count(address(), operation.group)), headers))
    };
    match known() {
        Err(problem) => (None, Err(problem)),
        Ok((standing, headers)) => (standing, allowed(standing).map(|()| headers)),
    }
}

/// Lets a request pass that its caller may send by where it stands.
///
/// # Errors
/// `rate_limited`.
pub fn allowed(standing: Option<Standing>) -> Result<(), Problem> {
    let refused = standing.filter(|standing| standing.wait().is_some());
    refused.map_or(Ok(()), |standing| Err(rate_limited(standing)))
}

/// What one request too many is answered with.
pub(crate) fn rate_limited(standing: Standing) -> Problem {
    let wait = standing.wait().unwrap_or_default();
    Problem::new(Code::RateLimited, standing.limit()).with_header(RETRY_AFTER, wait.into())
}

fn app(request: &HttpRequest) -> Result<&Data<App>, Problem> {
    request.app_data::<Data<App>>().ok_or_else(unavailable)
}

/// Which of the headers that matter here a request has, each once.
#[derive(Clone, Copy)]
pub struct Headers(u16);

const MATCH: u16 = 1;
const NONE_MATCH: u16 = 1 << 1;
const MODIFIED: u16 = 1 << 2;
const UNMODIFIED: u16 = 1 << 3;
const RANGE: u16 = 1 << 4;
const ENCODING: u16 = 1 << 5;
const KEY: u16 = 1 << 6;
const AUTHORIZATION: u16 = 1 << 7;
const TYPE: u16 = 1 << 8;
const EVENT: u16 = 1 << 9;
const LENGTH: u16 = 1 << 10;
/// A content type that a form of a web page may have.
const FORM: u16 = 1 << 11;
/// The content type of most bodies, spelled as most clients do.
const PLAIN_JSON: u16 = 1 << 12;
const CORRELATION: u16 = 1 << 13;

const CONDITIONS: [(u16, &str); 5] = [
    (MATCH, "If-Match"),
    (NONE_MATCH, "If-None-Match"),
    (MODIFIED, "If-Modified-Since"),
    (UNMODIFIED, "If-Unmodified-Since"),
    (RANGE, "If-Range"),
];

fn bit(name: &str) -> u16 {
    match name {
        "if-match" => MATCH,
        "if-none-match" => NONE_MATCH,
        "if-modified-since" => MODIFIED,
        "if-unmodified-since" => UNMODIFIED,
        "if-range" => RANGE,
        "content-encoding" => ENCODING,
        "idempotency-key" => KEY,
        "authorization" => AUTHORIZATION,
        "content-type" => TYPE,
        "last-event-id" => EVENT,
        "content-length" => LENGTH,
        "x-correlation-id" => CORRELATION,
        _ => 0,
    }
}

impl Headers {
    /// # Errors
    /// `invalid_request` for one that is there twice: nobody can tell which of them is meant.
    pub fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut found = 0;
        for (name, value) in headers {
            let bit = bit(name.as_str());
            if found & bit & !CORRELATION != 0 {
                return Err(malformed(format!("the header {name} is there more than once")));
            }
            found |= if bit == TYPE { kind(value.as_bytes()) } else { bit };
        }
        Ok(Self(found))
    }

    /// Whether the body is JSON without another look at its content type.
    pub fn say_json(self) -> bool {
        self.0 & PLAIN_JSON != 0
    }

    /// Whether they relate the request to another.
    pub fn have_correlation(self) -> bool {
        self.0 & CORRELATION != 0
    }

    /// # Errors
    /// The problem with the headers, the query or the path that the row of the table does not allow.
    pub fn fit(self, operation: &Operation, request: &HttpRequest) -> Result<(), Problem> {
        if self.0 & (MATCH | NONE_MATCH | MODIFIED | UNMODIFIED | RANGE) != 0 {
            self.conditions(operation, request.headers())?;
        }
        if self.0 & ENCODING != 0 && operation.method != "GET" {
            content_coding(request.headers())?;
        }
        if self.0 & FORM != 0 && operation.method != "GET" && !operation.forms {
            return Err(Problem::new(Code::UnsupportedMediaType, FORMS_REFUSED));
        }
        if let (Query::Known(known), false) = (operation.query, request.query_string().is_empty()) {
            query(known, request.query_string())?;
        }
        let path = request.uri().path();
        if path.contains('%') && percent::decode(path).is_none() {
            return Err(malformed("the path is not percent-encoded UTF-8"));
        }
        Ok(())
    }

    /// What the head says of the body.
    ///
    /// # Errors
    /// The problem with a body that would be refused once it was read.
    pub fn announce(self, operation: &Operation, request: &HttpRequest) -> Result<(), Problem> {
        if operation.key == Key::Required && self.0 & KEY == 0 {
            return Err(key_missing());
        }
        match operation.content {
            Content::Json if self.0 & LENGTH != 0 => typed(request).and_then(|()| fits(request.headers())),
            Content::Json | Content::Rows | Content::Any => Ok(()),
        }
    }

    fn conditions(self, operation: &Operation, headers: &HeaderMap) -> Result<(), Problem> {
        if operation.access == Access::Signed && !headers.contains_key(SIGNATURE) {
            return Ok(());
        }
        let reads = operation.method == "GET";
        let obeyed = match operation.conditions {
            Conditions::Ignored => return Ok(()),
            Conditions::Refused => 0,
            Conditions::Version | Conditions::Required if reads => MATCH | NONE_MATCH,
            Conditions::Version | Conditions::Required => MATCH,
        };
        if let Some((_, name)) = CONDITIONS.iter().find(|(bit, _)| self.0 & bit & !obeyed != 0) {
            let what = if obeyed == 0 { "the resource has no version" } else { "the resource has no such version" };
            let detail = format!("{name} is not obeyed here: {what} that it could be compared with");
            return Err(Problem::new(Code::ConditionUnsupported, detail));
        }
        for name in [IF_MATCH, IF_NONE_MATCH] {
            if headers.get(&name).is_some_and(|field| Tags::parse(field.as_bytes()).is_none()) {
                return Err(malformed(format!("{name} must be versions in quotes with commas between them, or *")));
            }
        }
        Ok(())
    }
}

/// What a page of any origin may send without that its browser asks first: the types of forms, and of `fetch` in the mode `no-cors`.
const FORM_TYPES: [&[u8]; 3] = [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"];
const FORMS_REFUSED: &str =
    "Content-Type must be application/json (imports: application/x-ndjson), not one that forms of web pages have";

fn kind(content_type: &[u8]) -> u16 {
    if content_type == JSON.as_bytes() {
        TYPE | PLAIN_JSON
    } else if is_of_form(content_type) {
        TYPE | FORM
    } else {
        TYPE
    }
}

fn is_of_form(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| b";,".contains(byte)).next().unwrap_or_default().trim_ascii();
    FORM_TYPES.iter().any(|form| essence.eq_ignore_ascii_case(form))
}

/// The media type of a body that is not empty.
fn typed(request: &HttpRequest) -> Result<(), Problem> {
    let empty = request.headers().get(CONTENT_LENGTH).is_some_and(|length| length == "0");
    if empty { Ok(()) } else { content_type(request, &[JSON]) }
}

fn malformed(message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError::new("", message)])
}

/// Bodies are taken as they are.
fn content_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let coding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default().trim_ascii();
    if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") {
        return Ok(());
    }
    let problem = Problem::new(Code::UnsupportedMediaType, "bodies are taken without a content coding");
    Err(problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")))
}

fn query(known: &[Parameter], query: &str) -> Result<(), Problem> {
    let mut seen: Vec<&str> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = percent::decode_form(name);
        let found = decoded.as_deref().and_then(|name| known.iter().find(|known| known.name == name));
        let Some(Parameter { name, form }) = found else {
            return Err(Problem::parameter(decoded.as_deref().unwrap_or(name), "is no query parameter of this resource"));
        };
        if seen.contains(name) {
            return Err(Problem::parameter(name, "is there more than once"));
        }
        seen.push(name);
        let value = percent::decode_form(value).ok_or_else(|| Problem::parameter(name, "is not percent-encoded UTF-8"))?;
        form.check(&value).map_err(|message| Problem::parameter(name, &message))?;
    }
    Ok(())
}

impl Form {
    fn check(self, value: &str) -> Result<(), String> {
        let Form::Number(most) = self else { return Ok(()) };
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse::<u64>() {
            Ok(number) if digits && number <= most => Ok(()),
            Ok(_) | Err(_) => Err(format!("must be an integer from 0 to {most}")),
        }
    }
}

/// What a read is answered with, once its conditions are compared with what was found. For HEAD it goes without its body.
fn read(operation: &Operation, request: &HttpRequest, response: HttpResponse) -> HttpResponse {
    let compared = operation.conditions == Conditions::Version && response.status() == StatusCode::OK;
    let response = if compared { conditional(request, response) } else { response };
    if request.method() == Method::HEAD { bodiless(response) } else { response }
}

fn conditional(request: &HttpRequest, response: HttpResponse) -> HttpResponse {
    let condition = |name| request.headers().get(name).and_then(|field| Tags::parse(field.as_bytes()));
    let Some(etag) = response.headers().get(ETAG).cloned() else { return response };
    let current = etag.as_bytes().trim_ascii();
    let current = current.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\"")).unwrap_or(current);
    if condition(IF_MATCH).is_some_and(|tags| !tags.names_strongly(current)) {
        let version = std::str::from_utf8(current).ok().and_then(|version| version.parse::<u64>().ok()).unwrap_or_default();
        let problem = Problem::new(Code::PreconditionFailed, format!("the version is {version} now"));
        let problem = problem.with("current_version", version);
        return problem.answer_to(request);
    }
    if condition(IF_NONE_MATCH).is_some_and(|tags| tags.names_weakly(current)) {
        return HttpResponse::NotModified().insert_header((ETAG, etag)).finish();
    }
    response
}

/// The length of a body is told without it; a stream, which may never end, is not begun.
fn bodiless(response: HttpResponse) -> HttpResponse {
    response.map_body(|_, body| match body.size() {
        BodySize::Stream => BoxBody::new(actix_web::body::None::new()),
        BodySize::None | BodySize::Sized(_) => body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(known: &[Parameter], text: &str) -> Option<String> {
        query(known, text).err().map(|problem| problem.errors[0].pointer.clone())
    }

    #[test]
    fn a_query_parameter_is_known_there_once_and_of_its_form() {
        let known = [Parameter { name: "after", form: Form::Text }, Parameter { name: "limit", form: Form::Number(9) }];
        for fine in ["after=", "after", "after=%C3%A9+x", "limit=9&after=b", "&limit=0&", "%6Cimit=1"] {
            assert_eq!(refused(&known, fine), None, "{fine}");
        }
        let wrong = [
            ("x=1", "?x"),
            ("=1", "?"),
            ("Limit=1", "?Limit"),
            ("limit=1&limit=1", "?limit"),
            ("after=a&%61fter=b", "?after"),
            ("limit=", "?limit"),
            ("limit=x", "?limit"),
            ("limit=-1", "?limit"),
            ("limit=%2B1", "?limit"),
            ("limit=10", "?limit"),
            ("limit=99999999999999999999", "?limit"),
            ("after=%ff", "?after"),
            ("after=%", "?after"),
            ("%zz=1", "?%zz"),
        ];
        for (text, pointer) in wrong {
            assert_eq!(refused(&known, text).as_deref(), Some(pointer), "{text}");
        }
    }

    #[test]
    fn what_a_form_can_send_is_known_by_its_type() {
        for form in
            ["text/plain", "TEXT/PLAIN;charset=utf-8", "text/plain ;x=application/json", "multipart/form-data; boundary=x"]
        {
            assert!(is_of_form(form.as_bytes()), "{form}");
        }
        for other in ["application/json", "application/x-ndjson", "text/plainer", "", "application/json;text/plain"] {
            assert!(!is_of_form(other.as_bytes()), "{other}");
        }
    }
}
