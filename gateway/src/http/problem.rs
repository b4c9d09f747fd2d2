//! The catalogue of problems: every error of the API, with its status, its meaning and what to do about it.
//!
//! Invariants: a code never changes its status or meaning; each is served at `/problems/{code}` by the server itself; however long
//! what a caller sent, what is said of it is not ([`bounded`]).

mod bounded;
mod counted;

pub use bounded::is_enough;

use crate::http::request_id::request_id;
use crate::wire::scalars;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! codes {
    ($($name:ident $code:literal $status:literal $retryable:literal $title:literal $advice:literal;)+) => {
        /// The stable code of a problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($name),+ }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name),+];

            pub fn name(self) -> &'static str {
                match self { $(Code::$name => $code),+ }
            }

            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status),+ }
            }

            /// The same request may succeed later.
            pub fn retryable(self) -> bool {
                match self { $(Code::$name => $retryable),+ }
            }

            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title),+ }
            }

            /// What the caller should do. Limits are named in braces: see [`crate::wire::figures::filled`].
            pub fn advice(self) -> &'static str {
                match self { $(Code::$name => $advice),+ }
            }
        }
    };
}

codes! {
    InvalidRequest "invalid_request" 400 false "The request is not understood"
        "Correct the fields listed in `errors`; each pointer names a place in the body.";
    ConditionUnsupported "condition_unsupported" 400 false "The condition cannot be obeyed here"
        "Leave the conditional header out: the resource has no version, or none of that kind. Those with an ETag take If-Match, and If-None-Match on reads.";
    IdempotencyKeyMissing "idempotency_key_missing" 400 false "The Idempotency-Key header is missing"
        "Send a key of 1 to {idempotency_key_bytes} visible ASCII characters that is new for each new order and the same for each retry of it.";
    Unauthorized "unauthorized" 401 false "The API key or signature is missing or wrong"
        "Send `Authorization: Bearer hf_…` with a key made by `holdfast key new`; webhooks must carry a fresh signature.";
    Forbidden "forbidden" 403 false "The API key may not do this"
        "Send a key of a role that may: `detail` names them. `holdfast key new --role` makes one.";
    ForbiddenOrigin "forbidden_origin" 403 false "Web pages of this origin may not change anything here"
        "Call from a server, or have the operator add the origin of the page to `server.origins`.";
    NotFound "not_found" 404 false "There is no such thing"
        "Check the id. Ids begin with `ord_`, `res_` or `pay_`.";
    MethodNotAllowed "method_not_allowed" 405 false "The resource does not take this method"
        "The `Allow` header lists the methods of the path; see /docs.";
    RequestTimeout "request_timeout" 408 true "The body of the request did not arrive"
        "Nothing was executed. Send the request again, with the same key; `server.body_timeout_seconds` says how long a body may pause.";
    OutOfStock "out_of_stock" 409 false "Not enough units are available"
        "`lines` says what was asked for and what could be had. An order refused like this is kept as rejected.";
    TooManyLocations "too_many_locations" 409 false "The units are in more locations than one order may take from"
        "`lines` says how many units of each SKU an order of this size can have. Order fewer SKUs or fewer units at once. An order refused like this is kept as rejected.";
    CountBelowTaken "count_below_taken" 409 false "The count is below what is taken"
        "`taken` says how many units holds, sales and checks have, `count` what would be left to count. Release or count those first, or send a higher count.";
    LocationInUse "location_in_use" 409 false "The location still counts units"
        "`counts` says which. Set what is on hand to 0 and wait for the holds: a location that has sold units stays.";
    InvalidTransition "invalid_transition" 409 false "The order or reservation is past that"
        "`state` says where it stands and `allowed` what may be asked of it now.";
    ReservationExpired "reservation_expired" 409 false "The hold has expired"
        "Its units went back to stock. Place a new order or reservation.";
    IdempotencyInProgress "idempotency_in_progress" 409 true "The first request with this key is still being answered"
        "Wait for Retry-After and send the same request again: it will be answered like the first.";
    BackupUnavailable "backup_unavailable" 409 false "This server makes no backups"
        "Have the operator set `backup.dir`. A journal on a cluster is backed up with the tools of the cluster, as snapshots of `nodetool`.";
    BackupInProgress "backup_in_progress" 409 true "A backup is being made"
        "Wait for it to end and ask again: there is one at a time.";
    OperationRunning "operation_running" 409 true "Another operation is carried out"
        "Wait for it: `GET /admin/v1/operations/{id}` says how far it is. There is one at a time.";
    LimitReached "limit_reached" 409 false "A limit of the data is reached"
        "`detail` names the limit; see /v1/limits for the limits of this server.";
    PlanStale "plan_stale" 409 false "The plan is not for the settings in force"
        "Plan again, look at what would be changed now, and apply that plan.";
    CursorNotOfThisHistory "cursor_not_of_this_history" 409 false "The cursor is not of the history that is here"
        "The data was restored from an older copy, or the cursor is of another server. Read from the beginning, without a cursor, and compare by (partition, sequence): facts that were seen and are not here are gone.";
    CursorExpired "cursor_expired" 410 false "Events after the cursor are no longer kept"
        "Read from the beginning, without a cursor: what is in between is gone. `journal.keep_days` and `journal.keep_gb` say what is kept.";
    PreconditionFailed "precondition_failed" 412 false "The stock has changed since it was read"
        "Read it again: `current_version` is the version to send in If-Match.";
    TooLarge "too_large" 413 false "The body is too large"
        "`limit` names what it is over: see /v1/limits. Large catalogues go through POST /v1/inventory/imports.";
    UnsupportedMediaType "unsupported_media_type" 415 false "The content type is not taken here"
        "Send application/json (imports: application/x-ndjson) in UTF-8 and without a content coding.";
    MisdirectedRequest "misdirected_request" 421 false "The request names a host that this server does not answer for"
        "Call it as localhost or 127.0.0.1, add the name to `server.hosts`, or make API keys: with them any name is answered.";
    UnknownSku "unknown_sku" 422 false "Nobody ever stocked this SKU"
        "Put it into stock first: PUT /v1/inventory/{sku}/locations/{location}.";
    TotalsMismatch "totals_mismatch" 422 false "The total is not the sum of the lines"
        "Send the sum of quantity × unit_price in minor units, or leave `total` out.";
    ProviderUnavailable "provider_unavailable" 422 false "The payment provider is turned off on this server"
        "Leave `payment` out, or have the operator turn the provider on: `[sandbox] enabled = true`.";
    IdempotencyKeyReused "idempotency_key_reused" 422 false "The Idempotency-Key was used for another request"
        "Use a new key for a new request. A retry must repeat the first request exactly.";
    RateLimited "rate_limited" 429 true "The caller sends more requests than it may"
        "The request was not executed. Send it again after Retry-After, with the same key; /v1/limits says how many requests you may send.";
    PreconditionRequired "precondition_required" 428 false "If-Match is missing"
        "Send If-Match with the version that was read, \"0\" for a new location, or * for any.";
    Internal "internal" 500 true "The server failed"
        "Nothing is known to be lost. Report the request id.";
    Overloaded "overloaded" 503 true "Too many requests are in hand"
        "The request was not executed. Send it again after Retry-After, with the same key.";
    Paused "paused" 503 true "No new orders are taken at the moment"
        "The request was not executed. Send it again after Retry-After, with the same key. What was placed before goes on.";
    ShuttingDown "shutting_down" 503 true "This server is stopping"
        "The request was not executed. Send it again after Retry-After, with the same key, to whoever serves then.";
    InsufficientStorage "insufficient_storage" 507 false "There is no room for a backup"
        "Nothing was left behind, and orders go on. Make room where `backup.dir` is, or choose another disk, and ask again.";
    DurabilityUnavailable "durability_unavailable" 503 true "The journal does not take writes now"
        "The request was not executed. Send it again after Retry-After; the operator sees why in the log and on /readyz.";
}

