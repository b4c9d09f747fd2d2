//! The table of routes: what each path takes by each method. It is the one place where that is said.
//!
//! Invariant: a path is served only through its row here (`routes::resource`), so what a row says of methods, query parameters,
//! conditions, roles and keys is what a request meets before its handler (`routes::admission`). A test compares the table with the
//! description of the API.

use crate::keys::Role;
use crate::keys::role::{ADMINS, EVERY_ROLE, OPERATORS, SHOPS};
use crate::rates::Group;
use actix_web::dev::ResourceDef;
use actix_web::http::Method;
use std::sync::LazyLock;

/// One path with what it takes.
#[derive(Debug)]
pub struct Route {
    /// As the description of the API writes it.
    pub path: &'static str,
    pub operations: &'static [Operation],
}

/// One method of one path.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    pub method: &'static str,
    pub access: Access,
    pub query: Query,
    pub conditions: Conditions,
    pub key: Key,
    /// Whose limit it counts for ([`crate::rates`]).
    pub group: Group,
    pub content: Content,
    /// Whether a body may be of a type that forms of web pages have.
    pub forms: bool,
}

/// What the body is that a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Json,
    /// Lines, of any number.
    Rows,
    /// Nothing is read, or its handler looks at what it is.
    Any,
}

/// Who may call, where there are API keys. Without keys everybody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Who has a key of one of these roles.
    Roles(&'static [Role]),
    /// Anybody beside the API; where operators have an address of their own, who has a key of one of these roles.
    OpenBesideApi(&'static [Role]),
    Open,
    /// Whoever signs it: its handler compares the signature with the body.
    Signed,
}

/// Which query parameters are known.
#[derive(Clone, Copy, Debug)]
pub enum Query {
    /// These. Any other is refused.
    Known(&'static [Parameter]),
    /// Whatever a browser or a balancer adds means nothing.
    Ignored,
}

#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub form: Form,
}

/// What the value of a parameter must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    /// An integer from 0 to this.
    Number(u64),
}

/// What becomes of conditional headers (RFC 9110, section 13.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// The resource has a version. A read obeys `If-Match` and `If-None-Match`, a write `If-Match`; any other is refused.
    Version,
    /// As `Version`, and a write without `If-Match` is refused.
    Required,
    /// There is no version to compare: every condition is refused.
    Refused,
    /// A page outside the API.
    Ignored,
}

/// What becomes of an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Required,
    /// It may be left out, and is obeyed where it is there.
    Obeyed,
    /// Nothing is changed, or what is in the body makes it idempotent.
    Unused,
}

impl Operation {
    /// Whether its requests may be traced: it changes orders, payments or stock.
    pub fn is_traced(&self) -> bool {
        let of_the_shop = matches!(self.group, Group::Orders | Group::Stock) || matches!(self.access, Access::Signed);
        self.method != "GET" && of_the_shop
    }

    const fn read(roles: &'static [Role], conditions: Conditions, query: Query) -> Self {
        let (access, key, group) = (Access::Roles(roles), Key::Unused, Group::Reads);
        Self { method: "GET", access, query, conditions, key, group, content: Content::Any, forms: false }
    }

    const fn write(method: &'static str, roles: &'static [Role], conditions: Conditions, key: Key) -> Self {
        let (access, group) = (Access::Roles(roles), Group::Orders);
        Self { method, access, query: NONE, conditions, key, group, content: Content::Json, forms: false }
    }

