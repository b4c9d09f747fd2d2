//! What this process has of the system: signals, files, memory.
//!
//! Invariant: nothing here knows what is served.

pub mod descriptors;
pub mod file_error;
pub mod memory;
pub mod resident;
pub mod stopping;
