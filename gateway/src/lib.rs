//! The HTTP gateway and the `holdfast` binary, as a library so that its parts can be tested by themselves.
//!
//! [`http`] parses and renders, [`serve`] wires journal, engine and server together, [`commands`] are what the binary does.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

pub mod adviser;
pub mod backend;
pub mod backups;
pub mod banner;
pub mod cli;
pub mod commands;
pub mod console;
pub mod demo;
pub mod events;
pub mod http;
pub mod kafka;
pub mod keys;
pub mod live;
pub mod process;
pub mod progress;
pub mod providers;
pub mod rates;
pub mod serve;
pub mod settings;
pub mod state;
pub mod telemetry;
pub mod threads;
pub mod tuning;
pub mod wire;
