//! Everything of HTTP: the server, its routes, and what requests and answers look like.
//!
//! Invariant: nothing below imports from here; a rule that commands or Kafka need too stands in a room of its own.

pub mod accept;
pub mod access;
pub mod access_log;
pub mod body;
pub mod caller;
pub mod client;
pub mod etag;
pub mod openapi;
pub mod page;
pub mod parameters;
pub mod percent;
pub mod problem;
pub mod reply;
pub mod request;
pub mod request_id;
pub mod routes;
pub mod server;
pub mod table;
pub mod timed;
pub mod view;
