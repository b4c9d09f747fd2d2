//! What the embedded journal does on top of the contract: crashes, damage, locks, a full disk.

use super::*;
use crate::conformance::{World, frames, partitions, recovered};
use crate::contract::Journal;
use holdfast_engine::ids::Partitions;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

mod formats;

mod rules {
    use super::*;

    crate::conformance!({
        let dir = tempfile::tempdir().unwrap();
        move || -> Arc<dyn Journal> { Arc::new(EmbeddedJournal::open(dir.path(), partitions()).unwrap()) }
    });
}

const LOG: LogId = LogId(0);

fn open(dir: &Path) -> Result<EmbeddedJournal, Error> {
    EmbeddedJournal::open(dir, partitions())
}

/// Five commits and what is acknowledged after each.
struct Written {
    dir: TempDir,
    frames: Vec<(LogSeq, Vec<u8>)>,
    acknowledged: Vec<Vec<u8>>,
    /// The file of the log without the zeros behind its last commit.
    log: Vec<u8>,
}

impl Written {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::new(partitions());
        let journal = open(dir.path()).unwrap();
        let mut acknowledged = vec![fs::read(dir.path().join("acknowledged")).unwrap()];
        for n in 0..5 {
            journal.append(LOG, &world.set_stock(&format!("SKU-{n}"), 7)).unwrap();
            acknowledged.push(fs::read(dir.path().join("acknowledged")).unwrap());
        }
        let frames = frames(&journal, LOG, 0);
        drop(journal);
        let mut log = fs::read(log_of(&dir)).unwrap();
        log.truncate(log.iter().rposition(|byte| *byte != 0).unwrap() + 1);
        Self { dir, frames, acknowledged, log }
    }

    /// As if the last acknowledged commit had been `log`.
    fn acknowledge(&self, log: usize) {
        fs::write(self.dir.path().join("acknowledged"), &self.acknowledged[log]).unwrap();
    }

    fn write_log(&self, bytes: &[u8]) {
        fs::write(log_of(&self.dir), bytes).unwrap();
    }

    /// Where each commit begins, and where the last ends.
    fn starts(&self) -> Vec<usize> {
        let ends = self.frames.iter().scan(0, |end, (_, frame)| {
            *end += 12 + frame.len();
            Some(*end)
        });
        std::iter::once(0).chain(ends).collect()
    }

    fn damaged(&self) -> LogSeq {
        match open(self.dir.path()) {
            Err(Error::Damaged { record, .. }) => record,
            Err(other) => panic!("{other}"),
            Ok(journal) => panic!("opened with {} commits", journal.end(LOG)),
        }
    }
}

fn log_of(dir: &TempDir) -> PathBuf {
    dir.path().join("log/00000000000000000001.log")
}

fn ahead_of(dir: &TempDir) -> PathBuf {
    dir.path().join("tables/0.jnl")
}

#[test]
fn a_directory_in_use_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::Locked)));
    drop(journal);
    open(dir.path()).unwrap();
}

#[test]
fn the_number_of_partitions_is_that_of_the_creation() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let journal = EmbeddedJournal::open(dir.path(), Partitions::new(64).unwrap()).unwrap();
    assert_eq!(journal.partitions(), partitions());
}

#[test]
fn the_log_is_laid_out_as_expected() {
    let written = Written::new();
    assert_eq!(written.log.len(), *written.starts().last().unwrap());
}

#[test]
fn a_torn_tail_nobody_was_promised_is_cut_to_whole_commits() {
    let written = Written::new();
    let starts = written.starts();
    for torn in (starts[4] + 1..starts[5]).step_by(11) {
        let zeros = vec![0; starts[5] - torn];
        for tail in [&[][..], &zeros] {
            written.write_log(&[&written.log[..torn], tail].concat());
            written.acknowledge(4);
            let journal = open(written.dir.path()).unwrap();
            assert_eq!(frames(&journal, LOG, 0), written.frames[..4]);
        }
    }
}

