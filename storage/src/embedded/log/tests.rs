//! The log over several files: rolling, reading from anywhere, damage in a file nobody writes any more.

use super::*;
use std::ops::ControlFlow;
use tempfile::TempDir;

mod deleting;

/// A commit of about so many bytes.
fn frame(commit: LogSeq, length: usize) -> Vec<u8> {
    let entries = (0..length).map(|n| (n as u64 * 31 + commit) as u8).collect();
    codec::Batch { entries, events: 1 }.frame()
}

fn space(dir: &TempDir, reserve: u64) -> Space {
    Space { dir: dir.path().to_owned(), reserve }
}

fn open(dir: &TempDir) -> Result<(Log, LogSeq), Error> {
    Log::open(dir.path(), 0, space(dir, 0))
}

const LENGTH: usize = 200_000;
const COMMITS: LogSeq = 60;

/// Sixty commits of 200 kB: files of 1, 2, 4 and 8 MiB.
fn written() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Log::create(dir.path()).unwrap();
    let (log, _) = open(&dir).unwrap();
    (1..=COMMITS).for_each(|commit| log.append(commit, &frame(commit, LENGTH)).unwrap());
    dir
}

fn files(dir: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    files.sort();
    files
}

fn read(log: &Log, after: LogSeq, end: LogSeq) -> Result<Vec<LogSeq>, Error> {
    let mut seen = Vec::new();
    log.read(after, end, &mut |commit, bytes| {
        assert_eq!(bytes, frame(commit, LENGTH));
        seen.push(commit);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(seen)
}

#[test]
fn a_commit_that_does_not_fit_begins_the_next_file() {
    let dir = written();
    assert!((4..=6).contains(&files(&dir).len()), "{:?}", files(&dir));
    let (log, end) = open(&dir).unwrap();
    assert_eq!(end, COMMITS);
    for after in 0..COMMITS {
        assert_eq!(read(&log, after, end).unwrap(), Vec::from_iter(after + 1..=end));
    }
}

#[test]
fn the_log_goes_on_in_the_file_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    Log::create(dir.path()).unwrap();
    for commit in 1..=3 {
        let (log, end) = open(&dir).unwrap();
        assert_eq!(end, commit - 1);
        log.append(commit, &frame(commit, 100)).unwrap();
        assert_eq!(files(&dir).len(), 1);
    }
    assert_eq!(open(&dir).unwrap().1, 3);
}

#[test]
fn a_commit_larger_than_a_file_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    Log::create(dir.path()).unwrap();
    for commit in 1..=3 {
        let (log, end) = open(&dir).unwrap();
        assert_eq!(end, commit - 1);
        log.append(commit, &frame(commit, 5_000_000)).unwrap();
    }
    let (log, end) = open(&dir).unwrap();
    let mut seen = 0;
    log.read(0, end, &mut |commit, bytes| {
        assert_eq!(bytes, frame(commit, 5_000_000));
        seen += 1;
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(seen, 3);
}

/// Without room for a file made ahead the log grows as it goes.
#[test]
fn without_a_file_ready_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    Log::create(dir.path()).unwrap();
    let (log, _) = Log::open(dir.path(), 0, space(&dir, u64::MAX / 2)).unwrap();
    (1..=COMMITS).for_each(|commit| log.append(commit, &frame(commit, LENGTH)).unwrap());
    drop(log);
    let (log, end) = open(&dir).unwrap();
    assert_eq!(read(&log, 0, end).unwrap(), Vec::from_iter(1..=COMMITS));
}

#[test]
fn half_of_a_file_made_ahead_is_thrown_away() {
    let dir = written();
    fs::write(dir.path().join(ahead::NAME), b"\0\0\0").unwrap();
    let (log, end) = Log::look(dir.path(), 0, space(&dir, 0)).unwrap();
    assert!(dir.path().join(ahead::NAME).exists(), "looking changed something");
    log.settle().unwrap();
    assert!(!dir.path().join(ahead::NAME).exists());
    assert_eq!(end, COMMITS);
}

/// A crash between the making of a file and its first commit.
#[test]
fn a_file_without_a_commit_is_begun_again() {
    let dir = written();
    for bytes in [&[][..], &[0; 4096], &frame(1, 100)[..50]] {
        fs::write(path_of(dir.path(), COMMITS + 1), bytes).unwrap();
        let (log, end) = open(&dir).unwrap();
        assert_eq!(end, COMMITS);
        log.append(COMMITS + 1, &frame(COMMITS + 1, LENGTH)).unwrap();
        assert_eq!(read(&log, 0, COMMITS + 1).unwrap().len() as u64, COMMITS + 1);
    }
}

#[test]
fn damage_in_an_older_file_names_its_commit() {
    let dir = written();
    for (file, path) in files(&dir).iter().enumerate().rev().skip(1) {
        let whole = fs::read(path).unwrap();
        let first: LogSeq = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let record = 12 + frame(1, LENGTH).len();
        // In the head of the second commit, in its frame, and a file that ends in it.
        for damage in [record + 3, record + 1000, record * 2 - 1] {
            let mut bytes = whole.clone();
            bytes[damage] ^= 1;
            for bytes in [&bytes[..], &whole[..damage]] {
                fs::write(path, bytes).unwrap();
                let (log, end) = open(&dir).unwrap();
                let found = read(&log, 0, end);
                let expected = first + 1;
                assert!(matches!(found, Err(Error::Damaged { record, .. }) if record == expected), "file {file}: {found:?}");
                // Who begins behind it is told of it, or reads on where only its frame is damaged.
                let behind = read(&log, first + 2, end);
                assert!(behind.is_ok() || matches!(&behind, Err(Error::Damaged { record, .. }) if *record == expected));
                assert_eq!(read(&log, end - 1, end).unwrap(), [end], "what is behind it can be read");
            }
        }
        fs::write(path, whole).unwrap();
    }
}

/// Files of a log that this process has open.
fn open_files(dir: &TempDir) -> usize {
    let dir = dir.path().canonicalize().unwrap();
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    open.filter(|path| path.starts_with(&dir)).count()
}

/// Each kept its file open, and a log of terabytes took all that the process may have.
#[test]
fn the_log_has_no_more_files_open_the_longer_it_is() {
    let dir = tempfile::tempdir().unwrap();
    Log::create(dir.path()).unwrap();
    let (log, _) = open(&dir).unwrap();
    for commit in 1..=COMMITS {
        log.append(commit, &frame(commit, LENGTH)).unwrap();
        // The newest, and the next, which is open twice while it is made.
        assert!((1..=3).contains(&open_files(&dir)), "{} of {:?}", open_files(&dir), files(&dir));
    }
    drop(log);
    assert!(files(&dir).len() > 3, "{:?}", files(&dir));
    let (log, end) = open(&dir).unwrap();
    assert_eq!(open_files(&dir), 1);
    log.read(0, end, &mut |_, _| {
        assert!(open_files(&dir) <= 2);
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    let mut after = 0;
    while let Some(checked) = log.check_next(after, &mut |_| ControlFlow::Continue(())).unwrap() {
        (after, _) = (checked.first, assert_eq!(checked.damage, None));
    }
    assert!(after > 1, "several files were compared");
    assert_eq!(open_files(&dir), 1);
}

/// What is not open can be replaced, and its number on the disk be given to another file.
#[test]
fn a_full_file_that_is_not_at_its_path_any_more_is_missed_and_never_read_from_another() {
    let dir = written();
    let (log, end) = open(&dir).unwrap();
    let path = &files(&dir)[0];
    let bytes = fs::read(path).unwrap();
    let mut seen = 0;
    log.read(0, end, &mut |commit, _| {
        if commit == 1 {
            fs::remove_file(path).unwrap();
            fs::write(path, &bytes).unwrap();
        }
        seen += 1;
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(seen, end, "who reads it already goes on");
    assert!(matches!(log.intact(), Err(Error::Removed(missing)) if missing == *path));
    let refused = read(&log, 0, end);
    assert!(matches!(&refused, Err(Error::Failed(reason)) if reason.contains("another file has taken its place")), "{refused:?}");
    fs::remove_file(path).unwrap();
    assert!(read(&log, 0, end).is_err());
    assert_eq!(read(&log, end - 1, end).unwrap(), [end]);
}

#[test]
fn a_missing_file_names_its_first_commit() {
    let dir = written();
    let all = files(&dir);
    fs::rename(&all[1], dir.path().join("elsewhere")).unwrap();
    let (log, end) = open(&dir).unwrap();
    let first: LogSeq = all[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    assert!(matches!(read(&log, 0, end), Err(Error::Damaged { record, .. }) if record == first));
    fs::rename(&all[0], dir.path().join("elsewhere too")).unwrap();
    drop(log);
    assert!(matches!(open(&dir), Err(Error::Damaged { record: 1, .. })));
}
