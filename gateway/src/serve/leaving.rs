//! Whether a data directory or a port is held by a process that is on its way out.
//!
//! A process that was just killed keeps them while the system takes its memory back: a start waits for that a while. One that lives and
//! has them is told of at once.

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

/// Whether a socket of this machine listens on the port of HOST:PORT, at whatever address.
pub(crate) fn is_listened_on(address: &str) -> bool {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| read_to_string(table).unwrap_or_default());
    port.is_some_and(|port| sockets.iter().flat_map(|table| table.lines()).any(|line| listens(line, port)))
}

/// Whether a line of `/proc/net/tcp` is about a socket that listens on this port: `0: 0100007F:1F90 00000000:0000 0A …`.
fn listens(line: &str, port: u16) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next().and_then(|local| local.rsplit_once(':'));
    fields.nth(1) == Some("0A") && local.is_some_and(|(_, own)| u16::from_str_radix(own, 16) == Ok(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::net::{TcpListener, TcpStream};

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

    #[test]
    fn a_port_with_connections_and_no_listener_is_not_listened_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let client = TcpStream::connect(&address).unwrap();
        let accepted = listener.accept().unwrap();
        assert!(is_listened_on(&address));
        drop(listener);
        assert!(!is_listened_on(&address) && !is_listened_on("nonsense"));
        drop((client, accepted));
    }
}
