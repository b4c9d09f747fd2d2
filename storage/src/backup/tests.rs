//! Backups of a journal of real events: what is restored is the fold of the log up to the backup, and nothing that is not whole
//! is taken for a backup.

use super::*;
use crate::conformance::{World, partitions};
use crate::contract::{Journal, Log, LogId};
use crate::embedded::EmbeddedJournal;
use crate::history;
use crate::recovery;
use holdfast_engine::codec::Batch;
use holdfast_engine::effect::Archive;
use holdfast_engine::event::{Event, OrderFact};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use holdfast_engine::time::{Policy, Timestamp};
use std::fs;
use std::ops::ControlFlow;
use tempfile::TempDir;

mod purged;

const NOW: Timestamp = Timestamp::new(1_700_000_000_000);

/// A journal with a day in it, and a place for backups.
struct Shop {
    root: TempDir,
    journal: EmbeddedJournal,
    world: World,
}

impl Shop {
    fn open() -> Self {
        let root = tempfile::tempdir().unwrap();
        let journal = EmbeddedJournal::open_with_reserve(&root.path().join("data"), partitions(), 0).unwrap();
        let mut shop = Self { root, journal, world: World::new(partitions()) };
        history::ensure_name(&shop.journal).unwrap();
        let day = shop.world.busy_day();
        shop.append(&day);
        shop
    }

    fn append(&self, batches: &[Batch]) {
        for batch in batches {
            self.journal.append(LogId(0), batch).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn begin(&self, name: &str) -> Result<BackupWriter, Error> {
        BackupWriter::begin(&self.journal, &self.path(name), 0, NOW)
    }

    fn backup(&self, name: &str) -> PathBuf {
        let mut writer = self.begin(name).unwrap();
        writer.copy_log(&self.journal, &|| false, &mut |_, _| {}).unwrap();
        writer.finish().unwrap();
        self.path(name)
    }

    fn restore(&self, from: &Path, name: &str) -> Result<Restoration, Error> {
        Restoration::begin(from, &self.path(name), 0, &mut |_, _| {})
    }
}

/// As a start does, with the rows that the tables lack.
fn fold(journal: &dyn Journal) -> Vec<Partition> {
    let ids: Vec<PartitionId> = journal.partitions().all().collect();
    recovery::restore(journal, &ids, &Policy::default(), &mut |_, _| {}).unwrap()
}

fn hashes(journal: &dyn Journal) -> Vec<u64> {
    let ids: Vec<PartitionId> = journal.partitions().all().collect();
    let folded = recovery::recover(journal, &ids, &Policy::default(), &mut |_, _| {}).unwrap();
    folded.iter().map(Partition::hash).collect()
}

fn frames(journal: &dyn Journal) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let keep = &mut |_, frame: &[u8]| {
        frames.push(frame.to_vec());
        Ok(ControlFlow::Continue(()))
    };
    journal.read(LogId(0), 0, keep).unwrap();
    frames
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() { copy_tree(&from, &to) } else { assert!(fs::copy(&from, &to).is_ok()) }
    }
}

#[test]
fn a_backup_is_the_log_up_to_its_moment_however_the_journal_goes_on() {
    let mut shop = Shop::open();
    let (then, hashes_then) = (frames(&shop.journal), shop.world.hashes());
    let day = shop.world.busy_day();
    let mut writer = shop.begin("backup").unwrap();
    let mut later = day.iter();
    // A commit beside each that is copied.
    let tip = writer.copy_log(&shop.journal, &|| false, &mut |_, _| {
        if let Some(batch) = later.next() {
            shop.journal.append(LogId(0), batch).unwrap();
        }
    });
    let tip = tip.unwrap();
    assert_eq!(tip.commit, then.len() as u64);
    assert!(shop.journal.end(LogId(0)) > tip.commit);
    let copy = writer.journal().unwrap();
    assert_eq!((frames(&copy), hashes(&copy)), (then.clone(), hashes_then.clone()));
    let manifest = writer.finish().unwrap();
    assert_eq!(Manifest::read(&shop.path("backup")).unwrap(), manifest);
    let restoration = shop.restore(&shop.path("backup"), "restored").unwrap();
    let restored = restoration.journal();
    assert_eq!((frames(&*restored), hashes(&*restored)), (then, hashes_then));
    assert_eq!(history::name(&*restored).unwrap(), history::name(&shop.journal).unwrap(), "it is a copy of that journal");
    drop(restored);
    restoration.finish().unwrap();
    EmbeddedJournal::open_with_reserve(&shop.path("restored"), partitions(), 0).unwrap();
}

