//! What an operation answers, and which headers it takes, because its row in the table of routes says so.

use crate::http::problem::Code::{self, *};
use crate::http::table::{self, Access, Conditions, Key};
use crate::keys::Role;
use crate::keys::role::EVERY_ROLE;
use crate::rates::Group;
use crate::wire::scalars::IdempotencyKey;
use actix_web::http::Method;
use utoipa::PartialSchema;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Required, Schema};

/// The row of one method of a path.
pub(super) struct Rules(&'static table::Operation);

impl Rules {
    pub(super) fn of(path: &str, method: &HttpMethod) -> Option<Self> {
        let method = match method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Put => Method::PUT,
            HttpMethod::Post => Method::POST,
            HttpMethod::Delete => Method::DELETE,
            HttpMethod::Patch => Method::PATCH,
            _ => return None,
        };
        table::operation(path, &method).map(Self)
    }

    /// Whose keys may call. `None` where no key is asked for.
    pub(super) fn roles(&self) -> Option<&'static [Role]> {
        match self.0.access {
            Access::Roles(roles) => Some(roles),
            Access::OpenBesideApi(_) | Access::Open | Access::Signed => None,
        }
    }

    /// Whose keys may call where keys are asked for. `/metrics` asks for one where operators have an address of their own.
    pub(super) fn keys(&self) -> Option<&'static [Role]> {
        match self.0.access {
            Access::Roles(roles) | Access::OpenBesideApi(roles) => Some(roles),
            Access::Open | Access::Signed => None,
        }
    }

    /// Whether its number may be limited.
    pub(super) fn limited(&self) -> bool {
        self.0.group != Group::Unlimited
    }

    /// Whether its requests may be traced.
    pub(super) fn traced(&self) -> bool {
        self.0.is_traced()
    }

    fn reads(&self) -> bool {
        self.0.method == "GET"
    }

    /// The codes that every operation with such a row answers. The lines of a body that `streams` have keys of their own.
    pub(super) fn codes(&self, streams: bool) -> Vec<Code> {
        // A header that is there twice.
        let mut codes = vec![InvalidRequest];
        if self.roles().is_some_and(|roles| roles != EVERY_ROLE) {
            codes.push(Forbidden);
        }
        if let Access::OpenBesideApi(_) = self.0.access {
            codes.extend([Unauthorized, Forbidden]);
        }
        if self.limited() {
            codes.push(RateLimited);
        }
        if !self.reads() {
            codes.extend([ForbiddenOrigin, UnsupportedMediaType]);
        }
        match self.0.conditions {
            Conditions::Ignored => {}
            Conditions::Refused => codes.push(ConditionUnsupported),
            Conditions::Version => codes.extend([ConditionUnsupported, PreconditionFailed]),
            Conditions::Required => codes.extend([ConditionUnsupported, PreconditionFailed, PreconditionRequired]),
        }
        match self.0.key {
            Key::Required => codes.extend([IdempotencyKeyMissing, IdempotencyKeyReused]),
            // A request without a body has no other one.
            Key::Obeyed if !streams && self.0.method != "DELETE" => codes.push(IdempotencyKeyReused),
            Key::Obeyed | Key::Unused => {}
        }
        codes
    }

    pub(super) fn takes_key(&self) -> bool {
        matches!(self.0.key, Key::Required | Key::Obeyed)
    }

    /// Whether 304 is an answer.
    pub(super) fn not_modified(&self) -> bool {
        self.reads() && self.0.conditions == Conditions::Version
    }

    /// Names the headers that are taken, unless the operation names them itself.
    pub(super) fn take_headers(&self, operation: &mut Operation) {
        let version = || RefOr::from(Schema::from(ObjectBuilder::new().schema_type(Type::String)));
        let mut taken = Vec::new();
        if self.0.conditions == Conditions::Version {
            let words = "Versions in quotes with commas between them, or `*`: with another version than these the answer is 412.";
            taken.push(header("If-Match", words, version()));
        }
        if self.not_modified() {
            let words = "Versions in quotes with commas between them, or `*`: with one of these the answer is 304.";
            taken.push(header("If-None-Match", words, version()));
        }
        if self.0.key == Key::Obeyed {
            let words = "New for each request, the same for each retry: it is then executed once. It may be left out.";
            taken.push(header("Idempotency-Key", words, IdempotencyKey::schema()));
        }
        let parameters = operation.parameters.get_or_insert_default();
        let named = |name: &str| parameters.iter().any(|known| matches!(known, RefOr::T(known) if known.name == name));
        taken.retain(|header| !named(&header.name));
        parameters.extend(taken.into_iter().map(RefOr::T));
    }
}

fn header(name: &str, words: &str, schema: RefOr<Schema>) -> Parameter {
    let header = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    header.description(Some(words)).schema(Some(schema)).build()
}
