//! Memory taken from the system when the server starts, before orders need it.
//!
//! Every open order needs memory that the process never used before, and the system hands that out at the first touch, a page at
//! a time: the shard waits for it, longest on a virtual machine whose host lends its memory (ADR 0011).
//! Invariant: no more is taken than a share of what this process may use, its control groups counted.

use libmimalloc_sys::{mi_option_set, mi_option_t};
use std::fs::read_to_string;
use std::hint::black_box;
use std::os::raw::c_long;

/// What the allocator takes from the system at a time. A larger piece takes two of them and leaves most of one untouched: it rounds
/// up to whole MiB and puts its own notes before them.
const PIECE: usize = 32 << 20;
const NOTES: usize = 1 << 20;
/// Of what is available, one part in so many may be taken before anybody asked for it.
const SHARE: u64 = 8;

/// How long the allocator keeps what was freed, in milliseconds; below zero: for ever. Its bindings do not name this option.
const PURGE_DELAY: mi_option_t = 15;
const FOR_EVER: c_long = -1;
/// A thousand times its default. Buffers come and go with each commit: given back each time, they leave holes in huge pages.
const TEN_SECONDS: c_long = 10_000;

/// Takes up to this many MiB, fewer where fewer can be spared, and leaves them with the allocator. Returns what it took. Cost: 0.1
/// to 10 µs a page of 4 KiB. To be called while the process has one thread.
pub(crate) fn take_ahead(mib: u64) -> u64 {
    let count = pieces_in(mib, available());
    if count == 0 {
        return 0;
    }
    // All of them before the first is freed, which would be the next otherwise.
    let pieces: Vec<_> = (0..count).map_while(|_| touched()).collect();
    let taken = pieces.len() * (PIECE >> 20);
    keep_freed(FOR_EVER);
    drop(pieces);
    keep_freed(TEN_SECONDS);
    taken as u64
}

/// How many pieces make so many MiB, or the share of what is available.
fn pieces_in(mib: u64, available: Option<u64>) -> usize {
    let spare = available.map_or(u64::MAX, |available| available / SHARE);
    (mib.saturating_mul(1 << 20).min(spare) / PIECE as u64) as usize
}

/// A piece with something written to each page. `None` if there is none to be had.
fn touched() -> Option<Vec<u8>> {
    let mut piece = Vec::new();
    piece.try_reserve_exact(PIECE - NOTES).ok()?;
    piece.resize(PIECE - NOTES, 0);
    Some(black_box(piece))
}

/// Has the allocator keep what is freed from now on.
#[expect(unsafe_code, reason = "ADR 0011: the options of the allocator are only to be had from its C interface")]
fn keep_freed(milliseconds: c_long) {
    // SAFETY: the option exists (tested below). It is a plain variable of C that every thread reads: none but this one is there yet.
    unsafe { mi_option_set(PURGE_DELAY, milliseconds) };
}

/// Bytes this process may still use without harm to others. `None` where the system does not say.
fn available() -> Option<u64> {
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
    use libmimalloc_sys::mi_option_get;

    #[test]
    #[expect(unsafe_code, reason = "reads the option that the code above sets by its number")]
    fn the_option_set_by_its_number_is_the_delay_of_purges() {
        // SAFETY: it only reads an integer.
        assert_eq!(unsafe { mi_option_get(PURGE_DELAY) }, 10, "not the default: are the options numbered anew?");
    }

    #[test]
    fn a_small_machine_gives_an_eighth_of_what_it_has() {
        let gib = |count: u64| Some(count << 30);
        assert_eq!([None, gib(24), gib(4), gib(2)].map(|available| pieces_in(512, available)), [16, 16, 16, 8]);
        assert_eq!([0, 31, 32, 65].map(|mib| pieces_in(mib, gib(24))), [0, 0, 1, 2]);
        assert_eq!(pieces_in(u64::MAX, Some(100 << 20)), 0);
    }

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
