//! The door of the console: who comes in, and who may change something.
//!
//! Invariants: with keys nobody is in without a session, and a session is opened by a key of a viewer or an admin alone; without keys,
//! which is on loopback, everybody is an admin who names this server by a name that nobody else can bind to its address. Nothing is changed
//! unless the request names an origin, which is ours (`http::access` has refused any other), and is a form's or has a header that no
//! form can send.

use super::respond;
use crate::console::layout::Around;
use crate::console::pages::{Page, login as login_page_of};
use crate::console::session::{LIFE, Operator};
use crate::http::access::{Access, foreign_origin, misdirected};
use crate::http::body::Body;
use crate::http::caller::forbidden;
use crate::http::client::Proxies;
use crate::http::percent;
use crate::http::problem::{Code, Problem};
use crate::http::request_id::request_id;
use crate::http::routes::internal;
use crate::http::routes::trail::{self, Begun};
use crate::keys::role::{ADMINS, OPERATORS};
use crate::state::App;
use actix_web::http::StatusCode;
use actix_web::http::header::{COOKIE, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use holdfast_engine::ids::KeyName;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

const SESSION: &str = "holdfast_console";
const X_HOLDFAST_CONSOLE: HeaderName = HeaderName::from_static("x-holdfast-console");
const FORM: &str = "application/x-www-form-urlencoded";
/// Seconds until an address may show one more wrong key.
const PAUSE: &str = "12";

/// What becomes of who wants to look.
pub(super) enum Entrance {
    Open(Operator),
    Closed(HttpResponse),
}

/// Who wants to see a page is shown to the door where he has no session.
pub(super) fn enter(request: &HttpRequest, app: &App) -> Entrance {
    match operator(request, app) {
        Ok(Some(operator)) => Entrance::Open(operator),
        Ok(None) => Entrance::Closed(respond::see_other(Page::Login.path())),
        Err(problem) => Entrance::Closed(problem.answer_to(request)),
    }
}

/// Who sends a request. `None` for who has no session and needs one.
///
/// # Errors
/// `misdirected_request` where no key is needed and the request names a host that anybody can bind.
pub(super) fn operator(request: &HttpRequest, app: &App) -> Result<Option<Operator>, Problem> {
    let Some(keys) = &*app.keys.now() else {
        let known = Access::of(&app.settings, false).knows_host(request);
        return if known { Ok(Some(Operator::anybody())) } else { Err(misdirected()) };
    };
    Ok(secret(request).and_then(|secret| app.console.sessions.operator(secret, keys, Instant::now())))
}

/// Who is about to change something.
///
/// # Errors
/// `unauthorized`, `forbidden`, or `forbidden_origin` for what no page of ours has sent.
pub(super) fn admin(request: &HttpRequest, app: &App) -> Result<Operator, Problem> {
    sent_by_our_page(request)?;
    let none = || Problem::new(Code::Unauthorized, "there is no session, or it has ended: sign in at /console/login");
    let operator = operator(request, app)?.ok_or_else(none)?;
    if operator.acts() { Ok(operator) } else { Err(forbidden(operator.role, ADMINS)) }
}

fn sent_by_our_page(request: &HttpRequest) -> Result<(), Problem> {
    let headers = request.headers();
    let marked = headers.get(X_HOLDFAST_CONSOLE).is_some_and(|mark| mark == "1");
    let form = request.content_type().eq_ignore_ascii_case(FORM);
    if headers.contains_key(ORIGIN) && (marked || form) { Ok(()) } else { Err(foreign_origin()) }
}

/// The secret of the session that a request comes with.
fn secret(request: &HttpRequest) -> Option<&str> {
    let cookies = request.headers().get_all(COOKIE).filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    cookies.filter_map(|cookie| cookie.trim().split_once('=')).find(|(name, _)| *name == SESSION).map(|(_, secret)| secret)
}

pub(super) async fn login_page(request: HttpRequest, app: Data<App>) -> HttpResponse {
    match operator(&request, &app) {
        Ok(Some(_)) => respond::see_other(Page::Overview.path()),
        Ok(None) => refuse(StatusCode::OK, None),
        Err(problem) => problem.answer_to(&request),
    }
}

fn refuse(status: StatusCode, why: Option<&str>) -> HttpResponse {
    let around = Around { page: Page::Login, title: Page::Login.title(), operator: None, live: None };
    respond::with_status(status, &around, &login_page_of::page(why))
}

/// A key becomes a session.
pub(super) async fn login(request: HttpRequest, app: Data<App>, body: Body) -> Result<HttpResponse, Problem> {
    sent_by_our_page(&request)?;
    let shown = field(&body.0?, "key").unwrap_or_default();
    let keys = app.keys.now().clone();
    let Some(keys) = keys else { return Ok(respond::see_other(Page::Overview.path())) };
    let key = match keys.find(shown.trim()) {
        Some(key) if OPERATORS.contains(&key.role) => key,
        Some(key) => return Ok(refuse(StatusCode::FORBIDDEN, Some(&forbidden(key.role, OPERATORS).detail))),
        None => return Ok(wrong_key(&request, &app)),
    };
    let secret = app.console.sessions.open(key, Instant::now()).map_err(|error| internal(&error))?;
    tracing::info!(key = key.name.as_ref().map(KeyName::as_str), role = key.role.name(), "console: signed in");
    trail::record(&app, (key.name.clone(), request_id(&request)), Begun { what: "console.sign_in", after: None }).await;
    let mut response = respond::see_other(Page::Overview.path());
    set_cookie(&request, &mut response, &secret, LIFE.as_secs());
    Ok(response)
}

fn wrong_key(request: &HttpRequest, app: &App) -> HttpResponse {
    let address = Proxies::of(&app.settings).sender(request).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if app.console.logins.wrong(address) {
        let mut response = refuse(StatusCode::UNAUTHORIZED, Some("The server does not know this key."));
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, Some("Too many wrong keys came from this address: wait a minute."));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(PAUSE));
    response
}

