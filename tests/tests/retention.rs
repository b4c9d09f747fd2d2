//! A journal that is not kept for ever, on a real cluster: what is left serves and proves itself, and says what is gone.
//!
//! `HOLDFAST__SCYLLA__NODES` names the cluster; without it the test says that it was skipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_storage::conformance::{World, partitions};
use holdfast_storage::cql::{CqlJournal, Options};
use holdfast_storage::retention::{self, purge};
use holdfast_storage::rows::{self, Projector};
use holdfast_storage::{Log, LogSeq, Snapshots};
use holdfast_tests::cassandra::Cassandra;
use holdfast_tests::server::{self, Server};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::json;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

const ALL: retention::Options = retention::Options { keep: Duration::ZERO, publishes: false };

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
        let journal = self.journal.clone();
        let (projector, thread) = Projector::start(journal, rows::Options::default(), Box::new(|_| {})).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        projector.flush(Box::new(move |flushed| tell.send(flushed.is_ok()).unwrap()));
        assert!(told.recv().unwrap());
        drop(projector);
        thread.join().unwrap();
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
    let attempt = |data: &Data, options| purge(&*data.journal, options, || false).unwrap();
    data.pass_a_day();
    data.project();
    data.take_snapshots();
    assert_eq!(attempt(&data, ALL), 0, "there is one snapshot only");
    data.pass_a_day();
    data.take_snapshots();
    assert_eq!(attempt(&data, retention::Options { publishes: true, ..ALL }), 0, "nothing is published");
    assert_eq!(attempt(&data, retention::Options { keep: Duration::from_secs(3600), ..ALL }), 0, "all is of this hour");
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
    assert!(purge(&*data.journal, ALL, || false).unwrap() > 0);
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
