//! Backups of a server under load: each is restored, verified and served, and nothing that was acknowledged before it was asked
//! for is missing. And what is no backup, because the server was killed meanwhile, is never taken for one.

use holdfast_tests::server::{Options, Server, on_cluster, poll};
use holdfast_tests::torture::client::{Answer, Client, Reached, Request};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);
const BUYERS: usize = 6;
const BACKUPS: usize = 3;
/// Orders acknowledged between two backups.
const BETWEEN: usize = 150;
/// Orders with much in them.
const LARGE: u64 = 300;
const MAKE: &str = "/admin/v1/backups";

/// An order that was acknowledged.
#[derive(Clone)]
struct Placed {
    request: Request,
    id: String,
    number: u64,
}

/// A server that makes backups, and where they are.
struct Shop {
    root: TempDir,
    server: Server,
    client: Client,
}

impl Shop {
    fn open() -> Self {
        let root = tempfile::tempdir().unwrap();
        let server = Server::start(options(&root.path().join("data")).env("HOLDFAST__BACKUP__DIR", root.path().join("backups")));
        let client = Client::new(&server.url());
        client.json(&Request::put("/v1/inventory/MUG/locations/main", 0, &json!({"on_hand": 100_000_000}))).unwrap();
        Self { root, server, client }
    }

    fn backups(&self) -> PathBuf {
        self.root.path().join("backups")
    }

    fn make(&self) -> Answer {
        self.client.patiently().ask(&Request::press(MAKE)).unwrap()
    }

    /// A log that takes a while to copy.
    fn grow(&self) {
        for number in 0..LARGE {
            let padding: Vec<String> = (0..400).map(|word| format!("{:032x}", word * 7919 + number)).collect();
            place(&self.client, &format!("large-{number}"), &json!({"padding": padding})).unwrap();
        }
    }

    fn run(&self, args: &[&str]) -> (bool, String) {
        let (status, said) = self.server.run(args);
        (status.success(), said)
    }

    /// A server on what is restored of a backup, once that is verified.
    fn restore(&self, backup: &Path, name: &str) -> (Server, Client, Value) {
        let dir = self.root.path().join(name);
        let (backup, shown) = (backup.display().to_string(), dir.display().to_string());
        let (ok, said) = self.run(&["restore", "--json", "--from", &backup, "--data-dir", &shown]);
        assert!(ok, "{said}");
        let told: Value = serde_json::from_str(&said).unwrap();
        let (ok, said) = self.run(&["verify", "--data-dir", &shown]);
        assert!(ok, "{said}");
        let server = Server::start(options(&dir));
        let client = Client::new(&server.url());
        (server, client, told)
    }
}

fn options(dir: &Path) -> Options {
    Options::new().data_dir(dir).env("HOLDFAST__DATA__PARTITIONS", "4").env("HOLDFAST__ENGINE__SNAPSHOT_EVENTS", "200")
}

fn place(client: &Client, key: &str, metadata: &Value) -> Option<Placed> {
    let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": "MUG", "quantity": 1, "unit_price": 250}],
        "metadata": metadata});
    let request = Request::keyed("/v1/orders", key, &body);
    let Reached::Answered(answer) = client.send(&request) else { return None };
    assert_eq!(answer.status, 201, "{}", answer.shown());
    let order = answer.json();
    Some(Placed { request, id: answer.text("id"), number: order["number"].as_u64().unwrap() })
}

/// Buyers who place and end their orders until they are told to stop.
fn buy<'scope>(scope: &'scope Scope<'scope, '_>, url: &'scope str, placed: &'scope Mutex<Vec<Placed>>, over: &'scope AtomicBool) {
    for buyer in 0..BUYERS {
        scope.spawn(move || {
            let client = Client::new(url);
            for n in (0..).take_while(|_| !over.load(Ordering::SeqCst)) {
                let Some(order) = place(&client, &format!("{buyer}-{n}"), &json!({})) else { continue };
                let action = ["cancel", "confirm", ""][n % 3];
                if !action.is_empty() {
                    client.send(&Request::press(format!("/v1/orders/{}:{action}", order.id)));
                }
                placed.lock().unwrap().push(order);
            }
        });
    }
}

fn wait_for(placed: &Mutex<Vec<Placed>>, count: usize) {
    let reached = poll(PATIENCE, || (placed.lock().unwrap().len() >= count).then_some(()));
    assert!(reached.is_some(), "{} orders in {PATIENCE:?}", placed.lock().unwrap().len());
}

/// The cursor behind everything there is.
fn end_of_events(client: &Client) -> String {
    let mut after = String::new();
    loop {
        let page = client.json(&Request::get(format!("/v1/events?limit=1000&after={after}"))).unwrap();
        if page["events"].as_array().unwrap().is_empty() {
            return after;
        }
        page["next"].as_str().unwrap().clone_into(&mut after);
    }
}

