//! Load on a Holdfast server, over HTTP and nothing else: it imports none of the other crates.
//!
//! A [`scenario`] says how buyers arrive ([`shape`]) and what they want ([`workload`]). [`drive`] lets them go when they are due; each does
//! what a [`buyer`] does, through a [`pool`] of connections. What was measured is in the [`record`], what was acknowledged in the
//! [`ledger`]. [`run`] puts all that together and ends with an [`audit`]: a fast answer that sold a unit twice is no answer.

pub mod audit;
pub mod buyer;
pub mod cli;
pub mod diff;
pub mod drive;
mod fairness;
pub mod hgrm;
pub mod http;
pub mod ledger;
pub mod limit;
pub mod live;
pub mod machine;
mod peers;
pub mod pool;
pub mod random;
pub mod record;
pub mod report;
mod reshard;
pub mod run;
pub mod sampler;
pub mod scenario;
pub mod server;
pub mod shape;
pub mod stock;
pub mod summary;
mod told;
pub mod workload;