pub(super) async fn logout(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Problem> {
    sent_by_our_page(&request)?;
    if let Some(session) = operator(&request, &app)?.and_then(|operator| operator.session) {
        app.console.sessions.close(session);
    }
    let mut response = respond::see_other(Page::Login.path());
    set_cookie(&request, &mut response, "", 0);
    Ok(response)
}

/// Browsers keep it from scripts, from other sites, and from networks without TLS, which loopback is not.
fn set_cookie(request: &HttpRequest, response: &mut HttpResponse, secret: &str, seconds: u64) {
    let secure = if Access::names_loopback(request) { "" } else { "; Secure" };
    let cookie = format!("{SESSION}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = cookie.parse() {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}

/// A field of a form.
pub(super) fn field(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, value) = text.split('&').filter_map(|pair| pair.split_once('=')).find(|(field, _)| *field == name)?;
    percent::decode_form(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_secret_is_found_among_other_cookies_and_by_its_whole_name() {
        let found = |cookie: &str| {
            let request = TestRequest::get().insert_header((COOKIE, cookie)).to_http_request();
            secret(&request).map(str::to_owned)
        };
        assert_eq!(found("a=1; holdfast_console=xyz; b=2").as_deref(), Some("xyz"));
        assert_eq!((found("holdfast_console_2=x"), found("xholdfast_console=x"), found("")), (None, None, None));
    }

    #[test]
    fn what_no_page_of_ours_sent_changes_nothing() {
        let sent = |headers: &[(&'static str, &str)]| {
            let request = headers.iter().fold(TestRequest::post(), |request, header| request.append_header(*header));
            sent_by_our_page(&request.to_http_request()).is_ok()
        };
        let (origin, form) = (("origin", "http://localhost"), ("content-type", FORM));
        assert!(sent(&[origin, form]) && sent(&[origin, ("x-holdfast-console", "1")]));
        for refused in [&[][..], &[origin], &[form], &[("x-holdfast-console", "1")], &[origin, ("content-type", "text/plain")]] {
            assert!(!sent(refused), "{refused:?}");
        }
    }

    #[test]
    fn a_field_of_a_form_is_decoded() {
        assert_eq!(field(b"a=1&key=hf_%2B+x", "key").as_deref(), Some("hf_+ x"));
        assert_eq!((field(b"key", "key"), field(b"", "key"), field(b"key=%zz", "key")), (None, None, None));
    }
}
