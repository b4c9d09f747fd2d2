//! Whether a data directory is held by a process that is on its way out.
//!
//! A process that was just killed keeps its port and its data directory while the system takes its memory back: a start waits for that
//! a while. Anybody else who has them is told of at once.

use std::fs::{metadata, read_to_string};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Who has a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody, as far as this process can see.
    Nobody,
    /// A process that is dead but for its cleaning up.
    Leaving,
    Alive,
}

/// The file is locked by whoever uses the directory (see the embedded journal).
pub(crate) fn holder(data_dir: &Path) -> Holder {
    let Ok(lock) = metadata(data_dir.join("holdfast.lock")) else { return Holder::Nobody };
    let locks = read_to_string("/proc/locks").unwrap_or_default();
    let (major, minor) = (rustix::fs::major(lock.dev()), rustix::fs::minor(lock.dev()));
    // Files of different file systems share numbers.
    let file = format!("{major:02x}:{minor:02x}:{}", lock.ino());
    let Some(process) = locks.lines().find_map(|line| owner_of(line, &file)) else { return Holder::Nobody };
    let status = read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    if is_leaving(&status) { Holder::Leaving } else { Holder::Alive }
}

/// The process of a line of `/proc/locks`, if it is about this file: `1: FLOCK  ADVISORY  WRITE 7 fe:00:131 0 EOF`.
fn owner_of(line: &str, file: &str) -> Option<u32> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, "FLOCK", _, _, process, locked, ..] = fields[..] else { return None };
    (locked == file).then(|| process.parse().ok()).flatten()
}

/// A process without memory, or with a SIGKILL that it has not died of yet.
fn is_leaving(status: &str) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let pending = |name: &str| field(name).and_then(|set| u64::from_str_radix(set, 16).ok()).unwrap_or_default();
    let killed = (pending("SigPnd:") | pending("ShdPnd:")) & (1 << 8) != 0;
    killed || field("VmRSS:").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_directory_is_held_by_whoever_has_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()), Holder::Nobody);
        let lock = File::create(dir.path().join("holdfast.lock")).unwrap();
        assert_eq!(holder(dir.path()), Holder::Nobody);
        lock.lock().unwrap();
        assert_eq!(holder(dir.path()), Holder::Alive, "this process lives");
    }

    #[test]
    fn a_process_without_memory_or_with_a_kill_to_come_is_leaving() {
        let alive =
            "Name:\tholdfast\nState:\tS (sleeping)\nVmRSS:\t  20480 kB\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000004000\n";
        assert!(!is_leaving(alive));
        assert!(is_leaving(&alive.replace("VmRSS", "VmNone")));
        assert!(is_leaving(&alive.replace("ShdPnd:\t0000000000004000", "ShdPnd:\t0000000000000100")));
        assert!(is_leaving(""), "it is gone");
    }

    #[test]
    fn only_locks_of_the_file_itself_count() {
        let line = "1: FLOCK  ADVISORY  WRITE 7 fe:00:131 0 EOF";
        assert_eq!(["fe:00:131", "fe:00:13", "00:2a:131"].map(|file| owner_of(line, file)), [Some(7), None, None]);
        assert_eq!(owner_of("1: -> FLOCK  ADVISORY  WRITE 8 fe:00:131 0 EOF", "fe:00:131"), None, "it only waits");
        assert_eq!(owner_of("2: POSIX  ADVISORY  WRITE 9 fe:00:131 0 EOF", "fe:00:131"), None);
    }
}