/// Tables are not in a backup: their rows follow from the log.
#[test]
fn what_left_memory_before_the_backup_is_in_the_tables_of_what_is_restored() {
    let mut shop = Shop::open();
    let (_, adjusted) = shop.world.adjust("SKU-3", 5);
    shop.append(&[adjusted]);
    let (left, batches) = shop.world.leave_memory();
    shop.append(&batches);
    let backup = shop.backup("backup");
    let restoration = shop.restore(&backup, "restored").unwrap();
    let journal = restoration.journal();
    fold(&*journal);
    assert!(left.len() > 5);
    for archive in left {
        let there = match archive {
            Archive::Order { order, history, .. } => crate::rows::order(&*journal, order).unwrap() == Some(history),
            Archive::Key { key, .. } => crate::rows::key(&*journal, key).unwrap().is_some(),
        };
        assert!(there);
    }
}

#[test]
fn an_empty_journal_is_backed_up_and_restored_empty() {
    let root = tempfile::tempdir().unwrap();
    let journal = EmbeddedJournal::open_with_reserve(&root.path().join("data"), partitions(), 0).unwrap();
    let (backup, restored) = (root.path().join("backup"), root.path().join("restored"));
    let mut writer = BackupWriter::begin(&journal, &backup, 0, NOW).unwrap();
    writer.copy_log(&journal, &|| false, &mut |_, _| {}).unwrap();
    assert_eq!(frames(&writer.journal().unwrap()), Vec::<Vec<u8>>::new());
    writer.finish().unwrap();
    Restoration::begin(&backup, &restored, 0, &mut |_, _| {}).unwrap().finish().unwrap();
    let journal = EmbeddedJournal::open_with_reserve(&restored, partitions(), 0).unwrap();
    assert_eq!((journal.end(LogId(0)), history::name(&journal).unwrap()), (0, None));
}

#[test]
fn a_backup_goes_over_nothing_and_what_a_killed_one_left_is_no_backup_and_goes_with_the_next() {
    let shop = Shop::open();
    let there = shop.path("there");
    fs::create_dir(&there).unwrap();
    assert!(matches!(shop.begin("there"), Err(Error::Exists(path)) if path == there));
    let mut killed = shop.begin("backup").unwrap();
    killed.copy_log(&shop.journal, &|| false, &mut |_, _| {}).unwrap();
    assert!(matches!(shop.begin("backup"), Err(Error::InProgress(_))), "it is being written");
    // Its lock goes with its process, its files stay.
    let (partial, left) = (shop.path("backup.partial"), shop.path("left.partial"));
    copy_tree(&partial, &left);
    drop(killed);
    assert!(!partial.exists(), "one that failed leaves nothing");
    assert!(matches!(shop.restore(&left, "restored"), Err(Error::NotABackup(_))));
    assert!(!shop.path("restored").exists());
    shop.backup("left");
    assert!(!left.exists());
    let foreign = shop.path("foreign.partial");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letters"), "mine").unwrap();
    assert!(matches!(shop.begin("foreign"), Err(Error::InTheWay(_))));
    let (early, cut) = (shop.path("early.partial"), shop.path("cut.partial"));
    fs::create_dir(&early).unwrap();
    fs::create_dir(&cut).unwrap();
    fs::write(cut.join("backup.lock"), "").unwrap();
    clear_unfinished(shop.root.path()).unwrap();
    assert!(foreign.join("letters").exists());
    assert!(!early.exists(), "one that was killed before it had its lock is left");
    assert!(!cut.exists(), "one whose removal was killed is left");
}

