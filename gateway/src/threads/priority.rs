//! What threads may have of a processor that others want too.

use rustix::process::setpriority_process;

/// Gives the calling thread a niceness: of Linux's threads each has its own. One of 5 gets about a third of what a thread without
/// gets, one of 15 a thirtieth; alone on a processor each gets all of it.
pub fn be_nice(niceness: i32) {
    if let Err(error) = setpriority_process(None, niceness) {
        tracing::debug!(%error, niceness, "a thread keeps its priority");
    }
}