    const fn of(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// A page for browsers.
    const fn page() -> Self {
        Self::read(EVERY_ROLE, Ignored, Query::Ignored).open()
    }

    /// What balancers and collectors ask.
    const fn probe() -> Self {
        Self::page().of_group(Group::Unlimited)
    }

    const fn open(self) -> Self {
        Self { access: Access::Open, group: Group::Open, ..self }
    }

    const fn open_beside_api(self, roles: &'static [Role]) -> Self {
        Self { access: Access::OpenBesideApi(roles), ..self }
    }

    const fn signed(self) -> Self {
        Self { access: Access::Signed, group: Group::Open, ..self }
    }

    /// A button of a page. Its handler looks at who pressed it.
    const fn form() -> Self {
        Self::write("POST", ADMINS, Ignored, Key::Unused).of(Content::Any).open().by_forms()
    }

    /// Its page has buttons.
    const fn by_forms(self) -> Self {
        Self { forms: true, ..self }
    }

    const fn of_group(self, group: Group) -> Self {
        Self { group, ..self }
    }

    const fn with(self, query: Query) -> Self {
        Self { query, ..self }
    }
}

const NONE: Query = Query::Known(&[]);
const AFTER: Parameter = Parameter { name: "after", form: Form::Text };
const LIMIT: Parameter = Parameter { name: "limit", form: Form::Number(u64::MAX) };
const PAGES: Query = Query::Known(&[AFTER, LIMIT]);
const ORDERS: Query = Query::Known(&[Parameter { name: "customer_id", form: Form::Text }, AFTER, LIMIT]);
const STOCK: Query = Query::Known(&[Parameter { name: "prefix", form: Form::Text }, AFTER, LIMIT]);
const CHANGES: Query = Query::Known(&[Parameter { name: "before", form: Form::Number(u64::MAX) }, LIMIT]);
const STREAM: Query = Query::Known(&[AFTER]);
const DELIVERY: Query = Query::Known(&[
    Parameter { name: "duplicates", form: Form::Number(u8::MAX as u64) },
    Parameter { name: "delay_ms", form: Form::Number(u64::MAX) },
]);

use Conditions::{Ignored, Refused, Required, Version};

/// Every route of the server.
#[rustfmt::skip]
pub const TABLE: &[Route] = &[
    Route { path: "/v1/orders", operations: &[Operation::write("POST", SHOPS, Refused, Key::Required), Operation::read(EVERY_ROLE, Refused, ORDERS)] },
    Route { path: "/v1/orders/{id}", operations: &[Operation::read(EVERY_ROLE, Version, NONE)] },
    Route { path: "/v1/orders/{id}/timeline", operations: &[Operation::read(EVERY_ROLE, Refused, NONE)] },
    Route { path: "/v1/orders/{id}/payments", operations: &[Operation::write("POST", SHOPS, Version, Key::Required)] },
    Route { path: "/v1/orders/{id}:cancel", operations: &[Operation::write("POST", SHOPS, Version, Key::Obeyed)] },
    Route { path: "/v1/orders/{id}:confirm", operations: &[Operation::write("POST", SHOPS, Version, Key::Obeyed)] },
    Route { path: "/v1/reservations", operations: &[Operation::write("POST", SHOPS, Refused, Key::Required)] },
    // Each item has a key of its own.
    Route { path: "/v1/reservations:batch", operations: &[Operation::write("POST", SHOPS, Refused, Key::Unused)] },
    Route { path: "/v1/reservations/{id}", operations: &[Operation::read(EVERY_ROLE, Version, NONE), Operation::write("DELETE", SHOPS, Version, Key::Obeyed).of(Content::Any)] },
    Route { path: "/v1/reservations/{id}:commit", operations: &[Operation::write("POST", SHOPS, Version, Key::Obeyed)] },
    Route { path: "/v1/reservations/{id}:extend", operations: &[Operation::write("POST", SHOPS, Version, Key::Obeyed)] },
    // Asks, in a body because it may be long.
    Route { path: "/v1/availability:query", operations: &[Operation::write("POST", SHOPS, Refused, Key::Unused).of_group(Group::Reads)] },
    Route { path: "/v1/inventory", operations: &[Operation::read(EVERY_ROLE, Refused, STOCK)] },
    Route { path: IMPORTS, operations: &[Operation::write("POST", SHOPS, Refused, Key::Obeyed).of_group(Group::Stock).of(Content::Rows)] },
    Route { path: "/v1/inventory/{sku}", operations: &[Operation::read(EVERY_ROLE, Version, NONE), Operation::write("PATCH", SHOPS, Version, Key::Obeyed).of_group(Group::Stock)] },
    Route { path: "/v1/inventory/{sku}/locations/{location}", operations: &[Operation::write("PUT", SHOPS, Required, Key::Obeyed).of_group(Group::Stock), Operation::write("DELETE", SHOPS, Required, Key::Unused).of_group(Group::Stock).of(Content::Any)] },
    Route { path: "/v1/inventory/{sku}/adjustments", operations: &[Operation::write("POST", SHOPS, Version, Key::Required).of_group(Group::Stock)] },
    Route { path: "/v1/inventory/{sku}/movements", operations: &[Operation::read(EVERY_ROLE, Refused, PAGES)] },
    Route { path: "/v1/events", operations: &[Operation::read(EVERY_ROLE, Refused, PAGES)] },
    Route { path: "/v1/events/stream", operations: &[Operation::read(EVERY_ROLE, Refused, STREAM)] },
    // An attempt ends once, however often it is told.
    Route { path: "/v1/webhooks/payments/sandbox", operations: &[Operation::write("POST", SHOPS, Refused, Key::Unused).of(Content::Any).signed()] },
    Route { path: "/v1/limits", operations: &[Operation::read(EVERY_ROLE, Refused, NONE).open()] },
    Route { path: "/admin/v1/shards", operations: &[Operation::read(OPERATORS, Refused, NONE).of_group(Group::Operators)] },
    Route { path: "/admin/v1/audit", operations: &[Operation::write("POST", ADMINS, Refused, Key::Unused).of_group(Group::Operators).of(Content::Any)] },
    // A second one is refused while the first is carried out, and then finds the partition where it is to be.
    Route { path: "/admin/v1/partitions/{id}:move", operations: &[Operation::write("POST", ADMINS, Refused, Key::Unused).of_group(Group::Operators)] },
    Route { path: "/admin/v1/operations/{id}", operations: &[Operation::read(OPERATORS, Refused, NONE).of_group(Group::Operators)] },
    // A second one is refused while the first is made, and makes another when it is done.
    Route { path: "/admin/v1/backups", operations: &[Operation::write("POST", ADMINS, Refused, Key::Unused).of_group(Group::Operators).of(Content::Any)] },
    Route { path: "/admin/v1/frame", operations: &[Operation::read(OPERATORS, Refused, NONE).of_group(Group::Operators)] },
    Route { path: "/admin/v1/tuning", operations: &[Operation::read(OPERATORS, Refused, NONE).of_group(Group::Operators)] },
    // Changes nothing.
    Route { path: "/admin/v1/tuning:plan", operations: &[Operation::write("POST", OPERATORS, Refused, Key::Unused).of_group(Group::Operators)] },
    // A plan is carried out once.
    Route { path: "/admin/v1/tuning:apply", operations: &[Operation::write("POST", ADMINS, Refused, Key::Unused).of_group(Group::Operators)] },
    Route { path: "/admin/v1/changes", operations: &[Operation::read(OPERATORS, Refused, CHANGES).of_group(Group::Operators)] },
    Route { path: "/sandbox/payments/{attempt_id}", operations: &[Operation::page()] },
    Route { path: "/sandbox/payments/{attempt_id}/{step}", operations: &[Operation::write("POST", SHOPS, Ignored, Key::Unused).of(Content::Any).open().by_forms().with(DELIVERY)] },
    Route { path: "/livez", operations: &[Operation::probe()] },
    Route { path: "/readyz", operations: &[Operation::probe()] },
    Route { path: "/metrics", operations: &[Operation::probe().open_beside_api(OPERATORS)] },
    Route { path: "/", operations: &[Operation::page()] },
    Route { path: "/openapi.json", operations: &[Operation::page()] },
    Route { path: "/problems", operations: &[Operation::page()] },
    Route { path: "/problems/{code}", operations: &[Operation::page()] },
    Route { path: "/console", operations: &[Operation::page()] },
    Route { path: "/console/shards", operations: &[Operation::page()] },
    Route { path: "/console/shards/move", operations: &[Operation::form()] },
    Route { path: "/console/shards/plan", operations: &[Operation::form()] },
    Route { path: "/console/shards/apply", operations: &[Operation::form()] },
    Route { path: "/console/orders", operations: &[Operation::page()] },
    Route { path: "/console/orders/{id}", operations: &[Operation::page()] },
    Route { path: "/console/settings", operations: &[Operation::page()] },
    Route { path: "/console/settings/plan", operations: &[Operation::form()] },
    Route { path: "/console/settings/apply", operations: &[Operation::form()] },
    Route { path: "/console/changes", operations: &[Operation::page()] },
    Route { path: "/console/audit", operations: &[Operation::page(), Operation::form()] },
    Route { path: "/console/login", operations: &[Operation::page(), Operation::form()] },
    Route { path: "/console/logout", operations: &[Operation::form()] },
    Route { path: "/console/live", operations: &[Operation::page()] },
    Route { path: "/console/files/{file}", operations: &[Operation::page()] },
    Route { path: "/docs", operations: &[Operation::page()] },
    Route { path: "/docs/{file}", operations: &[Operation::page()] },
];

/// A row of its own beside `/v1/inventory/{sku}`, as a SKU may have this name.
pub const IMPORTS: &str = "/v1/inventory/imports";

impl Route {
    /// The path as the router reads it. An id ends before a colon, which begins a verb; what follows `/docs/` is a path.
    pub fn pattern(&self) -> String {
        self.path.replace("{id}", "{id:[^:/]+}").replace("{file}", "{file:.*}")
    }

    pub fn operation(&self, method: &Method) -> Option<&'static Operation> {
        self.operations.iter().find(|operation| method == operation.method)
    }
}

/// What is said of one method of a path.
pub fn operation(path: &str, method: &Method) -> Option<&'static Operation> {
    TABLE.iter().find(|route| route.path == path)?.operation(method)
}

/// The row of a path.
pub fn route(path: &str) -> &'static Route {
    let Some(route) = TABLE.iter().find(|route| route.path == path) else { unreachable!("{path} is not in the table of routes") };
    route
}

/// The methods of a path, of every row that it fits.
pub fn allowed(path: &str) -> String {
    static ROWS: LazyLock<Vec<(ResourceDef, &'static [Operation])>> =
        LazyLock::new(|| TABLE.iter().map(|route| (ResourceDef::new(route.pattern()), route.operations)).collect());
    let fitting = ROWS.iter().filter(|(pattern, _)| pattern.is_match(path));
    let methods = fitting.flat_map(|(_, operations)| operations.iter().map(|operation| operation.method));
    let methods = methods.flat_map(|method| if method == "GET" { vec!["GET", "HEAD"] } else { vec![method] });
    methods.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
