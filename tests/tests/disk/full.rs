//! A disk without space: honest refusals, then service again by itself.

use crate::rig::{Tmpfs, Told, Until, assert_kept, assert_not_executed, assert_sound, buy, remove, skip, stock};
use holdfast_tests::server::{Options, Server, poll};
use std::time::Duration;

/// No request may hang: the server itself gives up waiting after 10 s.
const SLOWEST: Duration = Duration::from_secs(15);

fn server_on(disk: &Tmpfs) -> Server {
    Server::start(Options::new().data_dir(disk.data_dir()).env("HOLDFAST__DATA__RESERVE_MB", "16"))
}

fn assert_honest(told: &Told) {
    assert!(told.wrong.is_empty(), "{:?}", told.wrong);
    assert!(told.slowest < SLOWEST, "a request took {:?}", told.slowest);
}

/// Orders until some are refused.
fn until_full(server: &Server, round: &str, bytes: usize) -> Told {
    let until = Until { buyers: 8, patience: Duration::from_secs(90), acknowledged: u64::MAX, others: 50 };
    let told = buy(&server.url(), round, bytes, &until);
    assert_honest(&told);
    eprintln!(
        "full after {} orders: {} refused, {} unknown, slowest {:?}",
        told.acknowledged.len(),
        told.refused.len(),
        told.unknown,
        told.slowest
    );
    assert!(
        !told.refused.is_empty(),
        "nobody was refused on a full disk: {} acknowledged, {} unknown\n{}",
        told.acknowledged.len(),
        told.unknown,
        server.log()
    );
    told
}

/// Orders until some are taken again. The server may also have ended, with advice.
fn until_served_again(server: &mut Server, round: &str) -> Told {
    let (mut last, mut tries, mut ended) = (Told::default(), 0, false);
    let again = poll(Duration::from_secs(60), || {
        if let Some(status) = server.wait_for_exit(Duration::ZERO) {
            ended = true;
            assert!(!status.success() && server.log().contains("start again"), "it ended without advice\n{}", server.log());
            server.restart();
        }
        let until = Until { buyers: 2, patience: Duration::from_secs(10), acknowledged: 50, others: 1 };
        tries += 1;
        let told = buy(&server.url(), &format!("{round}{tries}"), 100, &until);
        let served = told.acknowledged.len() >= 50;
        last.add(told);
        served.then_some(())
    });
    assert!(again.is_some(), "no service after there was space again\n{}", server.log());
    eprintln!("served again after {tries} tries, {}", if ended { "started anew" } else { "by itself" });
    last
}

/// Kills it, looks at everything acknowledged, and verifies the data.
fn assert_all_kept(server: &mut Server, all: &[Told]) {
    server.kill();
    server.restart();
    let acknowledged: Vec<String> = all.iter().flat_map(|told| told.acknowledged.iter().cloned()).collect();
    assert_kept(&server.url(), &acknowledged);
    all.iter().for_each(|told| assert_not_executed(&server.url(), &told.refused));
    assert!(server.terminate().success(), "{}", server.log());
    assert_sound(server);
}

#[test]
fn a_disk_filled_by_others_refuses_orders_and_serves_again_when_there_is_space() {
    let Some(disk) = Tmpfs::mount(128) else { return skip("tmpfs cannot be mounted (root?)") };
    let mut server = server_on(&disk);
    stock(&server.url());
    let until = Until { buyers: 4, patience: Duration::from_secs(30), acknowledged: 500, others: 1 };
    let before = buy(&server.url(), "before", 100, &until);
    assert!(before.acknowledged.len() >= 500, "{before:?}");
    let ballast = disk.ballast();
    let full = until_full(&server, "full", 100);
    remove(&ballast);
    let after = until_served_again(&mut server, "after");
    assert_all_kept(&mut server, &[before, full, after]);
}

#[test]
fn a_disk_filled_by_orders_refuses_more_and_serves_again_when_it_grows() {
    let Some(disk) = Tmpfs::mount(160) else { return skip("tmpfs cannot be mounted (root?)") };
    let mut server = server_on(&disk);
    stock(&server.url());
    let full = until_full(&server, "full", 15_000);
    assert!(full.acknowledged.len() > 500, "{} orders fill the disk", full.acknowledged.len());
    disk.grow(512);
    let after = until_served_again(&mut server, "after");
    assert_all_kept(&mut server, &[full, after]);
}

#[test]
fn a_server_that_finds_no_space_says_so_and_keeps_its_data() {
    let Some(disk) = Tmpfs::mount(128) else { return skip("tmpfs cannot be mounted (root?)") };
    let mut server = server_on(&disk);
    stock(&server.url());
    let until = Until { buyers: 4, patience: Duration::from_secs(30), acknowledged: 200, others: 1 };
    let before = buy(&server.url(), "before", 100, &until);
    server.kill();
    let ballast = disk.ballast();
    server.launch();
    let ended = server.wait_for_exit(Duration::from_secs(30));
    assert!(ended.is_some_and(|status| !status.success()), "{}", server.log());
    assert!(server.log().contains("the disk is full"), "{}", server.log());
    remove(&ballast);
    server.restart();
    assert_all_kept(&mut server, &[before]);
}
