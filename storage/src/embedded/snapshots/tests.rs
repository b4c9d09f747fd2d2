//! What is found in the files of snapshots after crashes, damage and failed writes.

use super::*;
use crate::conformance::{World, partitions};
use crate::contract::{Log, LogId, Row, Rows, Snapshots, Table};
use crate::embedded::EmbeddedJournal;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const OF: PartitionId = PartitionId(3);
const BASIS: CommitCheck = CommitCheck { commit: 90, check: 0x0102_0304 };

fn snapshot(seq: Seq) -> Snapshot {
    let state = (0..2000 + seq).map(|n| (n * seq % 251) as u8).collect();
    Snapshot { partition: OF, seq, after: seq + 7, state }
}

fn saved(seqs: &[Seq]) -> (TempDir, Files) {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::open(&dir.path().join("snapshots")).unwrap();
    seqs.iter().for_each(|seq| files.save(&snapshot(*seq), BASIS).unwrap());
    (dir, files)
}

/// The sequences of those that are whole, newest first.
fn whole(files: &Files) -> Vec<Seq> {
    let loaded = files.heads(OF).into_iter().filter_map(|head| files.load(head));
    loaded.inspect(|found| assert_eq!(*found, snapshot(found.seq))).map(|found| found.seq).collect()
}

fn newest(files: &Files) -> PathBuf {
    let seq_of = |path: &PathBuf| head_of(path, OF).map(|head| head.of.seq);
    files.slots(OF).max_by_key(seq_of).unwrap()
}