/// A power failure may leave any blocks of the last write.
#[test]
fn a_torn_tail_with_a_wrong_checksum_is_cut_to_whole_commits() {
    let written = Written::new();
    let starts = written.starts();
    for hole in (starts[4] + 60..starts[5] - 40).step_by(17) {
        let mut bytes = written.log.clone();
        bytes[hole..hole + 20].fill(0);
        written.write_log(&bytes);
        written.acknowledge(4);
        let journal = open(written.dir.path()).unwrap();
        assert_eq!(frames(&journal, LOG, 0), written.frames[..4]);
    }
}

#[test]
fn the_log_goes_on_behind_a_cut_tail() {
    let written = Written::new();
    written.write_log(&written.log[..written.starts()[5] - 3]);
    written.acknowledge(4);
    let batch = World::new(partitions()).set_stock("NEXT", 1);
    assert_eq!(open(written.dir.path()).unwrap().append(LOG, &batch).unwrap(), 5);
    let journal = open(written.dir.path()).unwrap();
    assert_eq!(frames(&journal, LOG, 4), [(5, batch.frame())]);
}

/// A crash between the sync and the answer.
#[test]
fn a_whole_commit_nobody_was_promised_is_kept() {
    let written = Written::new();
    written.acknowledge(4);
    assert_eq!(frames(&open(written.dir.path()).unwrap(), LOG, 0), written.frames);
}

#[test]
fn a_log_that_ends_before_what_was_acknowledged_names_the_first_missing_commit() {
    let written = Written::new();
    let starts = written.starts();
    for (cut, missing) in [(starts[5] - 1, 5), (starts[4], 5), (starts[2] + 5, 3), (starts[1], 2), (0, 1)] {
        written.write_log(&written.log[..cut]);
        assert_eq!(written.damaged(), missing);
    }
    fs::remove_file(log_of(&written.dir)).unwrap();
    assert_eq!(written.damaged(), 1);
    fs::remove_dir_all(written.dir.path().join("tables")).unwrap();
    assert_eq!(written.damaged(), 1);
}

#[test]
fn a_flipped_byte_names_its_commit_and_nothing_is_cut() {
    let written = Written::new();
    let starts = written.starts();
    for at in (0..written.log.len()).step_by(7) {
        let mut bytes = written.log.clone();
        bytes[at] ^= 0x10;
        written.write_log(&bytes);
        let record = starts.iter().filter(|start| **start <= at).count() as LogSeq;
        assert_eq!(written.damaged(), record, "byte {at}");
        assert_eq!(fs::read(log_of(&written.dir)).unwrap(), bytes);
    }
    written.write_log(&written.log);
    assert_eq!(frames(&open(written.dir.path()).unwrap(), LOG, 0), written.frames);
}

#[test]
fn damage_before_a_later_commit_is_refused_whatever_was_acknowledged() {
    let written = Written::new();
    let mut bytes = written.log.clone();
    bytes[written.starts()[2] + 70] ^= 1;
    written.write_log(&bytes);
    // A power failure may leave an old number here, or none.
    for acknowledged in [2, 0] {
        written.acknowledge(acknowledged);
        assert_eq!(written.damaged(), 3);
    }
}

#[test]
fn damage_while_it_is_open_names_its_commit_to_readers() {
    let written = Written::new();
    let journal = open(written.dir.path()).unwrap();
    let read = || journal.read(LOG, 1, &mut |_, _| Ok(std::ops::ControlFlow::Continue(())));
    for (at, record) in [(written.starts()[3] - 1, 3), (written.starts()[3], 4)] {
        let mut bytes = written.log.clone();
        bytes[at] ^= 1;
        written.write_log(&bytes);
        assert!(matches!(read(), Err(Error::Damaged { record: named, .. }) if named == record));
    }
}

