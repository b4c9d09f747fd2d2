//! Room on the disk: a commit is refused while there is still room for what the database has yet to write behind it.
//!
//! A worker of the database that meets a full disk dies, and rows that wait for its flush wait for ever. So the log ends
//! first. Invariant: when an append begins, the disk has room for all that is only in memory, and the reserve.

use crate::contract::Error;
use std::path::{Path, PathBuf};

/// Kept free for merging and for whatever else writes beside us.
pub const RESERVE: u64 = 64 * 1024 * 1024;

#[derive(Clone)]
pub(crate) struct Space {
    pub(crate) dir: PathBuf,
    /// Zero for a reader that must open whatever the disk looks like.
    pub(crate) reserve: u64,
}

impl Space {
    /// [`Error::Full`] without room for `unwritten` bytes and the reserve.
    pub(crate) fn check(&self, unwritten: u64) -> Result<(), Error> {
        if self.reserve == 0 {
            return Ok(());
        }
        match rustix::fs::statvfs(&self.dir) {
            // Some file systems know no size: there the write itself has to tell.
            Ok(disk) if disk.f_blocks > 0 => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                if free < self.reserve.saturating_add(unwritten) { Err(Error::Full) } else { Ok(()) }
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Whether the disk that `dir` is on has room for the reserve.
pub fn has_room(dir: &Path, reserve: u64) -> bool {
    Space { dir: dir.to_owned(), reserve }.check(0).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_the_reserve_is_full_and_a_reader_does_not_ask() {
        let dir = tempfile::tempdir().unwrap();
        let space = |reserve| Space { dir: dir.path().to_owned(), reserve };
        assert!(matches!(space(u64::MAX / 2).check(0), Err(Error::Full)));
        assert!(matches!(space(1).check(u64::MAX), Err(Error::Full)));
        assert!(space(1).check(0).is_ok());
        assert!(space(0).check(u64::MAX).is_ok());
    }
}