#[test]
fn a_backup_that_is_told_to_stop_ends_and_leaves_nothing() {
    let mut shop = Shop::open();
    while shop.journal.end(LogId(0)) < 100 {
        let day = shop.world.busy_day();
        shop.append(&day);
    }
    let mut writer = shop.begin("backup").unwrap();
    let copied = writer.copy_log(&shop.journal, &|| true, &mut |_, _| {});
    assert!(matches!(copied, Err(Error::Stopped)), "{copied:?}");
    drop(writer);
    assert!(!shop.path("backup").exists() && !shop.path("backup.partial").exists());
}

#[test]
fn a_disk_without_room_is_found_before_anything_is_copied() {
    let shop = Shop::open();
    let begun = BackupWriter::begin(&shop.journal, &shop.path("backup"), u64::MAX / 2, NOW);
    assert!(matches!(begun, Err(Error::NoRoom(_))));
    assert!(!shop.path("backup.partial").exists());
}

#[test]
fn a_backup_with_any_byte_changed_or_a_file_gone_is_refused_and_the_directory_stays_empty() {
    let shop = Shop::open();
    let backup = shop.backup("backup");
    let log = backup.join("log").join("00000000000000000001.log");
    let whole = fs::read(&log).unwrap();
    let refused = |what: &str| {
        let begun = shop.restore(&backup, "restored");
        assert!(matches!(begun, Err(Error::Damaged { .. })), "{what} is believed");
        drop(begun);
        assert_eq!(fs::read_dir(shop.path("restored")).unwrap().count(), 0, "{what}");
        assert!(matches!(BackupJournal::check(&backup, &mut |_, _| {}), Err(Error::Damaged { .. })), "{what} is verified");
    };
    for place in (0..whole.len()).step_by(whole.len() / 50).chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&log, &damaged).unwrap();
        refused(&format!("byte {place}"));
    }
    fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    refused("a log that is cut");
    fs::remove_file(&log).unwrap();
    refused("a log that is gone");
    fs::write(&log, &whole).unwrap();
    BackupJournal::check(&backup, &mut |_, _| {}).unwrap();
    shop.restore(&backup, "restored").unwrap();
}

#[test]
fn a_backup_is_restored_into_an_empty_directory_only() {
    let shop = Shop::open();
    let backup = shop.backup("backup");
    let used = shop.path("used");
    fs::create_dir(&used).unwrap();
    fs::write(used.join("api-keys.jsonl"), "").unwrap();
    assert!(matches!(shop.restore(&backup, "used"), Err(Error::NotEmpty(path)) if path == used));
    assert!(matches!(shop.restore(&backup, "data"), Err(Error::NotEmpty(_))));
    let fresh = shop.path("fresh");
    fs::create_dir_all(fresh.join("lost+found")).unwrap();
    shop.restore(&backup, "fresh").unwrap().finish().unwrap();
    assert!(fresh.join("lost+found").exists() && fresh.join("holdfast.meta").exists());
}

#[test]
fn a_restore_that_finds_the_directory_taken_leaves_what_is_in_it() {
    let shop = Shop::open();
    let backup = shop.backup("backup");
    let taken = shop.path("taken");
    fs::create_dir(&taken).unwrap();
    let lock = fs::File::create(taken.join("holdfast.lock")).unwrap();
    lock.try_lock().unwrap();
    assert!(shop.restore(&backup, "taken").is_err());
    assert!(taken.join("holdfast.lock").exists(), "the lock of whoever has it is gone");
}

#[test]
fn a_backup_is_locked_until_it_stands_under_its_name_and_of_another_nothing_is_removed() {
    let shop = Shop::open();
    let other = shop.path("other.partial");
    fs::create_dir(&other).unwrap();
    let lock = fs::File::create(other.join("backup.lock")).unwrap();
    lock.try_lock().unwrap();
    clear_unfinished(&shop.path("")).unwrap();
    assert!(other.exists(), "the backup that another process makes is gone");
    assert!(!shop.backup("backup").join("backup.lock").exists());
}

