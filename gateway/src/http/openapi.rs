//! The OpenAPI 3.1 description, made from the routes themselves and from what holds for many of them.
//!
//! Invariant: what is described is what is answered. The suite `api` compares every answer it sees with the description, and
//! provokes every code that is named in it.

mod answers;
mod bounds;

use self::answers::Answers;
use self::bounds::Bounds;
use crate::http::routes::{
    admin, audits, availability, backups, batch, events, frames, health, imports, lists, movements, orders, payments, placement,
    reservations, stock, tuning,
};
use crate::keys::Role;
use crate::wire::scalars;
use std::sync::LazyLock;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        description = "Orders and holds, durable over HTTP. Amounts are integers in minor units, times UTC RFC 3339, errors problem \
            documents with a stable `code`, each explained at `/problems`. A path that is not described here answers 404 `not_found`, a \
            method that is not described 405 `method_not_allowed`. Read answers openly: a later release may add members.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "orders", description = "Place an order, look at it, give it up, confirm it"),
        (name = "reservations", description = "The stock side alone, without prices and payment"),
        (name = "stock", description = "Counts, adjustments, availability, imports"),
        (name = "payments", description = "Payments of orders, and what providers tell"),
        (name = "sandbox", description = "The provider for trying things out: no money moves"),
        (name = "events", description = "Everything that happened, in pages or as a stream"),
        (name = "admin", description = "For operators"),
        (name = "health", description = "Whether it lives, what it measures, what its limits are"),
    ),
    paths(
        orders::place,
        lists::orders,
        orders::get,
        orders::timeline,
        orders::cancel,
        orders::confirm,
        orders::pay,
        reservations::place,
        batch::batch,
        reservations::get,
        reservations::release,
        reservations::commit,
        reservations::extend,
        stock::set,
        stock::close,
        lists::stock,
        stock::adjust,
        stock::get,
        stock::set_threshold,
        movements::movements,
        availability::availability,
        imports::import,
        payments::webhook,
        payments::show,
        payments::press,
        events::page,
        events::stream,
        admin::shards,
        placement::move_partition,
        placement::operation,
        audits::run_audit,
        backups::make,
        frames::newest,
        tuning::show,
        tuning::make_plan,
        tuning::carry_out,
        tuning::changes,
        health::livez,
        health::readyz,
        health::metrics,
        health::limits,
    ),
    components(schemas(crate::http::problem::ProblemDocument, crate::http::reply::OutcomeUnknown<'static>)),
    modifiers(&Scalars, &Bounds, &Security, &Answers)
)]
struct Description;

/// The description as JSON.
pub fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| described().to_pretty_json().unwrap_or_default());
    &JSON
}

fn described() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

struct Scalars;

impl Modify for Scalars {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        scalars::add_to(description.components.get_or_insert_default());
    }
}

/// A key where there are any, none where there are none. Which roles it may have each operation says by itself: [`answers`].
struct Security;

/// The name of the scheme.
const API_KEY: &str = "api_key";

impl Modify for Security {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let words = "A key made by `holdfast key new`. A server without keys asks for none.";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("hf_…").description(Some(words)).build();
        description.components.get_or_insert_default().add_security_scheme(API_KEY, SecurityScheme::Http(bearer));
        description.security = Some(vec![SecurityRequirement::default(), SecurityRequirement::new(API_KEY, no_roles())]);
    }
}

fn no_roles() -> [&'static str; 0] {
    []
}

/// A key of any of these roles where there are keys, none where there are none.
fn keys_of(roles: &[Role]) -> Vec<SecurityRequirement> {
    let of = |role: &Role| SecurityRequirement::new(API_KEY, [role.name()]);
    std::iter::once(SecurityRequirement::default()).chain(roles.iter().map(of)).collect()
}
