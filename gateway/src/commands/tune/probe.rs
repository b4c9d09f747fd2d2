//! What the machine has: cores, memory for this process, and how fast the disk of the data is when each write has to be on it.
//!
//! Invariant: the file it writes has no name, so that nothing is left of it however it ends.

use super::in_hand::Taken;
use crate::process::memory;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Of each size, at most.
const LONGEST: Duration = Duration::from_secs(2);
const WRITES: usize = 400;
/// A commit of one order, of some dozens, and of a rush.
const SIZES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cores: u64,
    pub(super) memory_mb: u64,
    pub(super) dir: PathBuf,
    pub(super) disk: Vec<Rate>,
    /// What the engine takes on it, by orders in hand.
    pub(super) orders: Vec<Taken>,
}

/// Writes of so many bytes over blocks that the file has already, as the log does, each synced before the next.
#[derive(Debug, Serialize)]
pub(super) struct Rate {
    pub(super) bytes: usize,
    pub(super) syncs_a_second: u64,
    pub(super) median_micros: u64,
    pub(super) worst_micros: u64,
}

impl Machine {
    /// # Errors
    /// If nothing can be written there.
    pub(super) fn look(dir: &Path) -> Result<Self, String> {
        let there = nearest(dir);
        let failed = |error: io::Error| format!("{}: {error}", there.display());
        let disk = SIZES.into_iter().map(|bytes| rate(&there, bytes)).collect::<io::Result<_>>().map_err(failed)?;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        Ok(Self {
            cores,
            memory_mb: memory::available().unwrap_or_default() >> 20,
            dir: dir.to_owned(),
            disk,
            orders: Vec::new(),
        })
    }

    /// The median of the smallest writes.
    pub(super) fn sync_micros(&self) -> u64 {
        self.disk.first().map_or(0, |rate| rate.median_micros)
    }
}

/// The directory, or the nearest above it that is there: the data may be still to be made.
pub(super) fn nearest(dir: &Path) -> PathBuf {
    let there = dir.ancestors().find(|above| above.is_dir());
    there.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn rate(dir: &Path, bytes: usize) -> io::Result<Rate> {
    let mut file = tempfile::tempfile_in(dir)?;
    let data = vec![0x5a; bytes];
    write(&mut file, &data)?;
    let begun = Instant::now();
    let mut took = Vec::with_capacity(WRITES);
    while took.len() < WRITES && begun.elapsed() < LONGEST {
        let one = Instant::now();
        write(&mut file, &data)?;
        took.push(one.elapsed());
    }
    let per_second = took.len() as f64 / begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let micros = |at: Option<&Duration>| at.map_or(0, |took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let (median_micros, worst_micros) = (micros(took.get(took.len() / 2)), micros(took.last()));
    Ok(Rate { bytes, syncs_a_second: per_second as u64, median_micros, worst_micros })
}

fn write(file: &mut File, data: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(data)?;
    file.sync_data()
}
