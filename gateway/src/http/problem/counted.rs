//! How often each code was answered.

use super::Code;
use metrics::Counter;
use std::cell::OnceCell;

/// Counts an answer.
pub(super) fn count(code: Code) {
    thread_local! {
        // A metric appears when it has its first value.
        static COUNTERS: [OnceCell<Counter>; Code::ALL.len()] = const { [const { OnceCell::new() }; Code::ALL.len()] };
    }
    let made = || metrics::counter!("holdfast_problems_total", "code" => code.name());
    COUNTERS.with(|counters| counters[code as usize].get_or_init(made).increment(1));
}
