//! What a hostile or greedy client, web page or disk may not do: each test tells a fault that was once there, on the real binary.
//!
//! Invariant: the suite takes two minutes at most; whatever is done to one server here leaves its other clients served.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bodies;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod cross_site;
mod deleted;
mod descriptors;
mod greedy;
#[cfg(test)]
mod keys;
mod largest;
mod locked;
mod poison;
mod raw;
mod streams;
mod wire;
