//! `holdfast size`: memory and disk that a shop needs, from what orders and SKUs were measured to take.
//!
//! Invariant: every figure is one that was measured (docs/performance.md says how), rounded up; none is a guess.

use super::{Outcome, output, table};
use crate::cli::SizeArgs;
use crate::wire::figures::grouped;
use serde_json::json;
use std::process::ExitCode;

/// A server that has nothing yet.
const IDLE_BYTES: u64 = 40 << 20;
/// In memory, of one location and a name of at most 24 bytes.
const SKU_BYTES: u64 = 130;
/// In memory, of one line, until it is closed and its row is written.
const OPEN_ORDER_BYTES: u64 = 750;
/// Each further line of an open order.
const LINE_BYTES: u64 = 200;
/// From placing to payment and confirmation: in the log, and in the tables of closed orders.
const ORDER_LOG_BYTES: u64 = 700;
const ORDER_TABLE_BYTES: u64 = 500;
/// Of each further line, in the log.
const LINE_LOG_BYTES: u64 = 120;
/// Parts of a thousand by which the memory of a process exceeds what is counted, at worst, at the end of a rush.
const SPARE_PERMILLE: u64 = 500;

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    memory: u64,
    log_a_day: u64,
    tables_a_day: u64,
}

impl Need {
    /// None if a shop of that size is beyond counting.
    fn of(args: &SizeArgs) -> Option<Self> {
        let more_lines = args.lines.saturating_sub(1);
        let open = OPEN_ORDER_BYTES.checked_add(LINE_BYTES.checked_mul(more_lines)?)?;
        let state = args.skus.checked_mul(SKU_BYTES)?.checked_add(args.open.checked_mul(open)?)?;
        let counted = state.checked_add(IDLE_BYTES)?;
        let logged = ORDER_LOG_BYTES.checked_add(LINE_LOG_BYTES.checked_mul(more_lines)?)?;
        Some(Self {
            memory: counted.checked_add(counted.checked_mul(SPARE_PERMILLE)? / 1000)?,
            log_a_day: args.orders_per_day.checked_mul(logged)?,
            tables_a_day: args.orders_per_day.checked_mul(ORDER_TABLE_BYTES)?,
        })
    }

    fn disk(&self, days: u64) -> Option<u64> {
        self.log_a_day.checked_add(self.tables_a_day)?.checked_mul(days)
    }
}

/// # Errors
/// If the numbers are too large to count with.
pub(super) fn run(args: &SizeArgs, as_json: bool) -> Outcome {
    let beyond = "these numbers are too large to count with: give fewer orders, SKUs or days";
    let need = Need::of(args).ok_or(beyond)?;
    let disk = need.disk(args.days).ok_or(beyond)?;
    output::print(if as_json {
        json!({"memory_bytes": need.memory, "log_bytes_per_day": need.log_a_day,
            "table_bytes_per_day": need.tables_a_day, "disk_bytes": disk, "days": args.days})
        .to_string()
    } else {
        text(args, need, disk)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text(args: &SizeArgs, need: Need, disk: u64) -> String {
    let row = |what: &str, bytes: u64, why: String| vec![what.to_owned(), megabytes(bytes), why];
    let memory =
        format!("{} SKUs, {} orders open at once, half as much again for a rush", grouped(args.skus), grouped(args.open));
    let rows = [
        row("memory", need.memory, memory),
        row("log a day", need.log_a_day, format!("{} orders that are paid", grouped(args.orders_per_day))),
        row("tables a day", need.tables_a_day, "closed orders and their keys".to_owned()),
        row("disk", disk, format!("after {} days; a backup needs as much again", grouped(args.days))),
    ];
    table::lines(&["WHAT", "MIB", "FOR"], &rows)
}

/// Rounded up, so that nothing is called free.
fn megabytes(bytes: u64) -> String {
    bytes.div_ceil(1 << 20).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(orders_per_day: u64, open: u64, skus: u64, lines: u64) -> SizeArgs {
        SizeArgs { orders_per_day, open, skus, lines, days: 30 }
    }

    #[test]
    fn memory_is_of_what_is_open_and_disk_of_what_was_ever_ordered() {
        let small = Need::of(&args(1_000, 100, 100, 1)).unwrap();
        let more_orders = Need::of(&args(100_000, 100, 100, 1)).unwrap();
        assert_eq!(small.memory, more_orders.memory);
        assert_eq!((small.log_a_day * 100, small.tables_a_day * 100), (more_orders.log_a_day, more_orders.tables_a_day));
        let more_open = Need::of(&args(1_000, 1_000_000, 100, 1)).unwrap();
        assert!(more_open.memory > small.memory + 1_000_000 * OPEN_ORDER_BYTES && more_open.log_a_day == small.log_a_day);
        assert!(Need::of(&args(1_000, 100, 100, 10)).unwrap().log_a_day > small.log_a_day);
    }

    #[test]
    fn a_shop_beyond_counting_is_said_to_be_one() {
        assert_eq!(Need::of(&args(u64::MAX, 1, 1, 1)), None);
        assert_eq!(Need::of(&args(1, u64::MAX, 1, 1)), None);
        assert_eq!(Need::of(&args(1 << 50, 1, 1, 1)).unwrap().disk(u64::MAX), None);
    }
}
