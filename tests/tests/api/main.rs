//! The black-box suite of the HTTP API: the real binary, spoken to as a storefront speaks to it.
//!
//! Tests are named as rules. Most share one server and differ by SKU; a test starts a server of its own only where its
//! settings differ or it kills the process. What the API promises is in `/openapi.json` and the README.

#[cfg(test)]
mod auth;
#[cfg(test)]
mod availability;
#[cfg(test)]
mod backups;
#[cfg(test)]
mod bad_settings;
#[cfg(test)]
mod batch;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod client;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod correlation;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod description;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod events;
#[cfg(test)]
mod health;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod http;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod knobs;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod movements;
#[cfg(test)]
mod moves;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod optional_keys;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod own_orders;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod payments;
#[cfg(test)]
mod preconditions;
#[cfg(test)]
mod rates;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod reservations;
#[cfg(test)]
mod resharding;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod sandbox_access;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod stock;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod timeline;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod tuning;
#[cfg(test)]
mod webhooks;
