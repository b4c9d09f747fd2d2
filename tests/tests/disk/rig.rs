//! A small disk, buyers that remember what they were told, and the questions asked at the end.

use holdfast_tests::server::Server;
use holdfast_tests::torture::client::{Client, Reached, Request};
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const SKU: &str = "UNIT";

/// Says that a test did not test anything.
pub(crate) fn skip(missing: &str) {
    eprintln!("\n!!! SKIPPED: {missing}. This test has tested NOTHING here. !!!\n");
}

fn runs(command: &str, args: &[&str]) -> bool {
    let run = Command::new(command).args(args).output();
    run.is_ok_and(|output| output.status.success())
}

pub(crate) fn has_strace() -> bool {
    runs("strace", &["-f", "-o", "/dev/null", "true"])
}

/// A disk of its own size.
pub(crate) struct Tmpfs {
    dir: TempDir,
}

impl Tmpfs {
    /// `None` where this machine does not let us.
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        let mounted = runs("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "holdfast-test", &path]);
        mounted.then_some(Self { dir })
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A file for what a server prints.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Makes the disk larger while it is in use.
    pub(crate) fn grow(&self, mib: u32) {
        let path = self.dir.path().display().to_string();
        assert!(runs("mount", &["-o", &format!("remount,size={mib}m"), &path]), "the disk does not grow");
    }

    /// A file of so many MiB.
    pub(crate) fn file(&self, mib: usize) -> PathBuf {
        let path = self.dir.path().join("ballast");
        std::fs::write(&path, vec![1; mib << 20]).unwrap();
        path
    }

    /// A file that takes all there is.
    pub(crate) fn ballast(&self) -> PathBuf {
        let path = self.dir.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        for block in [1 << 20, 4096, 512] {
            let zeros = vec![0; block];
            while file.write_all(&zeros).is_ok() {}
        }
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        runs("umount", &["-l", &self.dir.path().display().to_string()]);
    }
}

/// What buyers were told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Ids of orders answered with 201.
    pub acknowledged: Vec<String>,
    /// Requests answered with 503 durability_unavailable, which promises that they were not executed.
    pub refused: Vec<Request>,
    pub unknown: u64,
    /// Answers that are none of these.
    pub wrong: Vec<String>,
    /// 201 after a buyer had heard something else.
    pub revived: u64,
    pub slowest: Duration,
}

/// When buyers go home.
pub(crate) struct Until {
    pub buyers: usize,
    pub patience: Duration,
    /// So many orders were acknowledged.
    pub acknowledged: u64,
    /// So many were not.
    pub others: u64,
}

/// Buyers that order one unit each, with so many bytes of metadata, until one of the limits is reached.
pub(crate) fn buy(url: &str, round: &str, bytes: usize, until: &Until) -> Told {
    let (told, stop) = (Mutex::new(Told::default()), AtomicBool::new(false));
    let (acknowledged, others) = (AtomicU64::new(0), AtomicU64::new(0));
    let deadline = Instant::now() + until.patience;
    let note = |one: Told| {
        let good = acknowledged.fetch_add(one.acknowledged.len() as u64, Ordering::SeqCst) + one.acknowledged.len() as u64;
        let other = u64::from(one.acknowledged.is_empty());
        let other = others.fetch_add(other, Ordering::SeqCst) + other;
        let over = good >= until.acknowledged || other >= until.others || Instant::now() >= deadline;
        stop.fetch_or(over, Ordering::SeqCst);
        told.lock().unwrap().add(one);
    };
    std::thread::scope(|scope| {
        for buyer in 0..until.buyers {
            let (note, stop) = (&note, &stop);
            scope.spawn(move || {
                let client = Client::new(url);
                let mut heard_else = false;
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let one = order(&client, &format!("{round}-{buyer}-{number}"), bytes, heard_else);
                    heard_else |= one.acknowledged.is_empty();
                    note(one);
                }
            });
        }
    });
    told.into_inner().unwrap()
}

fn order(client: &Client, key: &str, bytes: usize, heard_else: bool) -> Told {
    let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": SKU, "quantity": 1, "unit_price": 100}],
        "ttl_seconds": 86_400, "metadata": {"padding": padding(key, bytes)}});
    let request = Request::keyed("/v1/orders", key, &body);
    let started = Instant::now();
    let reached = client.send(&request);
    let mut told = Told { slowest: started.elapsed(), ..Told::default() };
    match reached {
        Reached::Answered(answer) if answer.status == 201 => {
            told.acknowledged.push(answer.text("id"));
            told.revived = u64::from(heard_else);
        }
        Reached::Refused(answer) if answer.text("code") == "durability_unavailable" => told.refused.push(request),
        Reached::Answered(answer) | Reached::Refused(answer) => told.wrong.push(answer.shown()),
        Reached::Unknown => told.unknown = 1,
    }
    told
}

/// Bytes that do not compress.
fn padding(key: &str, bytes: usize) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let word = |number: usize| {
        let mut hasher = DefaultHasher::new();
        (key, number).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    };
    (0..bytes / 16).map(word).collect()
}

impl Told {
    pub(crate) fn add(&mut self, other: Told) {
        self.acknowledged.extend(other.acknowledged);
        self.refused.extend(other.refused);
        self.unknown += other.unknown;
        self.wrong.extend(other.wrong);
        self.revived += other.revived;
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// More stock than all tests sell.
pub(crate) fn stock(url: &str) {
    let path = format!("/v1/inventory/{SKU}/locations/main");
    let answer = Client::new(url).ask(&Request::put(path, 0, &json!({"on_hand": 10_000_000}))).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.shown());
}

/// Everything acknowledged is there, and each order holds its unit.
pub(crate) fn assert_kept(url: &str, acknowledged: &[String]) {
    let client = Client::new(url);
    let gone = |id: &&String| !client.ask(&Request::get(format!("/v1/orders/{id}"))).is_ok_and(|answer| answer.status == 200);
    let lost: Vec<&String> = acknowledged.iter().filter(gone).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    let shown = client.json(&Request::get(format!("/v1/inventory/{SKU}"))).unwrap();
    assert!(shown["held"].as_u64() >= Some(acknowledged.len() as u64), "{} are held: {shown}", acknowledged.len());
}

/// What was refused as not executed was not: sent again, it is new.
pub(crate) fn assert_not_executed(url: &str, refused: &[Request]) {
    let client = Client::new(url);
    for request in refused {
        let answer = client.ask(request).unwrap();
        assert!(answer.status == 201 && !answer.replayed, "{:?}: {}", request.key, answer.shown());
    }
}

pub(crate) fn assert_sound(server: &Server) {
    let (sound, said) = server.verify();
    assert!(sound, "verify: {said}");
}

pub(crate) fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}
