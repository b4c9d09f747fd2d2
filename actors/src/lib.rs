//! The actix actors of Holdfast and everything between a command and its reply.
//!
//! ```text
//! HTTP worker ── Handle ── Router ──► Inbox ──► Shard (actix actor on its own Arbiter, hosts partitions)
//!      ▲                                           │ batches            │ calls             │ closed orders
//!      │                                           ▼                    ▼                   ▼
//!      └────────── ReplyQueue ◄── replies ──────── Committer (journal)   ProviderDispatcher         Projector
//!                                           Guardian: rebuilds a partition from the journal after a panic, and moves it between shards
//! ```
//!
//! Where the journal is on another machine, what memory no longer has comes through Lookups, and the request with it.
//!
//! Who may send to whom: workers to inboxes, with a credit; shards to inboxes of other shards, to the committer, the
//! provider dispatcher, the look-ups and the projector; those back to inboxes; shards to the guardian. Nobody holds a shard's address but
//! its inbox. No file here has an `if` on the state of an order or of stock: that is `holdfast_engine`'s.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

pub mod admission;
pub mod clock;
pub mod counts;
pub mod engine;
pub mod failure;
pub mod guardian;
pub mod handle;
pub mod inbox;
pub mod lookups;
pub mod panics;
pub mod placement;
pub mod probe;
pub mod provider;
pub mod rebuild;
pub mod replies;
mod resharding;
pub mod router;
pub mod shard;
mod shard_threads;
#[cfg(any(test, feature = "test-util"))]
pub mod shop;
pub mod sketch;
pub mod snapshot_writer;
mod sync;
pub mod tuning;
mod unanswered;

pub use admission::ClientId;
pub use engine::{Engine, Options, StartError};
pub use failure::Failure;
pub use handle::{Handle, NotSent, Origin};
pub use replies::ReplyQueues;
pub use resharding::Reserved;
pub use tuning::Knobs;
pub use unanswered::Unanswered;
