//! Numbers of orders after a restore: none that a lost machine may have given out is given out again.
//!
//! Whatever ran on after a backup was made numbered its orders, and the backup knows nothing of them. So a restore leaves out
//! numbers, as a fact in the journal of each partition. Invariants: the first number afterwards is above every number in the
//! backup, whichever partition gave it out, and above as many as can have followed; of two restores of one backup the later
//! leaves out more, so that what the first gave out meanwhile is not given out again either. The last holds if they are
//! at least a second apart by the clock and the clock is behind neither.

use crate::contract::{Error, Journal, LogId};
use holdfast_engine::codec::Batch;
use holdfast_engine::event::{Event, PartitionFact, Record};
use holdfast_engine::partition::Partition;
use holdfast_engine::time::Timestamp;

/// Left out whatever the clock says.
const LEAST: u64 = 1_000_000_000;
/// Left out for each second since the backup was made: more orders than a machine takes.
const A_SECOND: u64 = 100_000;
/// Beyond ten years the clock is wrong.
const LONGEST_SECONDS: u64 = 10 * 366 * 86_400;

/// Has every partition go on behind a gap, in one commit. Says which is the first number that can be given out.
///
/// # Errors
/// If the journal cannot be written.
pub fn leave_out_numbers(
    journal: &dyn Journal,
    partitions: &mut [Partition],
    made_at: Timestamp,
    restored_at: Timestamp,
) -> Result<u64, Error> {
    let count = u64::from(journal.partitions().count());
    let given = partitions.iter().map(Partition::placed).max().unwrap_or_default();
    let placed = given + left_out(made_at, restored_at).div_ceil(count);
    // The engine's time does not move: the server that starts compares it with its clock.
    let at = partitions.iter().map(Partition::at).max().filter(|at| at.millis() > 0).unwrap_or(restored_at);
    let mut batch = Batch::default();
    for partition in partitions {
        let event = Event::Partition(PartitionFact::Restored { placed, restored_at });
        let record = Record { seq: partition.seq() + 1, at, event };
        batch.push(partition.id, &record);
        partition.apply(record);
    }
    journal.append(LogId(0), &batch)?;
    Ok(placed * count + 1)
}

fn left_out(made_at: Timestamp, restored_at: Timestamp) -> u64 {
    LEAST + A_SECOND * (restored_at.since(made_at) / 1000).min(LONGEST_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_grows_with_the_time_since_the_backup_and_never_falls_below_its_least() {
        let at = |seconds: u64| Timestamp::new(seconds * 1000);
        assert_eq!(left_out(at(100), at(100)), LEAST);
        assert_eq!(left_out(at(100), at(50)), LEAST, "a clock that was set back");
        assert_eq!(left_out(at(100), at(3700)), LEAST + 3600 * A_SECOND);
        let largest = left_out(at(0), Timestamp::new(u64::MAX));
        assert!(largest < 1 << 46, "{largest}: a hundred of them fit into the numbers that JSON has");
    }
}
