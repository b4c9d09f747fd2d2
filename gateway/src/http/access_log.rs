//! A line of the log for each answer, where `log.requests` asks for it.
//!
//! Invariant: a line has the row of the route, and nothing of its path, query, headers or body: those have ids, names and secrets. The id
//! of the request is what its caller chose to call it.

use crate::http::request_id::request_id;
use crate::telemetry::logs::REQUESTS;
use actix_web::dev::ServiceResponse;
use std::time::Duration;

/// Logs an answer.
pub(super) fn log(method: &str, route: &str, took: Duration, answer: &ServiceResponse) {
    if tracing::enabled!(target: REQUESTS, tracing::Level::INFO) {
        let (status, id) = (answer.status().as_u16(), request_id(answer.request()));
        let id = answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or(id.as_str());
        let millis = took.as_micros() as f64 / 1000.0;
        tracing::info!(target: REQUESTS, method, route, status, millis, request_id = id, "answered");
    }
}
