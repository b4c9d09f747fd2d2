//! Payment providers: whoever takes the money of an order.
//!
//! Invariant: the engine knows a provider by its name alone; what is particular to one is here.

pub mod registry;
pub mod sandbox;