#[test]
fn a_backup_under_load_has_every_order_acknowledged_before_it_and_numbers_and_cursors_do_not_come_again() {
    if on_cluster() {
        return;
    }
    let shop = Shop::open();
    let url = shop.server.url();
    let (placed, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let mut backups = Vec::new();
    std::thread::scope(|scope| {
        buy(scope, &url, &placed, &over);
        for n in 1..=BACKUPS {
            wait_for(&placed, n * BETWEEN);
            let promised = placed.lock().unwrap().clone();
            let answer = shop.make();
            assert_eq!(answer.status, 201, "{}", answer.shown());
            backups.push((promised, answer.json()));
        }
        wait_for(&placed, (BACKUPS + 1) * BETWEEN);
        over.store(true, Ordering::SeqCst);
    });
    let all = placed.into_inner().unwrap();
    let highest = all.iter().map(|order| order.number).max().unwrap();
    let cursor = end_of_events(&shop.client);
    for (n, (promised, told)) in backups.iter().enumerate() {
        let backup = shop.backups().join(told["name"].as_str().unwrap());
        let (_server, client, restored) = shop.restore(&backup, &format!("restored-{n}"));
        assert_eq!((&restored["commit"], &restored["events"]), (&told["commit"], &told["events"]));
        assert!(promised.len() >= BETWEEN * (n + 1));
        promised.iter().for_each(|order| is_kept(&client, order));
        let after = Request::get(format!("/v1/events?after={cursor}"));
        let refused = client.ask(&after).unwrap();
        assert_eq!((refused.status, refused.text("code")), (409, "cursor_not_of_this_history".to_owned()));
        let new = place(&client, "new", &json!({})).unwrap();
        assert!(new.number > highest, "{} after {highest}", new.number);
        assert!(new.number >= restored["next_order_number"].as_u64().unwrap());
        let audit = client.patiently().ask(&Request::press("/admin/v1/audit")).unwrap();
        assert_eq!(audit.json()["ok"], true, "{}", audit.shown());
    }
}

/// The order is there, and its request brings no second one.
#[track_caller]
fn is_kept(client: &Client, order: &Placed) {
    let shown = client.json(&Request::get(format!("/v1/orders/{}", order.id))).unwrap();
    assert_eq!(shown["number"], order.number, "{shown}");
    let again = client.ask(&order.request).unwrap();
    assert_eq!((again.status, again.replayed, again.text("id")), (201, true, order.id.clone()), "{}", again.shown());
}

/// Kills the server as soon as there is something of a backup. False if that was whole before.
fn killed_while_it_makes_one(shop: &mut Shop) -> bool {
    let done = AtomicBool::new(false);
    let partial = |dir: &Path| {
        let names = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
        names.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "partial"))
    };
    let (dir, url) = (shop.backups(), shop.server.url());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It dies under this request, or answers it.
            drop(Client::new(&url).send(&Request::press(MAKE)));
            done.store(true, Ordering::SeqCst);
        });
        poll(PATIENCE, || (partial(&dir).is_some() || done.load(Ordering::SeqCst)).then_some(()));
        shop.server.kill();
    });
    partial(&dir).is_some()
}

#[test]
fn a_kill_while_a_backup_is_made_leaves_nothing_that_a_restore_believes_and_the_next_one_clears_it() {
    if on_cluster() {
        return;
    }
    let mut shop = Shop::open();
    shop.grow();
    let killed = poll(PATIENCE, || {
        let killed = killed_while_it_makes_one(&mut shop);
        shop.server.restart();
        killed.then_some(())
    });
    assert!(killed.is_some(), "no backup was ever caught half made");
    let names = || -> Vec<PathBuf> { fs::read_dir(shop.backups()).unwrap().map(|entry| entry.unwrap().path()).collect() };
    for left in names().iter().filter(|path| path.extension().is_some_and(|extension| extension == "partial")) {
        let (from, to) = (left.display().to_string(), shop.root.path().join("restored"));
        let (ok, _) = shop.run(&["restore", "--from", &from, "--data-dir", &to.display().to_string()]);
        assert!(!ok && !to.exists(), "{from} was believed");
    }
    let made = shop.make();
    assert_eq!(made.status, 201, "{}", made.shown());
    let names = names();
    assert!(names.iter().all(|path| path.extension().is_none_or(|extension| extension != "partial")), "{names:?}");
    let (_server, client, _) = shop.restore(&shop.backups().join(made.text("name")), "restored");
    assert_eq!(client.json(&Request::get("/v1/inventory/MUG")).unwrap()["held"], LARGE);
}

#[test]
fn one_backup_is_made_at_a_time() {
    if on_cluster() {
        return;
    }
    let shop = Shop::open();
    shop.grow();
    let refused = poll(PATIENCE, || {
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| shop.make())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.iter().any(|answer| answer.status == 201), "{answers:?}");
        answers.into_iter().find(|answer| answer.status == 409)
    });
    assert_eq!(refused.unwrap().text("code"), "backup_in_progress");
}

/// A stop does not wait for a backup, and a server that stops leaves none that is half made.
#[test]
fn a_server_that_stops_while_it_makes_a_backup_stops_in_order_and_leaves_none() {
    if on_cluster() {
        return;
    }
    let mut shop = Shop::open();
    shop.grow();
    let url = shop.server.url();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(Client::new(&url).patiently().send(&Request::press(MAKE))));
        poll(PATIENCE, || shop.backups().exists().then_some(()));
        assert!(shop.server.terminate().success(), "{}", shop.server.log());
    });
    for entry in fs::read_dir(shop.backups()).unwrap() {
        let path = entry.unwrap().path();
        let (ok, said) = shop.run(&["verify", "--data-dir", &path.display().to_string()]);
        assert!(ok, "{} is left: {said}", path.display());
    }
    let (sound, said) = shop.server.verify();
    assert!(sound, "{said}");
}
