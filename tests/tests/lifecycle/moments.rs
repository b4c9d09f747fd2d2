//! Directories whose files were copied at different moments: each is refused with words and left as it is, or it is right.
//!
//! One shop is copied at moment A and again, a day later, at moment B. A copy of A also went on by itself, to A'. Every mixture of
//! two of them is made: the log decides which orders there are.

use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// What can be copied at another moment than the rest.
const PARTS: [&str; 6] = ["log", "tables", "acknowledged", "projected", "sandbox", "snapshots"];
const LOG: usize = 0;
const TABLES: usize = 1;
const PROJECTED: usize = 3;
const SNAPSHOTS: usize = 5;

/// Words of every refusal there may be.
const REFUSALS: [&str; 3] = ["is not of one moment", "was acknowledged", "were reported"];

fn options(dir: &Path) -> Options {
    let options =
        Options::new().data_dir(dir).env("HOLDFAST__DATA__PARTITIONS", "4").env("HOLDFAST__ENGINE__SNAPSHOT_EVENTS", "1");
    options.env("HOLDFAST__PAYMENTS__QUERY_AFTER_SECONDS", "1")
}

/// What was promised: answers of closed orders by path, and requests with the order each brought about.
#[derive(Clone, Default)]
struct Promised {
    closed: BTreeMap<String, Value>,
    placed: Vec<(Request, String)>,
    adjusted: Vec<(Request, Value)>,
}

/// A copy of the shop's directory, and what the shop had promised by then.
struct Moment {
    dir: PathBuf,
    promised: Promised,
}

struct Shop {
    server: Server,
    client: Client,
    promised: Promised,
}

impl Shop {
    fn over(dir: &Path, promised: Promised) -> Self {
        let server = Server::start(options(dir));
        let client = Client::new(&server.url());
        Self { server, client, promised }
    }

    fn get(&self, path: &str) -> Value {
        self.client.json(&Request::get(path)).unwrap()
    }

    fn place(&mut self, key: &str, more: &Value) -> (String, Value) {
        let line = json!({"sku": "MUG", "quantity": 1, "unit_price": 250});
        let mut body = json!({"customer_id": "ada", "currency": "EUR", "lines": [line]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = Request::keyed("/v1/orders", key, &body);
        let answer = self.client.ask(&request).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.shown());
        let path = format!("/v1/orders/{}", answer.text("id"));
        self.promised.placed.push((request, answer.text("id")));
        (path, answer.json())
    }

    fn act(&self, path: &str) {
        let answer = self.client.ask(&Request::press(path)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.shown());
    }

    /// Waits until the order is this, and keeps what is answered for it.
    fn closes(&mut self, path: &str, field: &str, value: &str) {
        let mut last = Value::Null;
        let reached = poll(PATIENCE, || {
            last = self.get(path);
            (last[field] == value).then_some(())
        });
        assert!(reached.is_some(), "never {value}: {last}");
        self.promised.closed.insert(path.to_owned(), last);
    }

    /// Orders that close, one that is given up and paid later, one that stays open, and a key that is answered.
    fn day(&mut self, name: &str) {
        self.client
            .ask(&Request {
                if_match: Some("*".to_owned()),
                method: "PUT",
                ..Request::post("/v1/inventory/MUG/locations/berlin", &json!({"on_hand": 10_000}))
            })
            .unwrap();
        for n in 0..4 {
            let (path, _) = self.place(&format!("{name}-sold-{n}"), &json!({}));
            self.act(&format!("{path}:confirm"));
            self.closes(&path, "status", "confirmed");
        }
        let (path, order) = self.place(&format!("{name}-declined"), &json!({"payment": {"provider": "sandbox"}}));
        let payment = order["payment"]["attempt_id"].as_str().unwrap().to_owned();
        self.act(&format!("/sandbox/payments/{payment}/decline"));
        self.closes(&path, "status", "awaiting_payment");
        self.act(&format!("{path}:cancel"));
        self.closes(&path, "status", "cancelled");
        self.place(&format!("{name}-open"), &json!({"ttl_seconds": 80_000}));
        let body = json!({"location": "berlin", "delta": 1, "reason": "count"});
        let adjust = Request::keyed("/v1/inventory/MUG/adjustments", format!("{name}-adjusted"), &body);
        let answer = self.client.ask(&adjust).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.shown());
        self.promised.adjusted.push((adjust, answer.json()));
    }

