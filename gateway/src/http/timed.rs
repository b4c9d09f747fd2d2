//! How many answers a route gives, with which status, and how long each takes.
//!
//! Invariants: an answer is counted once, where its route ends, so that the counts are what clients counted; each worker counts for
//! itself. There is no middleware for it: the bodies of orders are polled by hand (docs/adr/0009-replies-to-orders-are-written-by-hand.md).

use crate::http::access_log;
use crate::rates::Group;
use crate::telemetry::tally::{ANSWERS, RouteCounter, Row};
use actix_web::Error;
use actix_web::dev::ServiceResponse;
use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Instant;

/// The method of a request that its route does not take.
const OTHER: &str = "other";
/// The route of a request that was answered before one was found.
const NONE: &str = "none";

/// What is counted of one method of a route, in one worker.
#[derive(Clone, Debug)]
pub struct Timed(Rc<Counted>);

#[derive(Debug)]
struct Counted {
    row: Row,
    /// Made by the first answer: a metric appears when it has a value.
    counter: OnceCell<RouteCounter>,
}

impl Timed {
    pub fn of(method: &'static str, route: &'static str, group: Group) -> Self {
        let (api, probe) = (route.starts_with("/v1/"), group == Group::Unlimited);
        Self(Rc::new(Counted { row: Row { method, route, api, probe }, counter: OnceCell::new() }))
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
        let Counted { row, counter } = &*self.0;
        counter.get_or_init(|| ANSWERS.route(*row)).answered(status.as_u16(), took);
        if let Ok(answer) = answer {
            access_log::log(row.method, row.route, took, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_the_api_are_told_from_others_and_probes_from_both() {
        for (route, group, expected) in [
            ("/v1/orders", Group::Orders, (true, false)),
            ("/", Group::Open, (false, false)),
            ("/readyz", Group::Unlimited, (false, true)),
        ] {
            let row = Timed::of("GET", route, group).0.row;
            assert_eq!((row.api, row.probe), expected, "{route}");
        }
    }
}
