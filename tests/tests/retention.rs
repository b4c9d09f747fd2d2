//! A journal that is not kept for ever: what is left serves and proves itself, and says what is gone.
//!
//! In a data directory, and on a real cluster: `HOLDFAST__SCYLLA__NODES` names it; without it those tests say that they were skipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_engine::codec::Batch;
use holdfast_engine::ids::OrderId;
use holdfast_engine::time::Timestamp;
use holdfast_storage::conformance::{World, partitions};
use holdfast_storage::cql::{CqlJournal, Options};
use holdfast_storage::embedded::EmbeddedJournal;
use holdfast_storage::retention::{self, Purger};
use holdfast_storage::rows::{self, Projector};
use holdfast_storage::{Journal, Log, LogId, LogSeq, Snapshots};
use holdfast_tests::cassandra::Cassandra;
use holdfast_tests::server::{self, Server};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const ALL: retention::Options = retention::Options { age: Some(Duration::ZERO), bytes: None, publishes: false };

/// Commits that a pass deletes, at this time.
fn purged(journal: &dyn Journal, options: retention::Options, now: Timestamp) -> u64 {
    Purger::new(options).pass(journal, now, || false).unwrap().deleted
}

fn project(journal: Arc<dyn Journal>) {
    let (projector, thread) = Projector::start(journal, rows::Options::default(), Box::new(|_| {})).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    projector.flush(Box::new(move |flushed| tell.send(flushed.is_ok()).unwrap()));
    assert!(told.recv().unwrap());
    drop(projector);
    thread.join().unwrap();
}

/// A data directory whose log has a file for each of three days, of which the first was deleted.
struct Directory {
    root: TempDir,
    first: LogSeq,
    /// Placed on the first day.
    order: OrderId,
}

impl Directory {
    fn purged() -> Self {
        let root = tempfile::tempdir().unwrap();
        let journal = Arc::new(EmbeddedJournal::open(&root.path().join("data"), partitions()).unwrap());
        let mut world = World::new(partitions());
        let mut placed = Vec::new();
        for _ in 0..3 {
            let mut day: Vec<Batch> = world.busy_day();
            let (order, batch) = world.place_noted(&["SKU-1"], 1_200_000);
            day.push(batch);
            placed.push(order);
            for batch in &day {
                journal.append(LogId(0), batch).unwrap();
            }
            let snapshots = world.snapshots(|_| journal.end(LogId(0)));
            snapshots.iter().for_each(|snapshot| rows::save_snapshot(&*journal, snapshot).unwrap());
        }
        project(journal.clone());
        assert!(purged(&*journal, ALL, world.now().plus(1)) > 0);
        let first = journal.first(LogId(0)).unwrap();
        Self { root, first, order: placed[0] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The days of `World` are of 1970, far from any clock.
    fn serve(&self, name: &str) -> Server {
        Server::start(server::Options::new().data_dir(self.path(name)).arg("--accept-clock"))
    }
}

/// What is gone is refused, what is left is served and audited.
fn serves(server: &mut Server, &Directory { first, order, .. }: &Directory) {
    let client = Client::new(&server.url());
    let audit = client.json(&Request::post("/admin/v1/audit", &json!({}))).unwrap();
    assert_eq!(audit["ok"], true, "{audit}");
    let page = client.json(&Request::get("/v1/events?limit=1000")).unwrap();
    let begins = &page["events"].as_array().unwrap()[0];
    assert!(begins["sequence"].as_u64().unwrap() > 1, "{begins}");
    for cursor in ["1-1".to_owned(), format!("{}-1", first - 2)] {
        for path in ["/v1/events", "/v1/events/stream"] {
            let answer = client.ask(&Request::get(format!("{path}?after={cursor}"))).unwrap();
            assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), (410, "cursor_expired"), "{path} {cursor}");
        }
    }
    let answer = client.ask(&Request::get(format!("/v1/orders/ord_{order}"))).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.shown());
    assert!(server.terminate().success());
    let (sound, said) = server.verify();
    let proof: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(sound && proof["purged_commits"] == first - 1, "{said}");
}

#[test]
fn a_directory_without_its_beginning_serves_proves_itself_and_says_what_is_gone() {
    let directory = Directory::purged();
    serves(&mut directory.serve("data"), &directory);
}

#[test]
fn a_directory_without_its_beginning_is_backed_up_and_what_is_restored_serves_the_same() {
    let directory = Directory::purged();
    let server = Server::prepare(server::Options::new().data_dir(directory.path("data")));
    let [data, backup, restored] = ["data", "backup", "restored"].map(|name| directory.path(name).display().to_string());
    for args in [
        vec!["backup", "--data-dir", &data, "--to", &backup],
        vec!["verify", "--data-dir", &backup],
        vec!["restore", "--data-dir", &restored, "--from", &backup],
    ] {
        let (status, said) = server.run(&args);
        assert!(status.success(), "{args:?}: {said}");
    }
    serves(&mut directory.serve("restored"), &directory);
}

