//! The HTTP gateway and the `holdfast` binary, as a library so that its parts can be tested by themselves.
//!
//! [`routes`] parse and render, [`app`] wires journal, engine and server together, [`commands`] are what the binary does.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

pub mod accept;
pub mod access;
pub mod app;
pub mod backend;
pub mod backups;
pub mod banner;
pub mod body;
pub mod bulk;
pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod demo;
mod descriptors;
pub mod dto;
pub mod etag;
pub mod events;
pub mod figures;
pub mod file_error;
pub mod http;
pub mod json;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod keys;
mod leaving;
pub mod line_queue;
mod memory;
mod money;
pub mod object;
pub mod openapi;
pub mod page;
#[cfg(feature = "kafka")]
pub mod payment_results;
pub mod percent;
pub mod priority;
pub mod problem;
pub mod progress;
pub mod publisher;
pub mod readers;
pub mod refusals;
pub mod reply;
pub mod request;
pub mod routes;
pub mod sandbox;
pub mod settings;
pub mod stopping;
pub mod streams;
pub mod subscriber;
pub mod telemetry;
pub mod view;
