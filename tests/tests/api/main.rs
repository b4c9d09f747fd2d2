//! The black-box suite of the HTTP API: the real binary, spoken to as a storefront speaks to it.
//!
//! Tests are named as rules. Most share one server and differ by SKU; a test starts a server of its own only where its
//! settings differ or it kills the process. What the API promises is in `/openapi.json` and the README.

mod auth;
mod availability;
mod batch;
mod bounds;
mod catalogue;
mod client;
mod commands;
mod crowd;
mod description;
mod events;
mod health;
mod idempotency;
mod imports;
mod malformed;
mod movements;
mod orders;
mod payments;
mod preconditions;
mod raw;
mod replay;
mod reservations;
mod shop;
mod stock;
mod timeline;
mod webhooks;
