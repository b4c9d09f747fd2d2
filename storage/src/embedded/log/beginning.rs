//! Where the log begins.
//!
//! `first` beside the files has the commit that the log begins with, and a checksum, once older files were deleted. Invariant: it is believed
//! whole or not at all, and it is on disk before the first file goes.

use super::super::failure::damaged_file;
use super::failed;
use crate::contract::{Error, LogSeq};
use crate::private;
use crate::watermark::{decode, encode};
use std::fs;
use std::io;
use std::path::Path;

/// Beside the files, of a log that does not begin with commit 1.
pub(super) const NAME: &str = "first";

/// The commit that the log begins with.
///
/// # Errors
/// [`Error::DamagedFile`] if what says so is not as it was written.
pub(super) fn first(dir: &Path) -> Result<LogSeq, Error> {
    let path = dir.join(NAME);
    match fs::read(&path) {
        Ok(bytes) => {
            let first = bytes.as_slice().try_into().ok().and_then(decode).filter(|first| *first > 1);
            first.ok_or_else(|| damaged_file(&path, "it is not as it was written"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(1),
        Err(error) => Err(failed(&path, &error)),
    }
}

/// Has the log begin with this commit, from now on and after any crash.
pub(super) fn begin_with(dir: &Path, first: LogSeq) -> io::Result<[u8; 12]> {
    let bytes = encode(first);
    private::replace(&dir.join(NAME), &bytes).map(|()| bytes)
}
