//! Formats of a data directory: what an earlier build wrote is upgraded, whole and once; what a later one wrote is refused.

use super::super::description::Description;
use super::*;

#[test]
fn data_of_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let description = dir.path().join("holdfast.meta");
    for text in ["format 5\npartitions 4\n", "format 0\npartitions 4\n"] {
        fs::write(&description, text).unwrap();
        assert!(matches!(open(dir.path()), Err(Error::Incompatible(_))), "{text:?}");
    }
    for text in ["", "format 2\n", "format 2\npartitions 0\n"] {
        fs::write(&description, text).unwrap();
        assert!(matches!(open(dir.path()), Err(Error::DamagedFile { .. })), "{text:?}");
    }
    fs::remove_file(&description).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::DamagedFile { .. })));
}

/// The data directory of [`Written`] as format 1 had it.
fn of_format_1(written: &Written) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let database = Layout::at(dir.path()).open(&dir.path().join("journal")).unwrap();
    let log = database.keyspace("log", fjall::KeyspaceCreateOptions::default).unwrap();
    for (commit, frame) in &written.frames {
        log.insert(commit.to_be_bytes(), frame.as_slice()).unwrap();
    }
    let orders = database.keyspace("orders", fjall::KeyspaceCreateOptions::default).unwrap();
    orders.insert(b"key", b"row").unwrap();
    database.persist(PersistMode::SyncAll).unwrap();
    fs::write(dir.path().join("holdfast.meta"), "format 1\npartitions 4\n").unwrap();
    fs::write(dir.path().join("acknowledged"), written.acknowledged.last().unwrap()).unwrap();
    dir
}

#[test]
fn data_of_format_1_is_upgraded_with_all_it_has() {
    let written = Written::new();
    let dir = of_format_1(&written);
    for _ in 0..2 {
        let journal = open(dir.path()).unwrap();
        assert_eq!(frames(&journal, LOG, 0), written.frames);
        assert_eq!(journal.get(Table::Orders, b"key").unwrap().as_deref(), Some(&b"row"[..]));
        assert!(!journal.database.keyspace_exists("log"));
    }
    let described = fs::read_to_string(dir.path().join("holdfast.meta")).unwrap();
    assert!(described.starts_with("format 4\npartitions 4\ncheck "), "{described}");
}

/// A crash behind the copy of the log, before that of the snapshots.
#[test]
fn an_upgrade_that_was_cut_short_at_format_2_goes_on() {
    let written = Written::new();
    let dir = of_format_1(&written);
    let layout = Layout::at(dir.path());
    layout.rename_database().unwrap();
    let database = layout.open(&layout.database).unwrap();
    creation::open_tables(&database).unwrap();
    let space = Space { dir: dir.path().to_owned(), reserve: 0 };
    upgrade::copy_log(&database, &layout, 5, &space).unwrap();
    layout.describe(description::LOG_IN_FILES, partitions()).unwrap();
    drop(database);
    assert_eq!(frames(&open(dir.path()).unwrap(), LOG, 0), written.frames);
}

#[test]
fn an_upgrade_that_was_cut_short_begins_again() {
    let written = Written::new();
    let dir = of_format_1(&written);
    fs::rename(dir.path().join("journal"), dir.path().join("tables")).unwrap();
    fs::create_dir(dir.path().join("log")).unwrap();
    fs::write(log_of(&dir), &written.log[..written.starts()[3]]).unwrap();
    assert_eq!(frames(&open(dir.path()).unwrap(), LOG, 0), written.frames);
}

#[test]
fn an_upgrade_names_the_commit_that_the_old_log_lacks() {
    let written = Written::new();
    for (missing, named) in [(1_u64, 1), (3, 3), (5, 5)] {
        let dir = of_format_1(&written);
        let database = Layout::at(dir.path()).open(&dir.path().join("journal")).unwrap();
        let log = database.keyspace("log", fjall::KeyspaceCreateOptions::default).unwrap();
        log.remove(missing.to_be_bytes()).unwrap();
        database.persist(PersistMode::SyncAll).unwrap();
        drop((log, database));
        assert!(matches!(open(dir.path()), Err(Error::Damaged { record, .. }) if record == named));
    }
}

/// A build of before format 3 did not find the rows of today: it opened the data and missed closed orders. The first builds of
/// format 2 wrote no checksum.
#[test]
fn a_description_of_an_earlier_build_gets_format_and_checksum_of_today_before_a_row_is_written() {
    let sealed = Description { format: 2, partitions: Partitions::new(4).unwrap(), sealed: true }.text();
    for earlier in [sealed.as_str(), "format 2\npartitions 4\n"] {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path()).unwrap();
        journal.database.keyspace("snapshots", fjall::KeyspaceCreateOptions::default).unwrap();
        drop(journal);
        let description = dir.path().join("holdfast.meta");
        let today = fs::read_to_string(&description).unwrap();
        assert!(today.starts_with("format 4\npartitions 4\ncheck "), "{today}");
        fs::write(&description, earlier).unwrap();
        drop(EmbeddedJournal::observe(dir.path(), Partitions::new(4).unwrap()).unwrap());
        assert_eq!(fs::read_to_string(&description).unwrap(), earlier, "looking changed it");
        let _opened = open(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&description).unwrap(), today);
    }
}

