//! Threads for work that is long, so that orders do not wait for it.
//!
//! Invariant: its threads yield the processor to those that serve orders.

pub mod bulk;
pub mod priority;
pub mod readers;

/// Processors that the process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Shards that `engine.shards` means. They are busy threads: each takes a core that HTTP workers then leave alone.
pub fn shards(wanted: usize) -> usize {
    if wanted == 0 { (cores() / 2).max(1) } else { wanted }
}
