//! Guides to what a caller must send otherwise: the request itself is not as it has to be.

use super::Guide;
use crate::http::problem::{Code, FieldError, Problem};
use crate::keys::Role;
use crate::keys::role::OPERATORS;
use crate::wire::figures::grouped;
use holdfast_engine::limits;

pub(super) const INVALID_REQUEST: Guide = Guide {
    meaning: "The server read the request and found something in it that it cannot take. Nothing was executed.",
    causes: &[
        "A member is missing, is of another type, or has a name that this API does not know: unknown members are refused, not skipped.",
        "A value is outside its bounds: see GET /v1/limits.",
        "A header or a query parameter is malformed, for example an Idempotency-Key with spaces in it.",
    ],
    cures: &[
        "Each entry of `errors` has a JSON pointer into the body; an empty pointer means the request as a whole or a header.",
        "After the correction the same Idempotency-Key may be used: nothing was recorded under it.",
    ],
    example: || {
        let message = format!("must be 1 to {}", grouped(limits::MAX_LINE_QUANTITY.into()));
        Problem::invalid(vec![FieldError::new("/lines/0/quantity", message)])
    },
};

pub(super) const IDEMPOTENCY_KEY_MISSING: Guide = Guide {
    meaning: "The request creates something, so it needs a key that makes a retry safe. Nothing was executed.",
    causes: &["The Idempotency-Key header was not sent, or a proxy between the caller and the server has removed it."],
    cures: &[
        "Make the key once, for example a UUID stored with the shopping cart, before the first attempt; keep it for every retry.",
    ],
    example: || Problem::new(Code::IdempotencyKeyMissing, "this request creates something: it needs an Idempotency-Key"),
};

pub(super) const CONDITION_UNSUPPORTED: Guide = Guide {
    meaning: "The request depends on a condition that cannot be compared with anything here. Nothing was executed.",
    causes: &[
        "The resource has no version: a list, a page of events or a new order has none.",
        "The header compares by date (If-Modified-Since, If-Unmodified-Since), and versions are numbers.",
        "A library for HTTP caches adds If-None-Match to every request it has an answer for.",
    ],
    cures: &["Orders, reservations and stock have an ETag: If-Match with it is obeyed by whatever changes them."],
    example: || {
        let detail = "If-Match is not obeyed here: the resource has no version that it could be compared with";
        Problem::new(Code::ConditionUnsupported, detail)
    },
};

pub(super) const UNAUTHORIZED: Guide = Guide {
    meaning: "The server does not know who is calling. Nothing was executed.",
    causes: &[
        "The server has API keys and the request has no Authorization header, another scheme than Bearer, or a key that was removed.",
        "A webhook has no Holdfast-Signature, a wrong one, or one that is older than `sandbox.replay_window_seconds`.",
    ],
    cures: &[
        "Keys are shown once, when they are made; a lost key is replaced by a new one.",
        "For webhooks compare the secret and the clock of the sender: the signature covers the time and the exact bytes of the body.",
    ],
    example: || Problem::new(Code::Unauthorized, "a valid API key is required"),
};

pub(super) const FORBIDDEN: Guide = Guide {
    meaning: "The server knows the key, and what was asked for is not for it. Nothing was executed.",
    causes: &[
        "A storefront's key was sent to a path of operators, as those under /admin or /metrics.",
        "A viewer's key was sent with another method than GET or HEAD.",
        "With `auth.own_orders` a storefront's key was sent for an order that another client placed, or for the events of all of them.",
        "The key was made without a role: it is a storefront's then, as all keys of earlier versions are.",
    ],
    cures: &["`holdfast key list` shows the role of each key. A key keeps its role: make another one, and revoke the first."],
    example: || crate::http::caller::forbidden(Role::Storefront, OPERATORS),
};

