//! What threads of this crate meet at, under one name: a test takes the files that use it and has another scheduler run them
//! (`tests/interleavings.rs`).

pub(crate) use crossbeam::queue::SegQueue;
pub(crate) use futures_util::task::AtomicWaker;
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
