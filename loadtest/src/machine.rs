//! The machine a figure belongs to.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_mb: u64,
    pub kernel: String,
    /// Of a write of 4 KiB with `fdatasync`, median, in microseconds: what every commit pays at least.
    pub sync_us: u64,
    /// Load average over a minute, before the run: what else ran.
    pub load: String,
    pub generator: String,
}

impl Machine {
    /// Of this machine; the disk is that of `dir`.
    pub fn of(dir: &Path) -> Self {
        Self {
            processor: line("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mb: line("/proc/meminfo", "MemTotal")
                .split(' ')
                .next()
                .and_then(|kib| kib.parse::<u64>().ok())
                .unwrap_or_default()
                >> 10,
            kernel: read("/proc/sys/kernel/osrelease"),
            sync_us: sync(dir).unwrap_or_default(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            generator: profile(),
        }
    }
}

fn profile() -> String {
    let build = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    format!("{} {build}", env!("CARGO_PKG_VERSION"))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What stands behind a name and a colon.
fn line(path: &str, name: &str) -> String {
    let text = read(path);
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':'));
    found.unwrap_or_default().trim().to_owned()
}

/// The median of some writes that wait for the disk.
fn sync(dir: &Path) -> Option<u64> {
    const WRITES: usize = 51;
    let mut file = tempfile::tempfile_in(dir).ok()?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&[7; 4096]).ok()?;
        file.sync_data().ok()?;
        times.push(begun.elapsed().as_micros());
    }
    times.sort_unstable();
    u64::try_from(times[WRITES / 2]).ok()
}