/// As a kill leaves it: nothing is dropped.
#[test]
fn a_restore_that_was_killed_is_opened_by_nobody() {
    let shop = Shop::open();
    let backup = shop.backup("backup");
    let restoration = shop.restore(&backup, "restored").unwrap();
    let killed = shop.path("killed");
    copy_tree(&shop.path("restored"), &killed);
    drop(restoration);
    match EmbeddedJournal::open_with_reserve(&killed, partitions(), 0) {
        Err(crate::Error::Incompatible(message)) => assert!(message.contains("was not finished"), "{message}"),
        other => panic!("{:?}", other.map(|_| "it opened")),
    }
    assert_eq!(fs::read_dir(shop.path("restored")).unwrap().count(), 0, "one that failed leaves nothing");
}

#[test]
fn files_of_a_backup_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let shop = Shop::open();
    fs::write(shop.path("attempts"), "{}\n").unwrap();
    let mut writer = shop.begin("backup").unwrap();
    writer.copy_log(&shop.journal, &|| false, &mut |_, _| {}).unwrap();
    writer.copy_file(&shop.path("attempts"), "sandbox/attempts.jsonl").unwrap();
    writer.copy_file(&shop.path("nothing"), "sandbox/nothing").unwrap();
    let manifest = writer.finish().unwrap();
    let backup = shop.path("backup");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(&backup), mode(&backup.join("log")), mode(&backup.join("sandbox"))], [0o700; 3]);
    assert!(manifest.files.iter().all(|file| mode(&backup.join(&file.path)) == 0o600));
    assert_eq!(mode(&backup.join("manifest")), 0o600);
    shop.restore(&backup, "restored").unwrap().finish().unwrap();
    let restored = shop.path("restored/sandbox/attempts.jsonl");
    assert_eq!((mode(&restored), fs::read(&restored).unwrap().as_slice()), (0o600, b"{}\n".as_slice()));
}

/// The number of every order in the log.
fn numbers(journal: &dyn Journal) -> Vec<u64> {
    let mut numbers = Vec::new();
    for frame in frames(journal) {
        for entry in holdfast_engine::codec::read_frame(&frame).unwrap() {
            if let Event::Order { fact, .. } = entry.unwrap().decode().unwrap().event
                && let OrderFact::Placed(placed) = &*fact
            {
                numbers.push(placed.number);
            }
        }
    }
    numbers
}

#[test]
fn numbers_go_on_above_all_that_a_machine_gave_out_after_the_backup_was_made() {
    let mut shop = Shop::open();
    let backup = shop.backup("backup");
    let day = shop.world.busy_day();
    shop.append(&day);
    let lost = numbers(&shop.journal);
    let go_on = |name: &str, hours: u64| {
        let restoration = shop.restore(&backup, name).unwrap();
        let journal = restoration.journal();
        let mut partitions = fold(&*journal);
        let (before, at) = (numbers(&*journal).len(), NOW.plus(hours * 3_600_000));
        let first = leave_out_numbers(&*journal, &mut partitions, NOW, at).unwrap();
        let mut world = World::resumed(fold(&*journal), &shop.world);
        for batch in world.busy_day() {
            journal.append(LogId(0), &batch).unwrap();
        }
        assert_eq!(hashes(&*journal), world.hashes(), "the gap is a fact of the journal");
        (first, numbers(&*journal).split_off(before))
    };
    let (first, once) = go_on("once", 1);
    let (_, again) = go_on("again", 2);
    let above = |new: &[u64], old: &[u64]| assert!(new.iter().min() > old.iter().max(), "{new:?} after {old:?}");
    above(&once, &lost);
    above(&again, &once);
    assert!(once.iter().all(|number| *number >= first));
}
