//! Bytes on the socket, for what no HTTP client would send, and a look at the process behind it.

use holdfast_tests::server::Server;
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer or an end may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// Memory of the server in KiB.
pub(crate) fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid(server))).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The process that serves this address, found by its command line.
fn pid(server: &Server) -> u32 {
    let serves = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.contains(&b"serve".as_slice()) && words.contains(&server.address().as_bytes())
    };
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(serves).expect("the server's process")
}
