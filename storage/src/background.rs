//! Threads that work behind the hot path: they never keep a processor from it.

use thread_priority::ThreadPriority;
use thread_priority::unix::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id};

/// Runs this thread, and those it starts, only when nobody else wants to: under full load what runs in the background falls
/// behind rather than slow orders down, and catches up when there is time. A low priority alone is not enough: a thread
/// that waits for a disk thousands of times a second would each time wait for a slice of the other to end.
pub fn yield_to_the_hot_path() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle) {
        tracing::debug!(?error, "a background thread keeps its priority");
    }
}
