//! Pages of the console as answers.

use crate::console::layout::{Around, document};
use crate::console::pages::{Page, message};
use crate::console::session::Operator;
use crate::http::page;
use crate::http::problem::Problem;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use maud::Markup;

/// Only what this server sends is loaded, run, styled, asked or posted to.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Its referrer policy is not `no-referrer`: browsers then send `Origin: null` with its own forms.
pub(super) fn guard(response: &mut HttpResponseBuilder) {
    page::guard(response, POLICY, "same-origin");
}

pub(super) fn page(around: &Around<'_>, contents: &Markup) -> HttpResponse {
    with_status(StatusCode::OK, around, contents)
}

pub(super) fn with_status(status: StatusCode, around: &Around<'_>, contents: &Markup) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    guard(&mut response);
    // Customers are named on it.
    response.insert_header((CACHE_CONTROL, "no-store"));
    response.content_type("text/html; charset=utf-8").body(document(around, contents).into_string())
}

/// A page that says why there is no other.
pub(super) fn refusal(problem: &Problem, page: Page, title: &str, operator: &Operator) -> HttpResponse {
    let around = Around { page, title, operator: Some(operator), live: None };
    with_status(problem.status_code(), &around, &message::page(&problem.detail))
}

/// To a page, after a form or without a session.
pub(super) fn see_other(path: &str) -> HttpResponse {
    let mut response = HttpResponse::SeeOther();
    guard(&mut response);
    response.insert_header((CACHE_CONTROL, "no-store")).insert_header((LOCATION, path)).finish()
}
