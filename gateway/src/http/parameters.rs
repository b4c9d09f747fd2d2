//! Parameters of the query.
//!
//! Invariant: parameters that are not as they should be are a problem, as everything else of a request.

use crate::http::problem::{FieldError, Problem};
use actix_web::dev::Payload;
use actix_web::web::Query;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;
use std::future::{Ready, ready};

pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Parameters<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let malformed =
            |error: actix_web::error::QueryPayloadError| Problem::invalid(vec![FieldError::new("", error.to_string())]);
        ready(Query::<T>::from_query(request.query_string()).map(|query| Self(query.into_inner())).map_err(malformed))
    }
}
