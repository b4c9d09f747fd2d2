//! What is done for the next open before the database is closed.
//!
//! An open replays the rows that are in write-ahead files only, one by one. Invariant: closing never waits for long, as a worker of the
//! database may have ended: what is not flushed is replayed.

use super::creation::Tables;
use fjall::Database;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of rows that are replayed sooner than they are flushed.
const FEW: u64 = 4 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(5);

/// Has the database write what is in memory into tables.
pub(super) fn flush(database: &Database, tables: &Tables) {
    if database.write_buffer_size() < FEW {
        return;
    }
    for table in tables {
        if let Err(error) = table.rotate_memtable() {
            tracing::warn!(%error, "rows are not flushed: the next start replays them");
            return;
        }
    }
    let begun = Instant::now();
    while tables.iter().any(|table| table.sealed_memtable_count() > 0) && begun.elapsed() < LONGEST {
        thread::sleep(LOOK);
    }
}
