//! How many answers a route gives, with which status, and how long each takes.
//!
//! Invariants: what the gauges say of answers is of those to customers and operators, never of those to probes; an answer is counted once, where its route ends, so that the counts are what clients counted; a request looks nothing
//! up in the registry of metrics: each worker keeps the handles of its routes. There is no middleware for it: the bodies of orders are
//! polled by hand (docs/adr/0009-replies-to-orders-are-written-by-hand.md).

use crate::http::access_log;
use crate::rates::Group;
use crate::telemetry::tally::{ANSWERS, Tally};
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
    /// Whether a balancer or a collector asks: a server that starts answers them 503, and nobody is refused anything.
    probe: bool,
    /// Made by the first answer, as are those of each status: a metric appears when it has a value.
    seconds: OnceCell<Histogram>,
    /// A route has few.
    statuses: RefCell<Vec<(StatusCode, Counter)>>,
}

impl Timed {
    pub fn of(method: &'static str, route: &'static str, group: Group) -> Self {
        let (seconds, statuses) = (OnceCell::new(), RefCell::default());
        let (api, probe) = (route.starts_with("/v1/"), group == Group::Unlimited);
        Self(Rc::new(Handles { method, route, api, probe, seconds, statuses }))
    }

    /// Of requests with methods that the route does not take.
    pub fn refusals(route: &'static str) -> Self {
        Self::of(OTHER, route, Group::Open)
    }

    /// Of requests that have no route.
    pub fn unrouted() -> Self {
        Self::of(OTHER, NONE, Group::Open)
    }

    /// Counts what a request was answered that began at `began`.
    pub fn count(&self, began: Instant, answer: &Result<ServiceResponse, Error>) {
        let (status, took) = match answer {
            Ok(response) => (response.status(), began.elapsed()),
            Err(error) => (error.as_response_error().status_code(), began.elapsed()),
        };
        self.0.count(status, took, &ANSWERS);
        if let Ok(answer) = answer {
            access_log::log(self.0.method, self.0.route, took, answer);
        }
    }
}

impl Handles {
    fn count(&self, status: StatusCode, took: Duration, tally: &Tally) {
        let (method, route) = (self.method, self.route);
        if !self.probe {
            tally.answered(self.api, status.as_u16(), took);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_probe_is_none_to_a_customer() {
        let refusals = |route, group| {
            let tally = Tally::new();
            Timed::of("GET", route, group).0.count(StatusCode::SERVICE_UNAVAILABLE, Duration::ZERO, &tally);
            let answers = tally.now();
            (answers.all, answers.errors, answers.refusals)
        };
        assert_eq!(refusals("/readyz", Group::Unlimited), (0, 0, 0));
        assert_eq!(refusals("/", Group::Open), (1, 1, 1));
    }
}
