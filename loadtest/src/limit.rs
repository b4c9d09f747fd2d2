//! The point at which a ramp has shown enough.

use crate::buyer::Shop;
use crate::record::Class;
use crate::scenario::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::interval;

/// Answers to the orders of a second are waited for so long.
const BEHIND: usize = 2;
/// A single bad second may be the machine's.
const IN_A_ROW: u32 = 2;

/// Watches by the second, and ends the run where a limit is broken twice in a row. Says where that was.
pub async fn watch(shop: Arc<Shop>, limits: Limits, enough: Arc<AtomicBool>, over: Arc<AtomicBool>) -> String {
    let (mut ticks, mut in_a_row, mut next) = (interval(Duration::from_millis(250)), 0, 0);
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let record = shop.record();
        if record.seconds.len() <= next + BEHIND {
            continue;
        }
        let second = &record.seconds[next];
        let p99 = second.latency.value_at_quantile(0.99) as f64 / 1000.0;
        let done: u64 = second.done.iter().sum();
        let failed = second.done[Class::Failed as usize] + second.done[Class::TurnedAway as usize];
        let share = failed as f64 / done.max(1) as f64;
        let breaks = limits.p99_ms.is_some_and(|limit| p99 > limit) || limits.failed.is_some_and(|limit| share > limit);
        in_a_row = if breaks { in_a_row + 1 } else { 0 };
        if in_a_row == IN_A_ROW {
            enough.store(true, Ordering::Relaxed);
            let (due, failed) = (second.due, share * 100.0);
            return format!("broke at {due} orders/s due, after {next} s: p99 {p99:.1} ms, {failed:.2} % failed");
        }
        next += 1;
    }
    "the ramp did not break: let it end higher (--rate)".to_owned()
}