#[test]
fn a_file_is_laid_out_as_data_has_it() {
    let (_dir, files) = saved(&[]);
    let snapshot = Snapshot { partition: OF, seq: 258, after: 3, state: b"state".to_vec() };
    files.save(&snapshot, BASIS).unwrap();
    let bytes = fs::read(files.dir.join("3-a")).unwrap();
    let mut head =
        b"HFS1\x03\0\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x5a\0\0\0\0\0\0\0\x04\x03\x02\x01\x05\0\0\0\0\0\0\0".to_vec();
    head.extend(crc32fast::hash(b"state").to_le_bytes());
    head.extend(crc32fast::hash(&head).to_le_bytes());
    assert_eq!(bytes, [head.as_slice(), b"state"].concat());
    assert_eq!(fs::metadata(files.dir.join("3-a")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_two_newest_are_kept_in_whatever_order_they_came() {
    for (seqs, kept) in [
        (&[][..], &[][..]),
        (&[5], &[5]),
        (&[9, 5], &[9, 5]),
        (&[5, 9, 7], &[9, 7]),
        (&[7, 9, 5], &[9, 7]),
        (&[1, 2, 3, 4, 5], &[5, 4]),
        (&[4, 5, 4, 5], &[5, 4]),
    ] {
        assert_eq!(whole(&saved(seqs).1), kept, "{seqs:?}");
    }
}

#[test]
fn of_a_changed_file_nothing_is_believed_and_the_one_before_it_is_used() {
    let (_dir, files) = saved(&[5, 9]);
    let path = newest(&files);
    let bytes = fs::read(&path).unwrap();
    for at in (0..HEAD).chain((HEAD..bytes.len()).step_by(97)) {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        fs::write(&path, changed).unwrap();
        assert_eq!(whole(&files), [5], "byte {at}");
    }
    for length in [0, 1, HEAD - 1, HEAD, HEAD + 1, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert_eq!(whole(&files), [5], "cut to {length}");
    }
    fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
    assert_eq!(whole(&files), [5], "longer");
    fs::remove_file(&path).unwrap();
    assert_eq!(whole(&files), [5], "removed");
    fs::write(&path, bytes).unwrap();
    assert_eq!(whole(&files), [9, 5]);
}

/// A copy under another name would be the state of another partition.
#[test]
fn a_file_of_another_partition_is_no_snapshot_of_this_one() {
    let (_dir, files) = saved(&[5]);
    fs::copy(files.dir.join("3-a"), files.dir.join("2-a")).unwrap();
    assert_eq!(files.heads(PartitionId(2)), []);
}

/// The write is cut anywhere, or it is whole and the rename is what did not happen.
#[test]
fn a_crash_while_one_is_written_leaves_those_before_it() {
    let (_dir, files) = saved(&[5, 9]);
    let (new, next) = (files.dir.join("3.new"), snapshot(11));
    write(&new, &Head::of(&next, BASIS), &next.state).unwrap();
    let bytes = fs::read(&new).unwrap();
    for length in [0, HEAD / 2, HEAD, bytes.len() / 2, bytes.len()] {
        fs::write(&new, &bytes[..length]).unwrap();
        let opened = Files::open(&files.dir).unwrap();
        assert_eq!(whole(&opened), [9, 5]);
        assert!(!new.exists(), "what is half written stays");
    }
    files.save(&next, BASIS).unwrap();
    assert_eq!(whole(&files), [11, 9]);
}

#[test]
fn a_damaged_one_is_replaced_before_a_whole_one_is() {
    let (_dir, files) = saved(&[5, 9]);
    fs::write(newest(&files), b"").unwrap();
    files.save(&snapshot(11), BASIS).unwrap();
    assert_eq!(whole(&files), [11, 5]);
}

/// A whole head says nothing of the state behind it.
#[test]
fn one_whose_state_was_found_damaged_is_replaced_before_a_whole_one_is() {
    let (_dir, files) = saved(&[5, 9]);
    let path = newest(&files);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(whole(&files), [5]);
    files.save(&snapshot(11), BASIS).unwrap();
    assert_eq!(whole(&files), [11, 5]);
    files.save(&snapshot(12), BASIS).unwrap();
    assert_eq!(whole(&files), [12, 11], "what took its place is whole");
}

/// The newest of a quiet partition is written under its own sequence.
#[test]
fn a_damaged_one_goes_when_the_whole_one_beside_it_is_written_again() {
    let (_dir, files) = saved(&[5, 9]);
    let partition = snapshot(9).partition;
    let older = files.heads(partition)[1];
    let path = files.slots(partition).find(|path| head_of(path, partition).is_some_and(|head| head.of == older)).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(whole(&files), [9]);
    files.save(&Snapshot { after: 90, ..snapshot(9) }, BASIS).unwrap();
    let heads = files.heads(partition);
    assert_eq!(heads.iter().map(|head| (head.seq, head.after)).collect::<Vec<_>>(), [(9, 90)]);
    assert!(!path.exists());
}

#[test]
fn the_basis_is_the_newest_commit_that_any_follows_from() {
    let (_dir, files) = saved(&[5, 9]);
    let later = CommitCheck { commit: 91, check: 1 };
    files.save(&Snapshot { partition: PartitionId(0), ..snapshot(2) }, later).unwrap();
    assert_eq!(files.basis(partitions()), Some(later));
    fs::remove_file(files.dir.join("0-a")).unwrap();
    assert_eq!(files.basis(partitions()), Some(BASIS));
    assert_eq!(saved(&[]).1.basis(partitions()), None);
}

const LOG: LogId = LogId(0);

/// A journal with a day in it, and its partitions.
fn lived(dir: &Path) -> (World, EmbeddedJournal) {
    let mut world = World::new(partitions());
    let journal = EmbeddedJournal::open(dir, partitions()).unwrap();
    world.busy_day().iter().for_each(|batch| assert!(journal.append(LOG, batch).unwrap() > 0));
    (world, journal)
}

#[test]
fn a_journal_whose_snapshots_cannot_be_written_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut world, journal) = lived(dir.path());
    fs::remove_dir(dir.path().join("snapshots")).unwrap();
    fs::write(dir.path().join("snapshots"), b"").unwrap();
    let snapshot = world.snapshots(|_| journal.end(LOG)).swap_remove(0);
    let said = journal.save_snapshot(&snapshot).unwrap_err().to_string();
    assert!(said.contains("the snapshot") && said.contains(&dir.path().display().to_string()), "{said}");
    journal.append(LOG, &world.set_stock("NEXT", 1)).unwrap();
    journal.project(&[Row { table: Table::Orders, key: b"key".to_vec(), value: Vec::new(), version: 0 }]).unwrap();
    assert_eq!(journal.snapshots(snapshot.partition).unwrap(), []);
}

#[test]
fn no_snapshot_is_put_into_a_directory_that_took_the_place_of_this_one() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let (world, journal) = lived(&dir);
    fs::rename(&dir, root.path().join("away")).unwrap();
    drop(EmbeddedJournal::open(&dir, partitions()).unwrap());
    let snapshot = world.snapshots(|_| journal.end(LOG)).swap_remove(0);
    assert!(matches!(journal.save_snapshot(&snapshot), Err(Error::Removed(_))));
    assert_eq!(fs::read_dir(dir.join("snapshots")).unwrap().count(), 0);
}

/// The tables say nothing of snapshots that were put beside them.
#[test]
fn snapshots_of_another_history_than_the_log_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| root.path().join(name));
    drop(lived(&one));
    let (mut world, journal) = lived(&other);
    journal.append(LOG, &world.set_stock("OTHER", 1)).unwrap();
    world.snapshots(|_| journal.end(LOG)).iter().for_each(|snapshot| journal.save_snapshot(snapshot).unwrap());
    drop(journal);
    let refused = |word: &str| {
        fs::remove_dir_all(one.join("snapshots")).unwrap();
        fs::create_dir(one.join("snapshots")).unwrap();
        for entry in fs::read_dir(other.join("snapshots")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), one.join("snapshots").join(entry.file_name())).unwrap();
        }
        let said = EmbeddedJournal::open(&one, partitions()).err().unwrap();
        assert!(matches!(&said, Error::Mixed(said) if said.contains(word) && said.contains("`snapshots`")), "{said}");
    };
    refused("they are newer than it");
    fs::remove_dir_all(one.join("snapshots")).unwrap();
    let journal = EmbeddedJournal::open(&one, partitions()).unwrap();
    journal.append(LOG, &World::new(partitions()).set_stock("ONE", 1)).unwrap();
    drop(journal);
    refused("they are of another copy");
}