/// A keyspace with segments so short that a day fills many.
struct Data {
    options: Options,
    journal: Arc<CqlJournal>,
    world: World,
}

impl Data {
    fn new(cluster: &Cassandra, keyspace: &str) -> Self {
        let keyspace = format!("{keyspace}_{}", std::process::id());
        let nodes = cluster.addresses().to_vec();
        let replication = if nodes.len() < 3 { 1 } else { 3 };
        let options = Options { nodes, keyspace, replication, segment_batches: 2, ..Options::default() };
        let journal = Arc::new(CqlJournal::open(&options, partitions()).unwrap());
        Self { options, journal, world: World::new(partitions()) }
    }

    fn pass_a_day(&mut self) {
        for batch in self.world.busy_day() {
            for (partition, part) in batch.by_partition() {
                self.journal.append(self.journal.log_of(partition), &part).unwrap();
            }
        }
    }

    fn take_snapshots(&self) {
        let snapshots = self.world.snapshots(|id| self.journal.end(self.journal.log_of(id)));
        snapshots.iter().for_each(|snapshot| self.journal.save_snapshot(snapshot).unwrap());
    }

    fn project(&self) {
        project(self.journal.clone());
    }

    fn firsts(&self) -> Vec<LogSeq> {
        self.journal.logs().into_iter().map(|log| self.journal.first(log).unwrap()).collect()
    }

    /// The server's own binary takes the keyspace over. The days of `World` are of 1970, far from any clock.
    fn serve(&self) -> Server {
        let Options { nodes, keyspace, replication, .. } = &self.options;
        let options = server::Options::new().on_cluster(&nodes.join(","), *replication as usize, keyspace);
        Server::start(options.arg("--accept-clock"))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        CqlJournal::drop_keyspace(&self.options).unwrap_or_else(|error| eprintln!("{error}"));
    }
}

fn cluster() -> Option<Cassandra> {
    let named = Cassandra::named();
    if named.is_none() {
        assert!(std::env::var_os("HOLDFAST_REQUIRE_SERVERS").is_none(), "HOLDFAST__SCYLLA__NODES is not set");
        // Not `eprintln!`: the harness would keep it to itself.
        let told = b"SKIPPED: no CQL cluster. Start one with `tests/servers start cassandra 1` and export what it prints.\n";
        std::io::stderr().write_all(told).unwrap();
    }
    named
}

#[test]
fn nothing_goes_that_a_snapshot_a_projection_or_the_relay_still_needs() {
    let Some(cluster) = cluster() else { return };
    let mut data = Data::new(&cluster, "hf_retention_needs");
    let now = holdfast_actors::clock::wall;
    let attempt = |data: &Data, options| purged(&*data.journal, options, now().plus(1));
    data.pass_a_day();
    data.project();
    data.take_snapshots();
    assert_eq!(attempt(&data, ALL), 0, "there is one snapshot only");
    data.pass_a_day();
    data.take_snapshots();
    assert_eq!(attempt(&data, retention::Options { publishes: true, ..ALL }), 0, "nothing is published");
    assert_eq!(attempt(&data, retention::Options { age: Some(Duration::from_secs(3600)), ..ALL }), 0, "all is of this hour");
    let deleted = attempt(&data, ALL);
    assert!(deleted > 0);
    assert_eq!(data.firsts().iter().sum::<LogSeq>(), deleted + data.firsts().len() as LogSeq);
    assert_eq!(attempt(&data, ALL), 0, "the rest waits for the projections");
    data.pass_a_day();
    data.take_snapshots();
    data.project();
    assert!(attempt(&data, ALL) > 0);
}

#[test]
fn a_purged_journal_serves_proves_itself_and_says_what_is_gone() {
    let Some(cluster) = cluster() else { return };
    let mut data = Data::new(&cluster, "hf_retention_serves");
    for _ in 0..3 {
        data.pass_a_day();
        data.take_snapshots();
    }
    data.project();
    assert!(purged(&*data.journal, ALL, holdfast_actors::clock::wall().plus(1)) > 0);
    let (firsts, logs) = (data.firsts(), data.journal.logs());
    let purged = firsts.iter().position(|first| *first > 1).unwrap();
    let mut server = data.serve();
    let client = Client::new(&server.url());
    let audit = client.json(&Request::post("/admin/v1/audit", &json!({}))).unwrap();
    assert_eq!(audit["ok"], true, "{audit}");
    let page = client.json(&Request::get("/v1/events?limit=1000")).unwrap();
    let begins = page["events"].as_array().unwrap().iter().find(|event| event["partition"] == logs[purged].0).unwrap();
    assert!(begins["sequence"].as_u64().unwrap() > 1, "{begins}");
    let place = if purged == 0 { String::new() } else { format!("{}.", logs[purged].0) };
    let answer = client.ask(&Request::get(format!("/v1/events?after={place}1-1"))).unwrap();
    assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), (410, "cursor_expired"));
    assert!(server.terminate().success());
    let (sound, said) = server.verify();
    assert!(sound, "{said}");
}
