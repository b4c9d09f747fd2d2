//! Threads that work behind the hot path.

/// Lowers the priority of this thread, and of those it starts: under full load what runs in the background falls behind
/// rather than slow orders down, and catches up when there is time. Without the right to do so it only costs speed.
pub(crate) fn yield_to_the_hot_path() {
    let lowered = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
    if let Err(error) = lowered {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}
