//! The reference consumers against real brokers: every record delivered three times, killed on the way, and what they count is
//! what the shop sold.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::brokers::{Brokers, skip};
use holdfast_tests::server::{Server, poll};
use holdfast_tests::topics::{Kept, Topics};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(180);
const ORDERS: u64 = 60;

/// What a shop sold, and two topics that carry its events three times.
struct Sold {
    brokers: Arc<Brokers>,
    takings: Value,
}

/// Each record three times in a row.
const STUTTERED: &str = "stuttered";
/// All records, then all again, and again.
const REWOUND: &str = "rewound";

impl Sold {
    /// The one that the tests share. Nothing where brokers cannot run.
    fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Sold>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sold) = shared.upgrade() {
            return Some(sold);
        }
        let sold = Arc::new(Self::open(Brokers::shared()?));
        *shared = Arc::downgrade(&sold);
        Some(sold)
    }

    fn open(brokers: Arc<Brokers>) -> Self {
        let topics = Topics::at(brokers.address());
        let server = Server::start(brokers.publishing("sold").env("HOLDFAST__KAFKA__TOPIC_PARTITIONS", "4"));
        let takings = sell(&Client::new(&server.url()));
        let events = published(&server, &topics);
        for topic in [STUTTERED, REWOUND] {
            topics.create(topic, 4, &[]);
        }
        topics.put_again(STUTTERED, events.iter().flat_map(|event| [event, event, event]));
        (0..3).for_each(|_| topics.put_again(REWOUND, &events));
        Self { brokers, takings }
    }
}

/// Sells, and says what was taken in the words of the HTTP API.
fn sell(client: &Client) -> Value {
    client.json(&Request::put("/v1/inventory/MUG/locations/main", 0, &json!({"on_hand": 10_000}))).unwrap();
    let orders: Vec<Value> = (0..ORDERS).map(|number| place(client, number)).collect();
    let paid: Vec<&Value> = orders.iter().filter(|order| order["payment"].is_object()).collect();
    for order in &paid {
        let attempt = order["payment"]["attempt_id"].as_str().unwrap();
        client.json(&Request::press(format!("/sandbox/payments/{attempt}/approve?duplicates=1"))).unwrap();
    }
    let (mut count, mut amount) = (0, 0);
    for order in paid {
        let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
        let sold = poll(PATIENCE, || client.json(&Request::get(&path)).ok().filter(|order| order["status"] == "confirmed"));
        count += 1;
        amount += sold.unwrap()["total"].as_i64().unwrap();
    }
    json!({"EUR": {"orders": count, "amount": amount}})
}

/// Every third order is never paid.
fn place(client: &Client, number: u64) -> Value {
    let mut body = json!({"customer_id": "ada", "currency": "EUR",
        "lines": [{"sku": "MUG", "quantity": 1 + number % 3, "unit_price": 100 + number}]});
    if !number.is_multiple_of(3) {
        body["payment"] = json!({"provider": "sandbox"});
    }
    let answer = client.ask(&Request::keyed("/v1/orders", format!("order-{number}"), &body)).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.shown());
    answer.json()
}

/// The events of the server from its topic: at least those that its API shows now.
fn published(server: &Server, topics: &Topics) -> Vec<Kept> {
    let client = Client::new(&server.url());
    let page = client.json(&Request::get("/v1/events?limit=1000")).unwrap();
    let shown: BTreeSet<&str> = page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert!(shown.len() < 1000, "the events are more than a page");
    let whole = |events: &Vec<Kept>| {
        let ids: BTreeSet<&str> = events.iter().map(|event| event.headers["hf-id"].as_str()).collect();
        ids.is_superset(&shown)
    };
    poll(PATIENCE, || Some(topics.all("sold.events.v1")).filter(whole)).unwrap()
}

/// Runs a consumer on a topic: killed as soon as it has written something, then to the end, then once more.
#[track_caller]
fn counts_once(sold: &Sold, topic: &str, program: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let command = || {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(["--brokers", sold.brokers.address(), "--topic", topic, "--state"]).arg(&state);
        command.args(["--once", "--batch", "7"]);
        command
    };
    let mut killed = command().stdout(Stdio::null()).spawn().unwrap();
    poll(PATIENCE, || (state.exists() || killed.try_wait().unwrap().is_some()).then_some(())).unwrap();
    let _ = killed.kill();
    killed.wait().unwrap();
    for life in ["after a kill", "with nothing new"] {
        let output = command().output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{life}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), sold.takings, "{life}");
    }
}

#[test]
fn the_consumer_in_rust_counts_each_payment_once_of_records_delivered_three_times() {
    let Some(sold) = Sold::shared() else { return };
    for topic in [STUTTERED, REWOUND] {
        counts_once(&sold, topic, &[env!("CARGO_BIN_EXE_takings")]);
    }
}

#[test]
fn the_consumer_in_python_counts_each_payment_once_of_records_delivered_three_times() {
    let Some(sold) = Sold::shared() else { return };
    let python = match python() {
        Ok(python) => python.display().to_string(),
        Err(reason) => return skip("the reference consumer in Python", &reason),
    };
    let program = consumers().join("takings.py").display().to_string();
    for topic in [STUTTERED, REWOUND] {
        counts_once(&sold, topic, &[&python, &program]);
    }
}

fn consumers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("consumers")
}

/// A Python that has what the consumer needs: in an environment of its own, made once for a target directory.
fn python() -> Result<PathBuf, String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("consumers");
    let python = home.join("bin/python");
    let requirements = consumers().join("requirements.txt");
    run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(&python).args(quiet).arg(&requirements))?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    output.status.success().then_some(()).ok_or_else(|| format!("{shown}: {}", String::from_utf8_lossy(&output.stderr)))
}