/// Two batches of rows, and the write-ahead file of the tables without the zeros behind them.
fn projected() -> (TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    for key in ["first", "second"] {
        let row = Row { table: Table::Orders, key: key.into(), value: vec![7; 300], version: 0 };
        journal.project(&[row]).unwrap();
    }
    drop(journal);
    let mut ahead = fs::read(ahead_of(&dir)).unwrap();
    ahead.truncate(ahead.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    (dir, ahead)
}

/// The database would never open again by itself where the checksum is wrong.
#[test]
fn a_torn_write_to_the_tables_is_cut() {
    let (dir, ahead) = projected();
    let mut hole = ahead.clone();
    hole[ahead.len() - 100..ahead.len() - 50].fill(0);
    let watermark = fs::read(dir.path().join("projected")).unwrap();
    for torn in [&ahead[..ahead.len() - 1], &ahead[..ahead.len() - 200], &hole] {
        fs::write(ahead_of(&dir), torn).unwrap();
        fs::remove_file(dir.path().join("projected")).unwrap();
        let journal = open(dir.path()).unwrap();
        assert!(journal.get(Table::Orders, b"first").unwrap().is_some());
        assert!(journal.get(Table::Orders, b"second").unwrap().is_none());
    }
    // Orders have left memory for rows that were reported.
    fs::write(dir.path().join("projected"), watermark).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::DamagedFile { file, .. }) if file.ends_with("tables")));
}

/// The database would cut the file there, with every row behind it.
#[test]
fn damage_in_the_middle_of_the_tables_is_refused() {
    let (dir, mut ahead) = projected();
    ahead[200] ^= 1;
    fs::write(ahead_of(&dir), &ahead).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::Damaged { reason, .. }) if reason.contains("tables")));
    assert_eq!(fs::read(ahead_of(&dir)).unwrap(), ahead);
}

/// Where the log has it all, a damaged snapshot costs time and nothing else.
#[test]
fn a_start_over_damaged_snapshots_is_the_fold_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(partitions());
    let journal = open(dir.path()).unwrap();
    for _ in 0..3 {
        world.busy_day().iter().for_each(|batch| assert!(journal.append(LOG, batch).unwrap() > 0));
        world.snapshots(|_| journal.end(LOG)).iter().for_each(|snapshot| journal.save_snapshot(snapshot).unwrap());
    }
    drop(journal);
    // Of the first partition the newest is cut, of the second both are.
    let newest_first = |partition| open(dir.path()).unwrap().snapshot_heads(PartitionId(partition)).unwrap();
    let [one, other] = newest_first(0)[..] else { panic!("two are kept") };
    assert!(one.seq > other.seq);
    for file in ["snapshots/0-a", "snapshots/1-a", "snapshots/1-b"] {
        let path = dir.path().join(file);
        let state = fs::read(&path).unwrap();
        fs::write(&path, &state[..state.len() - 1]).unwrap();
    }
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.snapshots(PartitionId(0)).unwrap()[0].head(), other);
    let whole: Vec<usize> = (0..3).map(|partition| journal.snapshots(PartitionId(partition)).unwrap().len()).collect();
    assert_eq!(whole, [1, 0, 2]);
    assert_eq!(recovered(&journal), world.hashes());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_everything_that_writes_until_it_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(partitions());
    let first = world.set_stock("SKU", 5);
    open(dir.path()).unwrap().append(LOG, &first).unwrap();
    let acknowledged = dir.path().join("acknowledged");
    fs::remove_file(&acknowledged).unwrap();
    std::os::unix::fs::symlink("/dev/full", &acknowledged).unwrap();

    let journal = open(dir.path()).unwrap();
    let second = world.set_stock("SKU", 6);
    assert!(matches!(journal.append(LOG, &second), Err(Error::Full)));
    assert!(matches!(journal.append(LOG, &second), Err(Error::Stopped)));
    assert!(matches!(journal.project(&[]), Err(Error::Stopped)));
    assert!(matches!(journal.save_snapshot(&world.snapshots(|_| 1)[0]), Err(Error::Stopped)));
    assert_eq!(frames(&journal, LOG, 0), [(1, first.frame())]);
    drop(journal);

    fs::remove_file(&acknowledged).unwrap();
    let journal = open(dir.path()).unwrap();
    // The outcome was unknown: here the commit is in the log, whole.
    assert_eq!(frames(&journal, LOG, 1), [(2, second.frame())]);
    assert_eq!(journal.append(LOG, &world.set_stock("SKU", 7)).unwrap(), 3);
}