pub(super) const FORBIDDEN_ORIGIN: Guide = Guide {
    meaning: "A web page of another origin asked this server to change something. Nothing was executed.",
    causes: &[
        "A browser sent an Origin that is neither in `server.origins` nor that of `sandbox.public_url` nor the host by which the request named the server.",
        "A browser said by Sec-Fetch-Site that the request comes from another site.",
        "The page hides its origin (`Origin: null`), for example because it was opened from a file or forbids its browser to tell (`no-referrer`).",
    ],
    cures: &[
        "A browser sends what any page asks it to send, from wherever its user is: into a private network too. That is why only known origins may.",
        "Behind a proxy that gives requests another Host, name the address that browsers see: `server.origins`, or `sandbox.public_url` for payment pages.",
    ],
    example: crate::http::access::foreign_origin,
};

pub(super) const NOT_FOUND: Guide = Guide {
    meaning: "Nothing of this name or id exists here.",
    causes: &[
        "The id is misspelt, or is of another kind: an order's id was sent where a reservation's is expected.",
        "The id is of another server, or of data that was replaced by an older copy.",
        "The path is not one of this API.",
    ],
    cures: &[
        "GET /openapi.json lists every path. To find an order again without its id, repeat the request that placed it, with its key.",
    ],
    example: || Problem::new(Code::NotFound, "there is nothing under ord_7zzzzzzzzzzzzzzzzzzzzzzzzz"),
};

pub(super) const METHOD_NOT_ALLOWED: Guide = Guide {
    meaning: "The path exists, but not with this method. Nothing was executed.",
    causes: &[
        "Another method was meant, for example DELETE on an order, which is cancelled by POST /v1/orders/{id}:cancel.",
        "A redirect turned a POST into a GET: call the server by its final address.",
    ],
    cures: &[],
    example: || Problem::new(Code::MethodNotAllowed, "/v1/orders does not take DELETE"),
};

pub(super) const TOO_LARGE: Guide = Guide {
    meaning: "The body has more bytes than the server reads. Nothing was executed.",
    causes: &[
        "The body is over `body_bytes` of GET /v1/limits.",
        "A line of an import is over {import_line_bytes}, which is `import_line_bytes`.",
    ],
    cures: &["Keep large texts elsewhere and send a reference in `metadata`."],
    example: crate::http::body::too_large,
};

pub(super) const UNSUPPORTED_MEDIA_TYPE: Guide = Guide {
    meaning: "The body says that it is of a type that this path does not read. Nothing was executed.",
    causes: &[
        "There is no Content-Type header, or the client library has set its own: curl -d sends application/x-www-form-urlencoded.",
    ],
    cures: &[],
    example: || Problem::new(Code::UnsupportedMediaType, "Content-Type must be application/json"),
};

pub(super) const MISDIRECTED_REQUEST: Guide = Guide {
    meaning: "The server has no API keys and was called by a name that is not of this machine. Nothing was executed.",
    causes: &[
        "A proxy, a container network or a DNS name leads here, and the Host header is that name.",
        "A web page has bound its own name to this machine's address (DNS rebinding): this is what the check is against.",
    ],
    cures: &["Behind a proxy prefer API keys over `server.hosts`: whoever reaches the port can do everything without them."],
    example: crate::http::access::misdirected,
};

pub(super) const RATE_LIMITED: Guide = Guide {
    meaning: "The caller, which is one API key or one address, has sent as many requests of this group as it may. Nothing was executed.",
    causes: &[
        "The operator has set a limit for this role and this group of routes: `limits` of the settings.",
        "Several programs share one key, or one address where no key is asked for: they are one caller.",
    ],
    cures: &[
        "Every answer of a limited group has `RateLimit`: requests that are left (`r`), and seconds until all of them are there again (`t`).",
        "Requests come back one by one: after Retry-After one may follow.",
    ],
    example: || crate::http::routes::admission::rate_limited(crate::rates::example()),
};

pub(super) const PRECONDITION_REQUIRED: Guide = Guide {
    meaning: "The request overwrites a count and must say which version of it the caller has seen. Nothing was executed.",
    causes: &["The If-Match header is missing on PUT or DELETE of /v1/inventory/{sku}/locations/{location}."],
    cures: &["The version is in the ETag of every answer about the SKU; * overwrites whatever is there."],
    example: || Problem::new(Code::PreconditionRequired, "send If-Match: \"<version>\", \"0\" for a new location, or *"),
};
