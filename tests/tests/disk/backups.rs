//! Backups on a disk without room: none that looks whole is left, and orders go on.

use crate::rig::{Tmpfs, Until, assert_kept, assert_sound, buy, remove, skip, stock};
use holdfast_tests::server::{Options, Server, binary};
use holdfast_tests::torture::client::{Client, Request};
use std::process::Command;
use std::time::Duration;

fn some_orders(server: &Server, round: &str, bytes: usize) -> Vec<String> {
    let until = Until { buyers: 4, patience: Duration::from_secs(60), acknowledged: 300, others: 1 };
    let told = buy(&server.url(), round, bytes, &until);
    assert!(told.acknowledged.len() >= 300 && told.wrong.is_empty(), "{told:?}");
    told.acknowledged
}

#[test]
fn a_backup_takes_no_room_that_orders_need_and_is_made_when_there_is_more() {
    let Some(disk) = Tmpfs::mount(220) else { return skip("tmpfs cannot be mounted (root?)") };
    let backups = disk.data_dir().with_file_name("backups");
    let options = Options::new().data_dir(disk.data_dir()).env("HOLDFAST__DATA__RESERVE_MB", "16");
    let mut server = Server::start(options.env("HOLDFAST__BACKUP__DIR", &backups));
    stock(&server.url());
    let mut kept = some_orders(&server, "before", 15_000);
    // Less than what tables and log may need is left, and orders still find room.
    let ballast = disk.file(90);
    let client = Client::new(&server.url()).patiently();
    let refused = client.ask(&Request::press("/admin/v1/backups")).unwrap();
    assert_eq!((refused.status, refused.text("code")), (507, "insufficient_storage".to_owned()), "{}", refused.shown());
    assert_eq!(std::fs::read_dir(&backups).unwrap().count(), 0, "something is left");
    kept.extend(some_orders(&server, "meanwhile", 100));
    remove(&ballast);
    disk.grow(400);
    let made = client.ask(&Request::press("/admin/v1/backups")).unwrap();
    assert_eq!(made.status, 201, "{}", made.shown());
    assert_kept(&server.url(), &kept);
    assert!(server.terminate().success());
    assert_sound(&server);
}

#[test]
fn a_disk_that_fills_up_under_a_backup_is_told_of_and_has_none_of_it() {
    let (Some(large), Some(small)) = (Tmpfs::mount(220), Tmpfs::mount(3)) else {
        return skip("tmpfs cannot be mounted (root?)");
    };
    let mut server = Server::start(Options::new().data_dir(large.data_dir()).env("HOLDFAST__DATA__RESERVE_MB", "16"));
    stock(&server.url());
    let kept = some_orders(&server, "before", 15_000);
    assert!(server.terminate().success());
    let to = small.data_dir();
    let output =
        Command::new(binary()).args(["backup", "--data-dir"]).arg(large.data_dir()).arg("--to").arg(&to).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("no room"), "{said}");
    assert_eq!(std::fs::read_dir(to.parent().unwrap()).unwrap().count(), 0, "something is left");
    server.restart();
    assert_kept(&server.url(), &kept);
}