/// What is refused stays what it was.
#[test]
fn data_that_does_not_open_keeps_its_description() {
    let written = Written::new();
    let journal = open(written.dir.path()).unwrap();
    journal.database.keyspace("snapshots", fjall::KeyspaceCreateOptions::default).unwrap();
    drop(journal);
    let description = written.dir.path().join("holdfast.meta");
    let earlier = Description { format: 2, partitions: Partitions::new(4).unwrap(), sealed: true }.text();
    fs::write(&description, &earlier).unwrap();
    fs::remove_file(log_of(&written.dir)).unwrap();
    assert_eq!(written.damaged(), 1);
    assert_eq!(fs::read_to_string(&description).unwrap(), earlier);
}

/// A directory of format 3 with two snapshots of each partition, and the world it is of.
fn of_format_3(dir: &Path) -> (World, Vec<Vec<Snapshot>>) {
    let mut world = World::new(partitions());
    let journal = open(dir).unwrap();
    let old = journal.database.keyspace("snapshots", fjall::KeyspaceCreateOptions::default).unwrap();
    let mut saved = Vec::new();
    for _ in 0..2 {
        world.busy_day().iter().for_each(|batch| assert!(journal.append(LOG, batch).unwrap() > 0));
        saved.push(world.snapshots(|_| journal.end(LOG)));
    }
    saved.iter().flatten().for_each(|snapshot| upgrade::rows::write(&old, snapshot));
    journal.database.persist(PersistMode::SyncAll).unwrap();
    drop((old, journal));
    fs::remove_dir(dir.join("snapshots")).unwrap();
    let earlier = Description { format: 3, partitions: partitions(), sealed: true }.text();
    fs::write(dir.join("holdfast.meta"), earlier).unwrap();
    (world, saved)
}

fn has(journal: &EmbeddedJournal, saved: &[Vec<Snapshot>]) {
    for partition in partitions().all() {
        let newest_first = saved.iter().rev().map(|all| all[usize::from(partition.0)].clone());
        assert_eq!(journal.snapshots(partition).unwrap(), newest_first.collect::<Vec<_>>());
    }
}

#[test]
fn snapshots_of_format_3_are_in_files_from_the_first_start_on() {
    let dir = tempfile::tempdir().unwrap();
    let (world, saved) = of_format_3(dir.path());
    let description = dir.path().join("holdfast.meta");
    has(&EmbeddedJournal::observe(dir.path(), partitions()).unwrap(), &saved);
    assert!(fs::read_to_string(&description).unwrap().starts_with("format 3"), "looking changed it");
    for _ in 0..2 {
        let journal = open(dir.path()).unwrap();
        has(&journal, &saved);
        assert_eq!(recovered(&journal), world.hashes());
        assert!(!journal.database.keyspace_exists("snapshots"));
    }
    has(&EmbeddedJournal::observe(dir.path(), partitions()).unwrap(), &saved);
    assert!(fs::read_to_string(&description).unwrap().starts_with("format 4"));
}

/// Its creation was cut short right behind the description.
#[test]
fn a_directory_that_an_earlier_build_only_described_opens() {
    for format in 1..=description::FORMAT {
        let dir = tempfile::tempdir().unwrap();
        let described = Description { format, partitions: partitions(), sealed: true }.text();
        fs::write(dir.path().join("holdfast.meta"), described).unwrap();
        for _ in 0..2 {
            assert_eq!(open(dir.path()).unwrap().end(LOG), 0, "format {format}");
        }
    }
}

/// Between any two of its steps: files, description, and what is dropped.
#[test]
fn an_upgrade_of_snapshots_that_was_cut_short_begins_again_or_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (_, saved) = of_format_3(dir.path());
    fs::create_dir(dir.path().join("snapshots")).unwrap();
    fs::write(dir.path().join("snapshots/0-a"), b"HFS1").unwrap();
    fs::write(dir.path().join("snapshots/1.new"), b"HFS1").unwrap();
    let journal = open(dir.path()).unwrap();
    has(&journal, &saved);
    // The description is written, what it speaks of is not dropped.
    journal.database.keyspace("snapshots", fjall::KeyspaceCreateOptions::default).unwrap();
    drop(journal);
    let journal = open(dir.path()).unwrap();
    has(&journal, &saved);
    assert!(!journal.database.keyspace_exists("snapshots"));
}