impl Code {
    /// The code of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let names = Code::ALL.iter().map(|code| code.name());
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
    }
}

impl ToSchema for Code {
    fn name() -> std::borrow::Cow<'static, str> {
        "ProblemCode".into()
    }
}

/// One field of a request that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the body; of a query parameter, a question mark and its name.
    pub pointer: String,
    pub message: String,
}

impl FieldError {
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let pointer = bounded::cut(pointer.into(), bounded::POINTER);
        Self { pointer, message: bounded::cut(message.into(), bounded::DETAIL) }
    }
}

/// An answer that is an error: RFC 9457.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    pub code: Code,
    pub detail: String,
    pub request_id: String,
    pub errors: Vec<FieldError>,
    /// Members of this code alone: `lines`, `state`, `allowed`, `current_version`.
    pub extra: Map<String, Value>,
    /// What RFC 9110 asks for with this answer. Boxed: few have it, and all are handed on.
    pub header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail = bounded::cut(detail.into(), bounded::DETAIL);
        Self { code, detail, request_id: String::new(), errors: Vec::new(), extra: Map::new(), header: None }
    }

    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map_or_else(String::new, |first| format!("{} {}", first.pointer, first.message));
        Self { errors: bounded::shown(errors), ..Self::new(Code::InvalidRequest, detail.trim().to_owned()) }
    }

    /// A query parameter that is not as it should be.
    pub fn parameter(name: &str, message: &str) -> Self {
        let message = format!("{name} {message}");
        let errors = vec![FieldError::new(format!("?{name}"), message.clone())];
        Self { errors, ..Self::new(Code::InvalidRequest, message) }
    }

    /// More than a limit allows. `limit` is its name in `/v1/limits`.
    pub fn over(code: Code, limit: &'static str, detail: impl Into<String>) -> Self {
        Self::new(code, detail).with("limit", limit)
    }

    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    pub fn by(mut self, request_id: &str) -> Self {
        self.request_id = request_id.to_owned();
        self
    }

    /// As one of the thousands of problems that one answer may have.
    pub fn of_an_item(mut self) -> Self {
        self.errors = bounded::first(self.errors, bounded::ITEM_ERRORS);
        self
    }

    /// The members in a fixed order, so that equal problems are equal bytes.
    pub fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("type".to_owned(), format!("/problems/{}", self.code.name()).into());
        body.insert("title".to_owned(), self.code.title().into());
        body.insert("status".to_owned(), self.code.status().into());
        body.insert("detail".to_owned(), self.detail.clone().into());
        body.insert("code".to_owned(), self.code.name().into());
        body.insert("request_id".to_owned(), self.request_id.clone().into());
        body.insert("retryable".to_owned(), self.code.retryable().into());
        if !self.errors.is_empty() {
            let errors = self.errors.iter().map(|error| serde_json::json!({"pointer": error.pointer, "message": error.message}));
            body.insert("errors".to_owned(), Value::Array(errors.collect()));
        }
        body.extend(self.extra.clone());
        body
    }

    /// The answer to a request, under its id.
    pub fn answer_to(self, request: &HttpRequest) -> HttpResponse {
        self.by(request_id(request).as_str()).response()
    }

    /// An answer, which is counted.
    pub fn response(&self) -> HttpResponse {
        counted::count(self.code);
        self.document()
    }

    /// The answer as an example of it.
    pub fn document(&self) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status_code());
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if self.code.retryable() {
            response.insert_header((RETRY_AFTER, "1"));
        }
        if self.code == Code::Unauthorized {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        if let Some(header) = &self.header {
            response.insert_header((&header.0, &header.1));
        }
        response.body(Value::Object(self.body()).to_string())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

/// What went wrong, as a problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Where the problem is explained, on this server.
    pub r#type: String,
    pub title: String,
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    #[schema(value_type = Code)]
    pub code: String,
    #[schema(value_type = scalars::RequestId)]
    pub request_id: String,
    /// The same request may succeed later.
    pub retryable: bool,
    /// Of `invalid_request`: every mistake.
    #[schema(nullable = false)]
    pub errors: Option<Vec<FieldError>>,
    /// The limit that is reached, by its name in `/v1/limits`.
    #[schema(nullable = false)]
    pub limit: Option<String>,
    /// Of `out_of_stock`, `too_many_locations` and `unknown_sku`: what is missing.
    #[schema(nullable = false)]
    pub lines: Option<Vec<ShortLine>>,
    /// Of `invalid_transition`: where it stands.
    #[schema(nullable = false)]
    pub state: Option<String>,
    /// Of `invalid_transition`: what may be asked of it.
    #[schema(value_type = Option<Vec<scalars::OrderTransition>>, nullable = false)]
    pub allowed: Option<Vec<String>>,
    /// Of `precondition_failed`: the version to send.
    #[schema(nullable = false)]
    pub current_version: Option<u64>,
    /// Of `totals_mismatch`: the sum of the lines.
    #[schema(value_type = Option<scalars::Amount>, nullable = false)]
    pub expected: Option<i64>,
    /// Of `count_below_taken`: the units that holds, sales and checks have.
    #[schema(value_type = Option<scalars::Sum>, nullable = false)]
    pub taken: Option<u64>,
    /// Of `count_below_taken`: the units that would be left to count.
    #[schema(nullable = false)]
    pub count: Option<i64>,
    /// Of `location_in_use`: the counters that are not 0.
    #[schema(value_type = Option<HashMap<String, u32>>, nullable = false)]
    pub counts: Option<BTreeMap<String, u32>>,
    /// The order that is kept as rejected.
    #[schema(value_type = Option<scalars::OrderId>, nullable = false)]
    pub order_id: Option<String>,
    /// The reservation that is kept as rejected.
    #[schema(value_type = Option<scalars::ReservationId>, nullable = false)]
    pub reservation_id: Option<String>,
}

/// What is missing of a line. Where it is not of an order it has neither a number nor a SKU.
#[derive(Serialize, ToSchema)]
pub struct ShortLine {
    #[schema(nullable = false)]
    pub line: Option<u16>,
    #[schema(value_type = Option<scalars::Sku>, nullable = false)]
    pub sku: Option<String>,
    #[schema(value_type = scalars::Sum)]
    pub requested: u64,
    #[schema(value_type = scalars::Sum)]
    pub available: u64,
}
