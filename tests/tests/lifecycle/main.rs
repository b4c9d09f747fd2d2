//! The real binary over time: stopping in order, holds that expire, money that comes late.

mod expiry;
mod late;
mod stopping;
