//! Threads that work behind the hot path: they never keep a processor from it, and none ends unheard.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};
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

/// Between two looks whether a thread has ended.
const LOOK: Duration = Duration::from_millis(2);

/// Waits for a thread that was asked to end. One that panicked left its work undone, which is told here.
pub fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    if thread.join().is_err() {
        metrics::counter!("holdfast_alarms_total").increment(1);
        tracing::error!(thread = name, "a thread had panicked: its work was not done to the end");
    }
}

/// Waits for threads that end when nobody can ask anything of them any more. One that somebody still can is left alone after
/// `timeout`. Says whether all have ended.
pub fn join_within(threads: Vec<JoinHandle<()>>, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    let mut all = true;
    for thread in threads {
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        if thread.is_finished() {
            join(thread);
        } else {
            tracing::warn!(thread = thread.thread().name(), "a thread does not end: it is left alone");
            all = false;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::{Receiver, bounded};

    fn until_let_go(held: Receiver<()>) -> JoinHandle<()> {
        std::thread::spawn(move || {
            let _ = held.recv();
        })
    }

    #[test]
    fn threads_that_nobody_holds_have_ended_and_one_that_panicked_harms_no_other() {
        let (let_go, held) = bounded(0);
        let threads = vec![std::thread::spawn(|| panic!("a planted panic")), until_let_go(held)];
        drop(let_go);
        assert!(join_within(threads, Duration::from_secs(600)));
    }

    #[test]
    fn a_thread_that_somebody_holds_is_left_alone() {
        let (_let_go, held) = bounded(0);
        assert!(!join_within(vec![until_let_go(held)], Duration::from_millis(20)));
    }
}
