//! A log whose oldest files are deleted: what is left of it, at every moment of that, and what is refused.

use super::*;

fn firsts(dir: &TempDir) -> Vec<LogSeq> {
    opening::firsts(dir.path()).unwrap()
}

/// [`written`], without its first two files.
fn purged() -> (TempDir, LogSeq) {
    let dir = written();
    let first = firsts(&dir)[2];
    let (log, _) = open(&dir).unwrap();
    assert_eq!(log.purge(first).unwrap(), first);
    (dir, first)
}

#[test]
fn files_before_the_floor_go_whole_and_the_log_begins_with_the_next() {
    let dir = written();
    let before = firsts(&dir);
    let (log, end) = open(&dir).unwrap();
    assert_eq!(log.purge(before[1] - 1).unwrap(), 1, "its last commit is still read");
    assert_eq!(log.purge(before[1] + 1).unwrap(), before[1]);
    assert_eq!((log.first(), firsts(&dir)), (before[1], before[1..].to_vec()));
    let newest = *before.last().unwrap();
    assert_eq!((log.purge(end).unwrap(), firsts(&dir)), (newest, vec![newest]));
    log.append(end + 1, &frame(end + 1, LENGTH)).unwrap();
    assert!(log.intact().is_ok(), "what was deleted is missed");
    drop(log);
    let (log, end) = open(&dir).unwrap();
    assert_eq!((log.first(), end), (newest, COMMITS + 1));
    assert_eq!(read(&log, newest - 1, end).unwrap(), Vec::from_iter(newest..=end));
}

#[test]
fn what_is_before_the_beginning_is_refused_as_purged() {
    let (dir, first) = purged();
    let (log, end) = open(&dir).unwrap();
    for after in [0, first - 2] {
        assert!(matches!(read(&log, after, end), Err(Error::Purged { first: found }) if found == first), "{after}");
    }
    assert_eq!(read(&log, first - 1, end).unwrap().len() as u64, end - first + 1);
}

#[test]
fn a_reader_whose_file_is_deleted_reads_it_to_its_end_and_is_refused_the_next_that_is_gone() {
    let dir = written();
    let files = firsts(&dir);
    let (log, end) = open(&dir).unwrap();
    let mut seen = 0;
    let read = log.read(0, end, &mut |commit, _| {
        if commit == 1 {
            log.purge(files[2])?;
        }
        seen = commit;
        Ok(ControlFlow::Continue(()))
    });
    assert!(matches!(read, Err(Error::Purged { first }) if first == files[2]), "{read:?}");
    assert_eq!(seen, files[1] - 1);
}

/// The beginning is on disk first, then one file after the other goes.
#[test]
fn a_crash_at_any_moment_of_a_deletion_leaves_a_log_that_opens() {
    for deleted in 0..4 {
        let dir = written();
        let files = firsts(&dir);
        let first = files[files.len() - 1];
        beginning::begin_with(dir.path(), first).unwrap();
        files[..deleted].iter().for_each(|file| fs::remove_file(path_of(dir.path(), *file)).unwrap());
        let (log, end) = Log::look(dir.path(), COMMITS, space(&dir, 0)).unwrap();
        assert_eq!((log.first(), end), (first, COMMITS));
        assert_eq!(firsts(&dir).len(), files.len() - deleted, "looking changed something");
        log.settle().unwrap();
        assert_eq!(firsts(&dir), [first]);
        assert_eq!(read(&log, first - 1, end).unwrap(), Vec::from_iter(first..=end));
    }
    let dir = written();
    fs::write(dir.path().join("first.new"), b"half").unwrap();
    let (log, end) = open(&dir).unwrap();
    assert_eq!(read(&log, 0, end).unwrap().len() as u64, COMMITS, "nothing was to go yet");
    let newest = *firsts(&dir).last().unwrap();
    assert_eq!(log.purge(newest).unwrap(), newest);
}

#[test]
fn a_file_that_is_missing_and_was_not_deleted_on_purpose_is_refused() {
    let (dir, first) = purged();
    fs::rename(path_of(dir.path(), first), dir.path().join("elsewhere")).unwrap();
    assert!(matches!(open(&dir), Err(Error::Damaged { record, .. }) if record == first));
    let (dir, _) = purged();
    fs::remove_file(dir.path().join(beginning::NAME)).unwrap();
    assert!(matches!(open(&dir), Err(Error::Damaged { record: 1, .. })));
}

/// With another number files would be deleted that nobody meant.
#[test]
fn a_beginning_with_one_bit_changed_or_cut_is_refused_by_its_name() {
    let (dir, _) = purged();
    let path = dir.path().join(beginning::NAME);
    let whole = fs::read(&path).unwrap();
    let refused = || matches!(open(&dir), Err(Error::DamagedFile { file, .. }) if file == path.display().to_string());
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, changed).unwrap();
        assert!(refused(), "bit {bit}");
    }
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(refused(), "cut to {length}");
    }
    fs::write(&path, whole).unwrap();
    assert!(open(&dir).is_ok());
}

#[test]
fn the_scrub_takes_no_deleted_file_for_damage() {
    let (dir, first) = purged();
    let (log, _) = open(&dir).unwrap();
    let checked = log.check_next(0, &mut |_| ControlFlow::Continue(())).unwrap().unwrap();
    assert_eq!((checked.first, checked.damage), (first, None));
    let beside = firsts(&dir)[1];
    let checked = log.check_next(0, &mut |_| log.purge(beside).map_or(ControlFlow::Break(()), |_| ControlFlow::Continue(())));
    assert_eq!(checked.unwrap().unwrap().damage, None);
}

#[test]
fn the_bytes_that_are_kept_are_those_of_the_newest_files() {
    let dir = written();
    let files = firsts(&dir);
    let (log, _) = open(&dir).unwrap();
    let due = |most| log.due_before(Some(most), |_| Ok(false)).unwrap();
    assert_eq!((due(log.bytes()), due(log.bytes() - 1), due(0)), (1, files[1], files[files.len() - 1]));
    let old = |until: LogSeq| log.due_before(None, |commit| Ok(commit <= until)).unwrap();
    assert_eq!((old(0), old(files[2]), old(LogSeq::MAX)), (1, files[2], files[files.len() - 1]));
}
