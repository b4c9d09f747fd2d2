//! How much memory the process has.

/// Bytes of memory that the process has and no other shares, read from the system. `None` where it does not say.
pub(crate) fn bytes() -> Option<u64> {
    of_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_of_this_process_is_told() {
        assert_eq!(of_status("Name:\tx\nVmRSS:\t   12 kB\nThreads:\t1\n"), Some(12 * 1024));
        assert_eq!(of_status("Name:\tx\n"), None);
        assert!(bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
