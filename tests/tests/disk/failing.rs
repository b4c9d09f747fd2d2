//! A disk that fails to sync: the server stops, says what to do, and nothing acknowledged before is lost.

use crate::rig::{Until, assert_kept, assert_not_executed, assert_sound, buy, has_strace, skip, stock};
use holdfast_tests::server::{Options, Server};
use std::path::Path;
use std::time::Duration;

/// The server under strace, where the syncs of each thread fail from number `from` on. Commits are `fdatasync`; an
/// `fsync` is for files and directories that are new, of which a start makes many.
fn failing_server(data: &Path, from: u32) -> Server {
    let (commits, files) = (format!("inject=fdatasync:error=EIO:when={from}+"), "inject=fsync:error=EIO:when=500+");
    let strace = ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", &commits, "-e", files];
    Server::start(Options::new().data_dir(data).wrapper(strace))
}

fn stops_and_loses_nothing(from: u32) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = failing_server(&data, from);
    stock(&server.url());
    let until = Until { buyers: 4, patience: Duration::from_secs(60), acknowledged: u64::MAX, others: 40 };
    let told = buy(&server.url(), "order", 100, &until);
    assert!(told.wrong.is_empty(), "{:?}", told.wrong);
    assert_eq!(told.revived, 0, "acknowledged after the failure");
    let ended = server.wait_for_exit(Duration::from_secs(30));
    let log = server.log();
    assert!(ended.is_some_and(|status| !status.success()), "it runs on, or ended as if all were well: {ended:?}\n{log}");
    assert!(log.contains("Nothing acknowledged is lost") && log.contains("start again"), "no advice\n{log}");
    drop(server);
    let mut server = Server::start(Options::new().data_dir(&data));
    assert_kept(&server.url(), &told.acknowledged);
    assert_not_executed(&server.url(), &told.refused);
    assert!(server.terminate().success());
    assert_sound(&server);
    eprintln!(
        "sync {from} failed: {} acknowledged before, {} unknown, {} refused",
        told.acknowledged.len(),
        told.unknown,
        told.refused.len()
    );
}

#[test]
fn a_failed_sync_stops_the_server_and_loses_nothing_acknowledged() {
    if !has_strace() {
        return skip("strace is missing or may not trace");
    }
    for from in [20, 150] {
        stops_and_loses_nothing(from);
    }
}
