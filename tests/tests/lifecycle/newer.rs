//! Data that a newer build wrote: this one neither audits nor serves it, changes nothing, and says what to do.

use holdfast_engine::codec::{Batch, sections, version};
use holdfast_engine::event::{Event, PartitionFact, Record};
use holdfast_engine::ids::{PartitionId, Partitions};
use holdfast_engine::partition::Partition;
use holdfast_engine::time::Policy;
use holdfast_storage::embedded::EmbeddedJournal;
use holdfast_storage::{Log, LogId, Snapshot, Snapshots, recovery};
use holdfast_tests::server::{Options, Server};
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an entry before its record, which begins with its version.
const ENTRY: usize = 14;
const PARTITION: PartitionId = PartitionId(0);

/// The journal, and its first partition as it is.
fn opened(data: &Path) -> (EmbeddedJournal, Partition) {
    let journal = EmbeddedJournal::open(data, Partitions::new(64).unwrap()).unwrap();
    let mut partitions = recovery::recover(&journal, &[PARTITION], &Policy::default(), &mut |_, _| ()).unwrap();
    (journal, partitions.pop().unwrap())
}

fn record_of_a_version_to_come(data: &Path) {
    let (journal, partition) = opened(data);
    let event = Event::Partition(PartitionFact::Restored { placed: 1, restored_at: partition.at() });
    let mut batch = Batch::default();
    batch.push(PARTITION, &Record { seq: partition.seq() + 1, at: partition.at(), event });
    batch.entries[ENTRY] = version::RECORD + 1;
    journal.append(LogId(0), &batch).unwrap();
}

fn snapshot_with(data: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let (journal, partition) = opened(data);
    let mut state = partition.snapshot();
    change(&mut state);
    let after = journal.end(LogId(0));
    journal.save_snapshot(&Snapshot { partition: PARTITION, seq: partition.seq(), after, state }).unwrap();
}

fn section_to_come(data: &Path) {
    let empty = [&(sections::NEWEST + 1).to_le_bytes()[..], &0u64.to_le_bytes()].concat();
    snapshot_with(data, |state| state.extend(empty));
}

fn snapshot_of_a_version_to_come(data: &Path) {
    snapshot_with(data, |state| state[0] = version::SNAPSHOT + 1);
}

fn tables_of_another_layout(data: &Path) {
    std::fs::write(data.join("tables/version"), b"FJL\x04").unwrap();
}

#[test]
fn data_of_a_newer_build_is_refused_with_what_to_do() {
    struct Case {
        rule: &'static str,
        newer: fn(&Path),
        says: [&'static str; 2],
    }
    let start = "Start the version that wrote it, or a newer one.";
    let cases = [
        Case { rule: "record", newer: record_of_a_version_to_come, says: ["cannot be read: its record version is", start] },
        Case { rule: "section", newer: section_to_come, says: ["which this build does not know", start] },
        Case { rule: "snapshot", newer: snapshot_of_a_version_to_come, says: ["snapshot version is", start] },
        Case {
            rule: "tables",
            newer: tables_of_another_layout,
            says: ["of another version", "Open the data with the version that wrote it"],
        },
    ];
    for Case { rule, newer, says } in cases {
        let mut server = Server::start(Options::new().env("HOLDFAST__JOURNAL__BACKEND", "embedded"));
        assert!(server.terminate().success());
        newer(server.data_dir());
        let (ok, told) = server.verify();
        assert!(!ok && says.iter().all(|part| told.contains(part)), "verify, {rule}: {told}");
        server.launch();
        let ended = server.wait_for_exit(PATIENCE);
        let log = server.log();
        assert!(ended.is_some_and(|status| !status.success()), "serve, {rule}: {log}");
        assert!(says.iter().all(|part| log.contains(part)) && !log.contains("panicked"), "serve, {rule}: {log}");
    }
}
