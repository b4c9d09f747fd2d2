//! The log on the disk that fills up with the data: no order, no answer and no exit code depends on a line of it.

use crate::rig::{Tmpfs, Until, assert_kept, assert_not_executed, assert_sound, buy, remove, skip, stock};
use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Reached, Request};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A file that ends inside a page of a full disk still takes what is left of that page.
fn fill_last_page(log: &Path) {
    let mut file = OpenOptions::new().append(true).open(log).unwrap();
    while file.write_all(b"\n").is_ok() {}
}

fn readiness(server: &Server) -> u16 {
    match Client::new(&server.url()).send(&Request::get("/readyz")) {
        Reached::Answered(answer) | Reached::Refused(answer) => answer.status,
        Reached::Unknown => 0,
    }
}

/// Fills the disk to its last byte and orders until some are refused.
fn fill(server: &Server, disk: &Tmpfs, round: &str) -> (std::path::PathBuf, crate::rig::Told) {
    let ballast = disk.ballast();
    fill_last_page(&disk.log());
    let until = Until { buyers: 4, patience: PATIENCE, acknowledged: u64::MAX, others: 40 };
    let told = buy(&server.url(), round, 100, &until);
    assert!(told.wrong.is_empty() && !told.refused.is_empty(), "{told:?}");
    (ballast, told)
}

#[test]
fn a_log_on_a_full_disk_stops_neither_the_refusals_nor_the_service_after_them() {
    let Some(disk) = Tmpfs::mount(128) else { return skip("tmpfs cannot be mounted (root?)") };
    let options = Options::new().data_dir(disk.data_dir()).log(disk.log()).env("HOLDFAST__DATA__RESERVE_MB", "16");
    let mut server = Server::start(options);
    stock(&server.url());
    let until = Until { buyers: 4, patience: PATIENCE, acknowledged: 200, others: 1 };
    let before = buy(&server.url(), "before", 100, &until);
    let (ballast, full) = fill(&server, &disk, "full");
    assert_eq!(poll(PATIENCE, || (readiness(&server) == 503).then_some(())), Some(()), "ready on a full disk");
    remove(&ballast);
    assert_eq!(poll(PATIENCE, || (readiness(&server) == 200).then_some(())), Some(()), "not back\n{}", server.log());
    let after = buy(&server.url(), "after", 100, &Until { buyers: 2, patience: PATIENCE, acknowledged: 50, others: 1 });
    assert!(after.acknowledged.len() >= 50, "{after:?}\n{}", server.log());
    let acknowledged = [before.acknowledged, full.acknowledged, after.acknowledged].concat();
    assert_kept(&server.url(), &acknowledged);
    assert_not_executed(&server.url(), &full.refused);
    let (ballast, _) = fill(&server, &disk, "again");
    let ended = server.terminate();
    assert_eq!(ended.code(), Some(0), "stopped on a full disk\n{}", server.log());
    remove(&ballast);
    assert_sound(&server);
}