    /// Money for an order that was given up on another day, and has left memory: it comes back, pays it back and leaves again.
    fn late_money(&mut self, day: &str) {
        let (_, id) = self.promised.placed.iter().find(|(request, _)| request.key == Some(format!("{day}-declined"))).unwrap();
        let path = format!("/v1/orders/{id}");
        let payment = self.get(&path)["payment"]["attempt_id"].as_str().unwrap().to_owned();
        self.act(&format!("/sandbox/payments/{payment}/approve"));
        self.closes(&path, "payment_status", "refunded");
    }

    /// Waits until everything that closed has left memory, stops, and copies the directory.
    fn copy_to(mut self, dir: PathBuf) -> Moment {
        // One of each day stays open.
        let open = self.promised.adjusted.len() as u64;
        let left = poll(PATIENCE, || (self.orders_in_memory() == open).then_some(()));
        assert!(left.is_some(), "{} orders stay in memory", self.orders_in_memory());
        assert!(self.server.terminate().success());
        copy(self.server.data_dir(), &dir);
        Moment { dir, promised: self.promised }
    }

    fn orders_in_memory(&self) -> u64 {
        let shards = self.get("/admin/v1/shards");
        shards["shards"].as_array().unwrap().iter().map(|shard| shard["orders"].as_u64().unwrap()).sum()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() { copy(&from, &to) } else { assert!(fs::copy(&from, &to).is_ok(), "{}", from.display()) }
    }
}

/// Every file outside the database's own folder.
fn own_files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            files.insert(path.clone(), fs::read(&path).unwrap());
        } else if !path.ends_with("tables") {
            files.extend(own_files(&path));
        }
    }
    files
}

/// The directory of `one` with those parts of `other` that `mask` names.
fn mixture(one: &Moment, other: &Moment, mask: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&one.dir, dir.path());
    for (_, part) in PARTS.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0) {
        let (from, to) = (other.dir.join(part), dir.path().join(part));
        if from.is_dir() {
            fs::remove_dir_all(&to).unwrap();
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
    dir
}

/// What became of a mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Refused,
    Right,
}

/// Verifies and serves a directory. What is refused must be refused by both and not be changed; all else must be right.
fn tried(dir: &Path, promised: &Promised, case: &str) -> Found {
    let before = own_files(dir);
    let mut server = Server::prepare(options(dir));
    let (ok, told) = server.verify();
    if ok {
        server.restart();
        is_right(server, promised, case);
        return Found::Right;
    }
    let report: Value = serde_json::from_str(&told).unwrap();
    let said = |text: &str| REFUSALS.iter().any(|words| text.contains(words));
    assert!(said(report["error"].as_str().unwrap_or_default()), "{case}: {told}");
    server.launch();
    let ended = server.wait_for_exit(PATIENCE).unwrap_or_else(|| panic!("{case}: verify refused it, serve did not: {told}"));
    assert!(!ended.success() && said(&server.log()), "{case}: {}", server.log());
    assert!(before == own_files(dir), "{case}: a refusal changed what it refused");
    Found::Refused
}

fn is_right(mut server: Server, promised: &Promised, case: &str) {
    let client = Client::new(&server.url());
    for (path, then) in &promised.closed {
        assert_eq!(&client.json(&Request::get(path.as_str())).unwrap(), then, "{case}: {path}");
    }
    for (request, id) in &promised.placed {
        let answer = client.ask(request).unwrap();
        assert_eq!((answer.status, answer.replayed, &answer.text("id")), (201, true, id), "{case}: {}", answer.shown());
    }
    for (request, then) in &promised.adjusted {
        let answer = client.ask(request).unwrap();
        assert_eq!((answer.status, answer.replayed, &answer.json()), (201, true, then), "{case}: {}", answer.shown());
    }
    let mut shop = Shop { server, client, promised: Promised::default() };
    for n in 0..3 {
        let (path, _) = shop.place(&format!("new-{n}"), &json!({}));
        shop.act(&format!("{path}:cancel"));
    }
    server = shop.server;
    assert!(server.terminate().success());
    let (ok, told) = server.verify();
    assert!(ok, "{case}: {told}");
}

