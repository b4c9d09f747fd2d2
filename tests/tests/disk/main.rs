//! The real binary on a disk that fills up or fails: nothing false is acknowledged, nothing acknowledged is lost.
//!
//! Needs root, tmpfs and strace. What is missing is said loudly, and the test passes without having tested anything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backups;
mod failing;
mod full;
mod imports;
mod logs;
mod rig;
mod slow;
