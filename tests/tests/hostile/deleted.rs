//! The data directory, or a file that is in use, is taken away under a server that takes orders. It used to go on and acknowledge
//! orders into files that had no name any more: all of them were gone when it ended.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Reached, Request};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SKU: &str = "UNIT";
const BUYERS: usize = 4;
/// A server notices within a second; a busy machine is given more.
const PATIENCE: Duration = Duration::from_secs(30);

/// How an order is refused of which nothing was executed.
const NOT_EXECUTED: [&str; 2] = ["durability_unavailable", "shutting_down"];

/// What buyers were told, and when they had asked.
#[derive(Default)]
struct Told {
    acknowledged: Vec<(Instant, String)>,
    refused: u64,
    wrong: Vec<String>,
}

fn order(client: &Client, key: &str) -> (Instant, Reached) {
    let body = json!({"customer_id": "ada", "lines": [{"sku": SKU, "quantity": 1, "unit_price": 100}], "currency": "EUR", "ttl_seconds": 86_400});
    let asked = Instant::now();
    (asked, client.send(&Request::keyed("/v1/orders", key, &body)))
}

fn stock(url: &str) {
    let path = format!("/v1/inventory/{SKU}/locations/main");
    let answer = Client::new(url).ask(&Request::put(path, 0, &json!({"on_hand": 10_000_000}))).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.shown());
}

/// Buys until told to stop, and says what came of it. Waits a moment when the server does not answer.
fn buy(url: &str, buyer: usize, told: &Mutex<Told>, stop: &AtomicBool) {
    let client = Client::new(url);
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let (asked, reached) = order(&client, &format!("{buyer}-{number}"));
        let mut told = told.lock().unwrap();
        match reached {
            Reached::Answered(answer) if answer.status == 201 => told.acknowledged.push((asked, answer.text("id"))),
            // As the engine is down, or in the moment in which the process ends.
            Reached::Refused(answer) if NOT_EXECUTED.contains(&answer.text("code").as_str()) => told.refused += 1,
            Reached::Answered(answer) | Reached::Refused(answer) => told.wrong.push(answer.shown()),
            Reached::Unknown => {
                drop(told);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Has buyers order while `lose` takes something away, and everything until the server has ended.
fn buyers_lose(server: &mut Server, lose: fn(&Path)) -> (Instant, Told) {
    let (told, stop) = (Mutex::new(Told::default()), AtomicBool::new(false));
    let (url, data) = (server.url(), server.data_dir().to_owned());
    stock(&url);
    let lost = std::thread::scope(|scope| {
        for buyer in 0..BUYERS {
            let (url, told, stop) = (&url, &told, &stop);
            scope.spawn(move || buy(url, buyer, told, stop));
        }
        let under_way = poll(PATIENCE, || (told.lock().unwrap().acknowledged.len() >= 50).then_some(()));
        lose(&data);
        let lost = Instant::now();
        let ended = server.wait_for_exit(PATIENCE);
        stop.store(true, Ordering::SeqCst);
        assert!(under_way.is_some(), "no orders before: {:?}", told.lock().unwrap().wrong.first());
        assert_ended_with_advice(server, ended);
        lost
    });
    (lost, told.into_inner().unwrap())
}

fn assert_ended_with_advice(server: &Server, ended: Option<std::process::ExitStatus>) {
    let log = server.log();
    assert!(ended.is_some_and(|status| !status.success()), "it runs on, or ended as if all were well: {ended:?}\n{log}");
    assert!(log.contains("was removed or replaced while it was in use"), "it does not say what happened\n{log}");
    assert!(log.contains("holdfast restore"), "it does not say what to do\n{log}");
}

fn away(data: &Path) -> PathBuf {
    data.with_extension("away")
}

fn move_away(data: &Path) {
    fs::rename(data, away(data)).unwrap();
}

fn replace_by_an_empty_one(data: &Path) {
    move_away(data);
    fs::create_dir(data).unwrap();
}

fn remove(data: &Path) {
    // What the server writes meanwhile may be in the way.
    while data.exists() {
        let _ = fs::remove_dir_all(data);
    }
}

fn remove_the_file_of_the_log(data: &Path) {
    let newest = fs::read_dir(data.join("log")).unwrap().map(|file| file.unwrap().path());
    fs::remove_file(newest.filter(|path| path.extension().is_some_and(|end| end == "log")).max().unwrap()).unwrap();
}

fn remove_the_log(data: &Path) {
    fs::remove_dir_all(data.join("log")).unwrap();
}

type Loss = (&'static str, fn(&Path));

const LOSSES: [Loss; 5] = [
    ("the directory is removed", remove),
    ("it is moved away", move_away),
    ("it is replaced by an empty one", replace_by_an_empty_one),
    ("the log is removed", remove_the_log),
    ("a file of the log is removed", remove_the_file_of_the_log),
];

#[test]
fn no_order_is_acknowledged_into_files_that_were_taken_away_and_the_server_ends_with_advice() {
    for (name, lose) in LOSSES {
        let mut server = Server::start(Options::new());
        let (lost, told) = buyers_lose(&mut server, lose);
        let late = told.acknowledged.iter().filter(|(asked, _)| *asked > lost).count();
        assert_eq!(late, 0, "{name}: asked for afterwards and acknowledged");
        assert!(told.wrong.is_empty(), "{name}: {:?}", told.wrong);
        eprintln!("{name}: {} acknowledged before, {} refused", told.acknowledged.len(), told.refused);
    }
}

#[test]
fn what_was_acknowledged_before_a_directory_was_moved_away_is_in_it() {
    let mut server = Server::start(Options::new());
    let (_, told) = buyers_lose(&mut server, move_away);
    let back = Server::start(Options::new().data_dir(away(server.data_dir())));
    let client = Client::new(&back.url());
    let gone = |id: &&String| !client.ask(&Request::get(format!("/v1/orders/{id}"))).is_ok_and(|answer| answer.status == 200);
    let gone: Vec<_> = told.acknowledged.iter().map(|(_, id)| id).filter(gone).collect();
    assert!(gone.is_empty(), "acknowledged and gone: {gone:?}");
}

#[test]
fn a_directory_that_is_taken_away_while_nobody_orders_is_noticed_too() {
    for lose in [remove, |data: &Path| fs::remove_file(data.join("holdfast.lock")).unwrap()] {
        let mut server = Server::start(Options::new());
        stock(&server.url());
        lose(server.data_dir());
        let ended = server.wait_for_exit(PATIENCE);
        assert_ended_with_advice(&server, ended);
    }
}