struct Moments {
    _dir: TempDir,
    a: Moment,
    b: Moment,
    fork: Moment,
}

fn moments() -> Moments {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let mut shop = Shop::over(&at("shop"), Promised::default());
    shop.day("first");
    let a = shop.copy_to(at("a"));
    let goes_on = |dir: PathBuf, name: &str, copied: PathBuf| {
        let mut shop = Shop::over(&dir, a.promised.clone());
        shop.day(name);
        shop.late_money("first");
        shop.copy_to(copied)
    };
    let b = goes_on(at("shop"), "second", at("b"));
    copy(&at("a"), &at("forked"));
    let fork = goes_on(at("forked"), "other", at("fork"));
    Moments { _dir: root, a, b, fork }
}

fn has(mask: usize, part: usize) -> bool {
    mask & (1 << part) != 0
}

/// Every mixture whose snapshots are of the moment of the tables. Where they are not, all else but the tables is of the log's.
fn masks() -> impl Iterator<Item = usize> {
    (0..1 << PARTS.len()).filter(|mask| {
        let with_log = |part: &str| has(*mask, PARTS.iter().position(|known| *known == part).unwrap()) == has(*mask, LOG);
        let apart = ["acknowledged", "sandbox"].into_iter().all(with_log) && has(*mask, PROJECTED) == has(*mask, TABLES);
        has(*mask, SNAPSHOTS) == has(*mask, TABLES) || apart
    })
}

fn case(names: [&str; 2], mask: usize) -> String {
    let parts = PARTS.iter().enumerate().map(|(bit, part)| format!("{part} of {}", names[(mask >> bit) & 1]));
    parts.collect::<Vec<_>>().join(", ")
}

/// Every mixture of an earlier and a later moment. A log that ends before its tables is refused. One that goes on behind them is
/// right: what is missing in them is made again, save where rows that were reported are gone.
#[test]
fn a_directory_of_two_moments_is_refused_or_right() {
    let Moments { a, b, _dir, .. } = moments();
    for mask in masks() {
        let (dir, case) = (mixture(&a, &b, mask), case(["A", "B"], mask));
        let later = |part: usize| has(mask, part);
        let promised = if later(LOG) { &b.promised } else { &a.promised };
        let expected = match (later(LOG), later(TABLES)) {
            (false, false) if mask & 0b10_1100 == 0 => Found::Right,
            (true, true) => Found::Right,
            (true, false) if !later(PROJECTED) => Found::Right,
            _ => Found::Refused,
        };
        assert_eq!(tried(dir.path(), promised, &case), expected, "{case}");
    }
}

/// Two copies of one directory that each went on by itself have commits of the same numbers and of different facts.
#[test]
fn a_directory_of_two_copies_that_went_on_is_refused_or_right() {
    let Moments { a, b, fork, _dir } = moments();
    for mask in masks() {
        let (dir, case) = (mixture(&b, &fork, mask), case(["B", "A'"], mask));
        let of_fork = |part: usize| has(mask, part);
        let promised = if of_fork(LOG) { &fork.promised } else { &b.promised };
        let found = tried(dir.path(), promised, &case);
        let mixed = [TABLES, SNAPSHOTS].into_iter().any(|part| of_fork(part) != of_fork(LOG));
        assert!(!mixed || found == Found::Refused, "{case}: {found:?}");
        assert!(![0, (1 << PARTS.len()) - 1].contains(&mask) || found == Found::Right, "{case}: {found:?}");
    }
    // The tables of the moment at which they parted are those of both.
    let dir = mixture(&fork, &a, 0b01010);
    assert_eq!(tried(dir.path(), &fork.promised, "A' with the tables of A"), Found::Right);
}