/// The database alone would never open a directory whose creation was cut short.
#[test]
fn a_creation_that_was_cut_short_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let half = dir.path().join("tables.new");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("0.jnl"), b"").unwrap();
    fs::write(dir.path().join("holdfast.meta.new"), b"form").unwrap();
    assert_eq!(open(dir.path()).unwrap().end(LOG), 0);
    assert!(!half.exists());
}

/// Even where nobody remembers what was acknowledged, a log is never made anew over one with commits.
#[test]
fn a_log_without_its_tables_is_refused_and_kept() {
    let written = Written::new();
    fs::remove_dir_all(written.dir.path().join("tables")).unwrap();
    fs::remove_file(written.dir.path().join("acknowledged")).unwrap();
    assert_eq!(written.damaged(), 1);
    fs::remove_file(written.dir.path().join("holdfast.meta")).unwrap();
    assert!(matches!(open(written.dir.path()), Err(Error::DamagedFile { .. })));
    assert!(fs::read(log_of(&written.dir)).unwrap().starts_with(&written.log));
}

#[test]
fn data_with_another_number_of_partitions_is_refused_only_where_exactly_one_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let count = |count| Partitions::new(count).unwrap();
    drop(EmbeddedJournal::open(dir.path(), count(8)).unwrap());
    let wanted = |if_new, exactly, shards| WantedPartitions { if_new: count(if_new), exactly, shards };
    let open = |wanted| EmbeddedJournal::open(dir.path(), wanted).map(|journal| journal.partitions());
    assert_eq!(open(wanted(64, false, 8)).unwrap(), count(8));
    assert_eq!(open(wanted(8, true, 8)).unwrap(), count(8));
    assert!(matches!(open(wanted(64, true, 1)), Err(Error::OtherPartitions { found: 8, wanted: 64 })));
    assert!(matches!(open(wanted(64, false, 9)), Err(Error::TooManyShards { found: 8, shards: 9 })));
}

#[test]
fn too_many_shards_for_new_data_are_refused_before_it_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = WantedPartitions { if_new: Partitions::new(2).unwrap(), exactly: false, shards: 3 };
    assert!(matches!(EmbeddedJournal::open(dir.path(), wanted), Err(Error::TooManyShards { found: 2, shards: 3 })));
    assert!(!dir.path().join("holdfast.meta").exists());
}

#[test]
fn an_error_of_a_file_names_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("data");
    let error = open(&below).err().unwrap().to_string();
    assert!(error.contains(&below.display().to_string()), "{error}");
    fs::create_dir(dir.path().join("holdfast.lock")).unwrap();
    let error = open(dir.path()).err().unwrap().to_string();
    assert!(error.contains(&dir.path().join("holdfast.lock").display().to_string()), "{error}");
}

#[test]
fn the_data_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    drop(open(&dir).unwrap());
    let mode = || fs::metadata(&dir).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o700);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(&dir).unwrap());
    assert_eq!(mode(), 0o700, "data of old is not narrowed");
}

/// The database would have made an empty table in its place, and every closed order would have been unknown.
#[test]
fn a_table_that_is_gone_is_refused_and_not_made_anew() {
    for gone in ["current", ""] {
        for part in 0..creation::parts(description::FORMAT) {
            let dir = tempfile::tempdir().unwrap();
            drop(open(dir.path()).unwrap());
            let path = dir.path().join(format!("tables/keyspaces/{part}")).join(gone);
            if gone.is_empty() {
                fs::remove_dir_all(&path).unwrap()
            } else {
                fs::remove_file(&path).unwrap()
            }
            let said = open(dir.path()).err().unwrap().to_string();
            assert!(said.contains("parts of the tables are there") && said.contains("tables/keyspaces"), "{said}");
        }
    }
}
