//! How many answers a route gives, with which status, and how long each takes.
//!
//! Invariants: an answer is counted once, where its route ends, so that the counts are what clients counted; a request looks nothing
//! up in the registry of metrics: each worker keeps the handles of its routes. There is no middleware for it: the bodies of orders are
//! polled by hand (docs/adr/0009-replies-to-orders-are-written-by-hand.md).

use crate::http::access_log;
use crate::telemetry::tally::ANSWERS;
use actix_web::Error;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use metrics::{Counter, Histogram};
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The method of a request that its route does not take.
const OTHER: &str = "other";
/// The route of a request that was answered before one was found.
const NONE: &str = "none";

/// What is counted of one method of a route, in one worker.
#[derive(Clone, Debug)]
pub struct Timed(Rc<Handles>);

#[derive(Debug)]
struct Handles {
    method: &'static str,
    route: &'static str,
    /// Whether it is of the API.
    api: bool,
    /// Made by the first answer, as are those of each status: a metric appears when it has a value.
    seconds: OnceCell<Histogram>,
    /// A route has few.
    statuses: RefCell<Vec<(StatusCode, Counter)>>,
}

impl Timed {
    pub fn of(method: &'static str, route: &'static str) -> Self {
        let (seconds, statuses) = (OnceCell::new(), RefCell::default());
        let api = route.starts_with("/v1/");
        Self(Rc::new(Handles { method, route, api, seconds, statuses }))
    }

    /// Of requests with methods that the route does not take.
    pub fn refusals(route: &'static str) -> Self {
        Self::of(OTHER, route)
    }

    /// Of requests that have no route.
    pub fn unrouted() -> Self {
        Self::of(OTHER, NONE)
    }

    /// Counts what a request was answered that began at `began`.
    pub fn count(&self, began: Instant, answer: &Result<ServiceResponse, Error>) {
        let (status, took) = match answer {
            Ok(response) => (response.status(), began.elapsed()),
            Err(error) => (error.as_response_error().status_code(), began.elapsed()),
        };
        self.0.count(status, took);
        if let Ok(answer) = answer {
            access_log::log(self.0.method, self.0.route, took, answer);
        }
    }
}

impl Handles {
    fn count(&self, status: StatusCode, took: Duration) {
        let (method, route) = (self.method, self.route);
        ANSWERS.answered(self.api, status.as_u16(), took);
        let seconds = || metrics::histogram!("holdfast_http_request_seconds", "method" => method, "route" => route);
        self.seconds.get_or_init(seconds).record(took.as_secs_f64());
        let mut statuses = self.statuses.borrow_mut();
        let known = statuses.iter().position(|(known, _)| *known == status).unwrap_or_else(|| {
            let code = status.as_u16().to_string();
            let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", code)];
            statuses.push((status, metrics::counter!("holdfast_http_requests_total", &labels)));
            statuses.len() - 1
        });
        statuses[known].1.increment(1);
    }
}
