//! A backup of a log whose beginning was deleted has what is to be known of it: what is restored is the same shop.

use super::*;
use crate::audit::audit;
use crate::contract::{Keep, LogSeq, Row, Rows, Snapshots};
use crate::rows;
use holdfast_engine::codec;

const OF_ANY_AGE: Keep = Keep { since: Some(Timestamp::new(u64::MAX)), bytes: None };

/// What left memory before the deletion, and what lies in the tables of a journal for it.
fn rows_of(journal: &dyn Journal, left: &[Archive]) -> Vec<Option<Vec<u8>>> {
    left.iter().map(rows::row_of).map(|row| journal.get(row.table, &row.key).unwrap()).collect()
}

impl Shop {
    /// A busy day with a large order, of which everything closed leaves memory for rows, but for the last `lost`, and a snapshot of its end.
    fn pass_a_day(&mut self, lost: usize) -> Vec<Archive> {
        let mut day = self.world.busy_day();
        day.push(self.world.place_noted(&["SKU-1"], 1_200_000).1);
        self.append(&day);
        self.world.rest(&self.journal, lost)
    }

    /// Three days, of which the first is not in the log any more.
    fn purged() -> (Self, Vec<Archive>, LogSeq) {
        Self::purged_without(0)
    }

    /// The same, and the tables lack so many of the last rows.
    fn purged_without(lost: usize) -> (Self, Vec<Archive>, LogSeq) {
        let mut shop = Self::open();
        let mut left = Vec::new();
        [0, 0, lost].into_iter().for_each(|lost| left.extend(shop.pass_a_day(lost)));
        let older = |id| shop.journal.snapshot_heads(id).unwrap()[1].after;
        let floor = partitions().all().map(older).min().unwrap() + 1;
        let first = shop.journal.purge(LogId(0), floor, OF_ANY_AGE).unwrap();
        assert!(first > 1 && first <= floor && left.len() > 5, "{first} of {floor}");
        (shop, left, first)
    }
}

fn violations(journal: &dyn Journal) -> Vec<String> {
    audit(journal, &Policy::default(), &mut |_, _| {}).unwrap().violations
}

#[test]
fn a_journal_whose_beginning_was_deleted_is_backed_up_verified_and_restored() {
    let (mut shop, left, first) = Shop::purged();
    let backup = shop.backup("backup");
    let copy = BackupJournal::check(&backup, &mut |_, _| {}).unwrap();
    assert_eq!((copy.first(LogId(0)).unwrap(), hashes(&copy)), (first, shop.world.hashes()));
    assert_eq!((violations(&copy), violations(&shop.journal)), (vec![], vec![]));
    assert_eq!(rows_of(&copy, &left), rows_of(&shop.journal, &left));
    drop(copy);
    let restoration = shop.restore(&backup, "restored").unwrap();
    let journal = restoration.journal();
    assert_eq!((hashes(&*journal), journal.first(LogId(0)).unwrap()), (shop.world.hashes(), first));
    fold(&*journal);
    assert_eq!(rows_of(&*journal, &left), rows_of(&shop.journal, &left));
    assert_eq!(violations(&*journal), Vec::<String>::new());
    drop(journal);
    restoration.finish().unwrap();
    let restored = EmbeddedJournal::open_with_reserve(&shop.path("restored"), partitions(), 0).unwrap();
    let mut world = World::resumed(fold(&restored), &shop.world);
    for batch in world.busy_day() {
        restored.append(LogId(0), &batch).unwrap();
    }
    shop.pass_a_day(0);
    assert_eq!(hashes(&restored), world.hashes());
}

#[test]
fn what_happens_while_it_is_backed_up_is_in_it_whole_or_not_at_all() {
    let (mut shop, ..) = Shop::purged();
    let (then, mut later) = (shop.journal.end(LogId(0)), Some(shop.world.busy_day()));
    let mut writer = shop.begin("backup").unwrap();
    let tip = writer.copy_log(&shop.journal, &|| false, &mut |_, _| {
        shop.append(&later.take().unwrap_or_default());
    });
    assert!(tip.unwrap().commit > then);
    let copy = writer.journal().unwrap();
    assert_eq!((hashes(&copy), violations(&copy)), (shop.world.hashes(), vec![]));
    writer.finish().unwrap();
}

#[test]
fn a_row_that_the_backup_lacks_is_found_by_whoever_verifies_it() {
    let (shop, ..) = Shop::purged_without(1);
    let copy = BackupJournal::check(&shop.backup("backup"), &mut |_, _| {}).unwrap();
    assert_ne!(violations(&copy), Vec::<String>::new());
}

#[test]
fn a_backup_with_a_row_that_cannot_be_read_does_not_verify() {
    let (shop, left, _) = Shop::purged();
    let damaged = Row { value: Vec::new(), ..rows::row_of(left.last().unwrap()) };
    shop.journal.project(&[damaged]).unwrap();
    let copy = BackupJournal::check(&shop.backup("backup"), &mut |_, _| {}).unwrap();
    let verified = audit(&copy, &Policy::default(), &mut |_, _| {});
    assert!(matches!(verified, Err(crate::Error::Codec(codec::Error::Short))), "{:?}", verified.map(|report| report.violations));
}

#[test]
fn a_backup_whose_beginning_was_changed_is_not_used() {
    let (shop, ..) = Shop::purged();
    let backup = shop.backup("backup");
    for name in ["beginning/snapshots", "beginning/rows", "log/first"] {
        let whole = fs::read(backup.join(name)).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        fs::write(backup.join(name), changed).unwrap();
        assert!(matches!(shop.restore(&backup, "restored").err(), Some(Error::Damaged { file, .. }) if file == name), "{name}");
        assert!(BackupJournal::check(&backup, &mut |_, _| {}).is_err(), "{name} is verified");
        fs::write(backup.join(name), whole).unwrap();
    }
    shop.restore(&backup, "restored").unwrap();
}

/// A build that knows only backups of whole logs would make a directory that does not open.
#[test]
fn a_backup_of_a_whole_log_says_that_it_is_of_the_first_kind_and_one_without_its_beginning_that_it_is_not() {
    let first_line = |dir: &Path| fs::read_to_string(dir.join("manifest")).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(first_line(&Shop::open().backup("backup")), "holdfast-backup 1");
    assert_eq!(first_line(&Shop::purged().0.backup("backup")), "holdfast-backup 2");
}
