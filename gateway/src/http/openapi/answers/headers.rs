//! The headers that answers carry.

use crate::wire::scalars::RequestId;
use serde_json::json;
use utoipa::PartialSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Components, Ref, RefOr, Response, Schema};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    ETag,
    Location,
    Replayed,
    RetryAfter,
    RequestId,
    Authenticate,
    Allow,
    AcceptEncoding,
    RateLimit,
    RateLimitPolicy,
    TraceId,
}

/// Of answers to callers whose number of requests is limited.
pub(super) const LIMITED: [Header; 2] = [Header::RateLimit, Header::RateLimitPolicy];

const ALL: [Header; 11] = [
    Header::ETag,
    Header::Location,
    Header::Replayed,
    Header::RetryAfter,
    Header::RequestId,
    Header::Authenticate,
    Header::Allow,
    Header::AcceptEncoding,
    Header::RateLimit,
    Header::RateLimitPolicy,
    Header::TraceId,
];

impl Header {
    fn name(self) -> &'static str {
        match self {
            Self::ETag => "ETag",
            Self::Location => "Location",
            Self::Replayed => "Idempotent-Replayed",
            Self::RetryAfter => "Retry-After",
            Self::RequestId => "X-Request-Id",
            Self::Authenticate => "WWW-Authenticate",
            Self::Allow => "Allow",
            Self::AcceptEncoding => "Accept-Encoding",
            Self::RateLimit => "RateLimit",
            Self::RateLimitPolicy => "RateLimit-Policy",
            Self::TraceId => "X-Trace-Id",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::ETag => "The version of what is shown, in quotes.",
            Self::Location => "Where it is.",
            Self::Replayed => "`true` if this is the first answer under the key again.",
            Self::RetryAfter => "Of answers that may be others later: seconds until then.",
            Self::RequestId => "The request's own id, or the one that it was given.",
            Self::Authenticate => "How to say who one is.",
            Self::Allow => "The methods that the resource takes.",
            Self::AcceptEncoding => "The content codings that bodies may have, where another was sent.",
            Self::RateLimit => {
                "Where requests are limited: how many may follow at once (`r`), and seconds until all of them are there again (`t`)."
            }
            Self::RateLimitPolicy => {
                "Where requests are limited: the group that this one counts for, how many (`q`) in how many seconds (`w`)."
            }
            Self::TraceId => "Of a request that is traced: its trace.",
        }
    }

    /// Whether every response that names it carries it.
    fn always(self) -> bool {
        matches!(self, Self::ETag | Self::Location | Self::RequestId | Self::Allow)
    }

    fn schema(self) -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        match self {
            Self::ETag => text.pattern(Some("^\"[0-9]+\"$")).into(),
            Self::Replayed => text.enum_values(Some(["true"])).into(),
            Self::RetryAfter => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).into(),
            Self::RequestId => RequestId::schema(),
            Self::TraceId => text.pattern(Some("^[0-9a-f]{32}$")).into(),
            Self::Location | Self::Authenticate | Self::Allow | Self::AcceptEncoding => text.into(),
            Self::RateLimit => text.pattern(Some("^\"[a-z]+\";r=[0-9]+;t=[0-9]+$")).into(),
            Self::RateLimitPolicy => text.pattern(Some("^\"[a-z]+\";q=[0-9]+;w=[0-9]+$")).into(),
        }
    }
}

/// Puts all of them where references look for them.
pub(super) fn add_to(components: &mut Components) {
    for header in ALL {
        // A field of the specification that the library does not know.
        let required = Extensions::from_iter([("required", json!(header.always()))]);
        let described = HeaderBuilder::new().schema(Some(header.schema())).description(Some(header.description()));
        components.headers.insert(header.name().to_owned(), described.extensions(Some(required)).build().into());
    }
}

pub(super) fn carry(response: &mut Response, headers: &[Header]) {
    for header in headers {
        let there = Ref::new(format!("#/components/headers/{}", header.name()));
        response.headers.insert(header.name().to_owned(), RefOr::Ref(there));
    }
}
