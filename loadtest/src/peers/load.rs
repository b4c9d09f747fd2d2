//! The load: wrk in a closed loop, each order under a key of its own.

use super::Options;
use super::contender::Sends;
use super::process::{is_on_path, output};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const ORDERS: &str = include_str!("../../wrk/orders.lua");
const BATCHES: &str = include_str!("../../wrk/reservations.lua");

pub(super) struct Loaded {
    /// Orders, or reservations.
    pub(super) answered: u64,
    /// A second.
    pub(super) rate: f64,
    /// Of a request.
    pub(super) p99_ms: f64,
}

/// # Errors
/// If there is no wrk.
pub(super) fn is_there() -> Result<(), String> {
    is_on_path("wrk")
        .then_some(())
        .ok_or_else(|| "wrk is not installed, and it makes the load (Debian: apt-get install wrk)".to_owned())
}

pub(super) fn run(url: &str, sends: Sends, skus: u32, options: &Options) -> Result<Loaded, String> {
    let (text, connections, items) = match sends {
        Sends::Orders => (ORDERS, options.connections, 1),
        Sends::Batches => (BATCHES, options.batch_connections, options.items),
    };
    let script = tempfile::Builder::new().suffix(".lua").tempfile().map_err(|error| error.to_string())?;
    std::fs::write(script.path(), text).map_err(|error| error.to_string())?;
    // The environment must reach the script: a key is never used twice.
    let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let mut wrk = Command::new("wrk");
    wrk.args(["-t2", "--latency", &format!("-c{connections}"), &format!("-d{}s", options.seconds), "-s"]).arg(script.path());
    wrk.arg(url).env("SKUS", skus.to_string()).env("RUN", format!("peers-{run}")).env("ITEMS", items.to_string());
    let said = output(&mut wrk, "")?;
    let wrong = || format!("not every request was answered with 2xx, or wrk said something else than usual:\n{said}");
    let Loaded { answered, rate, p99_ms } = parse(&said).ok_or_else(wrong)?;
    Ok(Loaded { answered: answered * u64::from(items), rate: rate * f64::from(items), p99_ms })
}

/// What was answered in requests. None if an answer was no 2xx.
fn parse(said: &str) -> Option<Loaded> {
    if said.contains("Non-2xx") {
        return None;
    }
    let line = |name: &str| said.lines().map(str::trim).find_map(|line| line.strip_prefix(name)).map(str::trim);
    let answered = said.lines().find(|line| line.contains(" requests in "))?.split_whitespace().next()?.parse().ok()?;
    Some(Loaded { answered, rate: line("Requests/sec:")?.parse().ok()?, p99_ms: milliseconds(line("99%")?)? })
}

fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 1_000_000.0), ("ms", 1000.0), ("s", 1.0)];
    units.iter().find_map(|(unit, a_second)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * 1000.0 / a_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 1s test @ http://127.0.0.1:1\n  Latency Distribution\n     50%    3.80ms\n     99%  950.00us\n
  64200 requests in 1.01s, 30.00MB read\nRequests/sec:  63564.36\nTransfer/sec:     29.70MB";

    #[test]
    fn what_wrk_says_is_read() {
        let loaded = parse(SAID).unwrap();
        assert_eq!((loaded.answered, loaded.rate, loaded.p99_ms), (64_200, 63_564.36, 0.95));
        assert_eq!(milliseconds("1.20s"), Some(1200.0));
    }

    #[test]
    fn an_answer_that_is_no_order_spoils_the_figure() {
        assert!(parse(&format!("{SAID}\n  Non-2xx or 3xx responses: 1")).is_none());
    }
}
