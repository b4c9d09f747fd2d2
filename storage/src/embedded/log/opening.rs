//! Opening the log: which files there are, and where the newest ends.
//!
//! Invariant: no commit that is known to be acknowledged is cut, and none that another follows. Only the newest file can be
//! torn, only behind its last whole commit. Looking changes nothing; what is found is settled on disk before anybody builds on
//! it: the process that wrote it may have ended between the write and the sync.

use super::super::failure::damaged_at;
use super::segment::{Offset, Segment, remember};
use super::{beginning, failed, path_of, record};
use crate::contract::{Error, LogSeq};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

pub(super) struct Found {
    pub(super) segments: BTreeMap<LogSeq, Arc<Segment>>,
    /// The newest of them, and its file.
    pub(super) newest: (Arc<Segment>, Arc<File>),
    pub(super) end: LogSeq,
    pub(super) loose: Loose,
}

/// What the newest file ends with.
#[derive(Clone, Copy, Default)]
pub(super) struct Loose {
    /// Where the last whole commit begins and ends.
    last: (u64, u64),
    /// Bytes of a torn write behind it.
    torn: usize,
}

pub(super) fn look(dir: &Path, acknowledged: LogSeq, write: bool) -> Result<Found, Error> {
    let (first, mut firsts) = (beginning::first(dir)?, firsts(dir).map_err(|error| failed(dir, &error))?);
    firsts.retain(|file| *file >= first);
    let Some((newest, full)) = firsts.split_last() else { return Err(damaged_at(first, "the log is gone")) };
    if firsts[0] != first {
        return Err(damaged_at(first, &format!("the log begins with {}", firsts[0])));
    }
    let full = full.iter().map(|first| Ok((*first, Arc::new(sealed(dir, *first)?))));
    let mut segments: BTreeMap<LogSeq, Arc<Segment>> = full.collect::<Result<_, Error>>()?;
    let path = path_of(dir, *newest);
    let bytes = fs::read(&path).map_err(|error| failed(&path, &error))?;
    let walk = Walk::over(&bytes, *newest)?;
    walk.refuse_damage(&bytes, acknowledged)?;
    let (end, loose) = (walk.next - 1, walk.loose(&bytes));
    if end < acknowledged {
        return Err(damaged_at(end + 1, &format!("the log ends before it, and {acknowledged} was acknowledged")));
    }
    let newest = walk.segment(*newest, &path, write).map_err(|error| failed(&path, &error))?;
    segments.insert(newest.0.first(), newest.0.clone());
    Ok(Found { segments, newest, end, loose })
}

/// A file that another follows. It is closed again: there may be many.
fn sealed(dir: &Path, first: LogSeq) -> Result<Segment, Error> {
    let path = path_of(dir, first);
    let file = File::open(&path).map_err(|error| failed(&path, &error))?;
    check_head(&file, first, &path)?;
    Segment::sealed(first, &path, &file).map_err(|error| failed(&path, &error))
}

/// A file begins with the commit it is named after. What follows is compared when it is read, and by the scrub.
fn check_head(file: &File, first: LogSeq, path: &Path) -> Result<(), Error> {
    let mut head = [0; record::HEAD];
    match file.read_exact_at(&mut head, 0) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(failed(path, &error)),
        Ok(()) | Err(_) => {}
    }
    match record::head(&head) {
        Some((commit, _)) if commit == first => Ok(()),
        Some((commit, _)) => Err(damaged_at(first, &format!("{} begins with {commit}", path.display()))),
        None => Err(damaged_at(first, &format!("{} cannot be read from byte 0", path.display()))),
    }
}

/// Whether there is nothing in any file: what a crash leaves of a log that was being made.
pub(super) fn is_blank(dir: &Path) -> io::Result<bool> {
    if dir.join(beginning::NAME).try_exists()? {
        return Ok(false);
    }
    for first in firsts(dir)? {
        if fs::read(path_of(dir, first))?.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first commit of every file, in order.
pub(super) fn firsts(dir: &Path) -> io::Result<Vec<LogSeq>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        firsts.extend(name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<LogSeq>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// How far the commits of a file follow on each other.
struct Walk {
    next: LogSeq,
    at: usize,
    /// Where the last commit begins.
    last: usize,
    offsets: Vec<Offset>,
}

impl Walk {
    fn over(bytes: &[u8], first: LogSeq) -> Result<Self, Error> {
        let mut walk = Self { next: first, at: 0, last: 0, offsets: Vec::new() };
        while let Some((commit, length)) = record::whole(&bytes[walk.at..]) {
            if commit != walk.next {
                return Err(damaged_at(walk.next, &format!("the log goes on with {commit}")));
            }
            remember(&mut walk.offsets, Offset { commit, at: walk.at as u64 });
            walk.last = walk.at;
            walk.at += length;
            walk.next += 1;
        }
        Ok(walk)
    }

    /// The file that was walked over, which begins with `first`.
    fn segment(self, first: LogSeq, path: &Path, write: bool) -> io::Result<(Arc<Segment>, Arc<File>)> {
        let file = Arc::new(File::options().read(true).write(write).open(path)?);
        let segment = Segment::walked(first, path, &file, self.at as u64, self.offsets)?;
        Ok((Arc::new(segment), file))
    }

    /// Bytes that are no commit must be the torn last write of somebody who was promised nothing.
    fn refuse_damage(&self, bytes: &[u8], acknowledged: LogSeq) -> Result<(), Error> {
        let rest = &bytes[self.at..];
        let torn = rest.iter().any(|byte| *byte != 0);
        let beyond = || (1..rest.len()).any(|at| record::whole(&rest[at..]).is_some());
        if torn && (self.next <= acknowledged || beyond()) {
            return Err(damaged_at(self.next, &format!("its file cannot be read from byte {}", self.at)));
        }
        Ok(())
    }

    fn loose(&self, bytes: &[u8]) -> Loose {
        let torn = bytes[self.at..].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Loose { last: (self.last as u64, self.at as u64), torn }
    }
}

impl Loose {
    /// Makes what was found in the newest `file` final.
    pub(super) fn settle(self, file: &File, dir: &Path) -> io::Result<()> {
        self.cut(file)?;
        self.write_last_again(file)?;
        // Its name may not be on disk yet either.
        File::open(dir)?.sync_all()
    }

    /// Only the last commit can be one whose sync failed or never began. After a failed one the system holds its pages for
    /// written, and a sync alone would not write them again.
    fn write_last_again(self, file: &File) -> io::Result<()> {
        let (from, to) = self.last;
        let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, from)?;
        file.write_all_at(&bytes, from)?;
        file.sync_data()
    }

    /// Puts zeros behind the last commit.
    fn cut(self, file: &File) -> io::Result<()> {
        if self.torn == 0 {
            return Ok(());
        }
        tracing::warn!(at = self.last.1, "the last write was torn and never acknowledged: cut");
        file.write_all_at(&vec![0; self.torn], self.last.1)?;
        file.sync_data()
    }
}
