//! The OpenAPI 3.1 description, made from the routes themselves.

mod trying;

use crate::routes::{admin, backups, events, health, imports, lists, movements, orders, payments, reservations, stock};
use std::sync::LazyLock;
use trying::Trying;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        description = "Orders and holds, durable over HTTP. Amounts are integers in minor units, times UTC RFC 3339, errors problem documents.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Trying),
    paths(
        orders::place,
        lists::orders,
        orders::get,
        orders::timeline,
        orders::cancel,
        orders::confirm,
        orders::pay,
        reservations::place,
        reservations::batch,
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
        stock::availability,
        imports::import,
        payments::webhook,
        payments::show,
        payments::press,
        events::page,
        events::stream,
        admin::shards,
        admin::run_audit,
        backups::make,
        health::livez,
        health::readyz,
        health::metrics,
        health::limits,
    )
)]
struct Description;

/// The description as JSON.
pub fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| Description::openapi().to_pretty_json().unwrap_or_default());
    &JSON
}
