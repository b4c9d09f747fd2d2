//! What is seen while a run runs: one line that changes on a terminal, a line now and then elsewhere.

use crate::buyer::Shop;
use crate::record::{CLASSES, Class, Second};
use crate::sampler::Samples;
use hdrhistogram::Histogram;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::interval;

/// Between two lines where there is no terminal.
const EVERY: u64 = 5;

/// Shows figures on standard error until `over` is set.
pub async fn show(shop: Arc<Shop>, samples: Samples, seconds: f64, over: Arc<AtomicBool>) {
    let terminal = std::io::stderr().is_terminal();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.tick().await;
    for tick in 1.. {
        ticks.tick().await;
        if over.load(Ordering::Relaxed) {
            break;
        }
        let line = line(&shop, &samples, seconds);
        if terminal {
            eprint!("\r\x1b[2K{line}");
            std::io::stderr().flush().ok();
        } else if tick % EVERY == 0 {
            eprintln!("{line}");
        }
    }
    if terminal {
        eprint!("\r\x1b[2K");
    }
}

fn line(shop: &Shop, samples: &Samples, seconds: f64) -> String {
    let (at, record) = (shop.start.elapsed().as_secs_f64(), shop.record());
    // The second before has its answers.
    let second = record.seconds.len().checked_sub(2).map(|last| &record.seconds[last]);
    let (due, done, late) = second.map_or((0, [0; 4], 0), |Second { due, done, late, .. }| (*due, *done, *late));
    let at_percentile = |latency: &Histogram<u32>, quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
    let (p50, p99) =
        second.map_or((0.0, 0.0), |second| (at_percentile(&second.latency, 0.5), at_percentile(&second.latency, 0.99)));
    let counts: Vec<String> = CLASSES
        .iter()
        .filter(|class| **class == Class::Accepted || done[**class as usize] > 0)
        .map(|class| format!("{} {}", done[*class as usize], class.name()))
        .collect();
    let depth = samples.last().map(|sample| sample.depth.iter().sum::<u64>());
    let depth = depth.map_or(String::new(), |depth| format!(", {depth} in hand"));
    format!(
        "{at:4.0} of {seconds:.0} s: {due} due, {}/s, p50 {p50:.1} ms, p99 {p99:.1} ms{depth}, generator late by {:.1} ms",
        counts.join(", "),
        late as f64 / 1000.0
    )
}
