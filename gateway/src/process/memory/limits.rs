//! How much memory this process may still use.
//!
//! Invariant: the limits of its control groups count as much as what the machine has.

use std::fs::read_to_string;

/// Bytes this process may still use without harm to others. `None` where the system does not say.
pub(crate) fn available() -> Option<u64> {
    let machine = read_to_string("/proc/meminfo").ok().and_then(|text| free_of(&text));
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| read_to_string(file).ok()?.trim().parse().ok());
    machine.into_iter().chain(limits).min()
}

fn free_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The files that may limit the memory of the control groups named, of the first and the second kind. A container sees the files of
/// its own group where those of all groups are elsewhere, under the path the machine knows it by.
fn limit_files(groups: &str) -> Vec<String> {
    let files = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            some if some.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        Some([format!("{root}/{file}"), format!("{root}{}/{file}", path.trim_end_matches('/'))])
    };
    groups.lines().filter_map(files).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read_in_bytes() {
        assert_eq!(free_of("MemTotal:       24683932 kB\nMemAvailable:   23607296 kB\n"), Some(23_607_296 << 10));
        assert_eq!(free_of("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn limits_of_either_kind_of_control_group_count() {
        let second = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/system.slice/holdfast.service/memory.max"];
        assert_eq!(limit_files("0::/system.slice/holdfast.service\n"), second);
        let first = ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes"];
        assert_eq!(limit_files("4:memory:/docker/abc\n1:cpu:/docker/abc\n"), first);
        assert_eq!(limit_files(""), Vec::<String>::new());
    }
}
