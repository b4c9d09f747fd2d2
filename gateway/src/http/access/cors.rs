//! What answers say to browsers about pages of other origins that may read them (CORS, as the Fetch standard has it).
//!
//! Invariants: only pages of `server.origins` are let in, each by its own origin, never all of them and never with credentials of the
//! browser: who calls is said by an API key alone. A server without such origins says nothing, and looks for nothing.

use crate::http::table::allowed;
use crate::wire::origin::Origin;
use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};

/// Headers that requests may carry.
const TAKEN: &str =
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Correlation-Id, X-Request-Id";
/// Headers of answers that pages may read beside those that every page may.
const SHOWN: &str = "Allow, ETag, Idempotent-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id, \
     X-Trace-Id";
/// Seconds for which a browser may remember what it was told: changed settings reach every page within them.
const REMEMBERED: &str = "600";

/// The origins whose pages may read answers.
#[derive(Clone)]
pub(super) struct Cors(pub(super) Vec<Origin>);

/// What the answer to one request says. Boxed, as it stays with each request and most have none.
pub enum Sharing {
    Nothing,
    /// The page may not read it, and caches must not show it to one that may, or the other way round.
    Varies,
    With(Box<HeaderValue>),
}

impl Cors {
    #[inline]
    pub(super) fn sharing(&self, method: &Method, headers: &HeaderMap) -> Sharing {
        if self.0.is_empty() {
            return Sharing::Nothing;
        }
        let mut origins = headers.get_all(ORIGIN);
        match (origins.next(), origins.next()) {
            (Some(origin), None) if self.knows(origin) => Sharing::With(Box::new(origin.clone())),
            (None, _) if *method == Method::POST => Sharing::Nothing,
            _ => Sharing::Varies,
        }
    }

    fn knows(&self, origin: &HeaderValue) -> bool {
        origin.to_str().ok().and_then(Origin::parse).is_some_and(|origin| self.0.contains(&origin))
    }

    /// The answer to a browser that asks before it sends what a page wants, if the page may and the path is known.
    pub(super) fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let headers = request.headers();
        if *request.method() != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let Sharing::With(_) = self.sharing(request.method(), headers) else { return None };
        let methods = allowed(request.path());
        (!methods.is_empty()).then(|| {
            HttpResponse::NoContent()
                .insert_header((ACCESS_CONTROL_ALLOW_METHODS, methods))
                .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, TAKEN))
                .insert_header((ACCESS_CONTROL_MAX_AGE, REMEMBERED))
                .finish()
        })
    }
}

impl Sharing {
    pub fn apply(self, headers: &mut HeaderMap) {
        if let Sharing::With(origin) = &self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::clone(origin));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SHOWN));
        }
        if !matches!(self, Sharing::Nothing) {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;

    #[test]
    fn a_page_may_read_every_header_that_answers_are_described_with() {
        let described: serde_json::Value = serde_json::from_str(openapi::json()).unwrap();
        let headers = described["components"]["headers"].as_object().unwrap();
        let shown: Vec<&str> = SHOWN.split(", ").collect();
        for name in headers.keys().filter(|name| *name != "Accept-Encoding") {
            assert!(shown.contains(&name.as_str()), "{name} is not shown");
        }
    }

    #[test]
    fn a_page_may_send_every_header_that_operations_take() {
        let described: serde_json::Value = serde_json::from_str(openapi::json()).unwrap();
        let taken: Vec<&str> = TAKEN.split(", ").collect();
        let operations = described["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
        let parameters = operations.flat_map(|operation| operation["parameters"].as_array().into_iter().flatten());
        for parameter in parameters.filter(|parameter| parameter["in"] == "header") {
            let name = parameter["name"].as_str().unwrap();
            // Providers sign, pages do not.
            assert!(taken.contains(&name) || name == "Holdfast-Signature", "{name} is not taken");
        }
    }
}
