//! An error of a file, with the path it is about.

use std::io;
use std::path::Path;

#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FileError {
    pub path: String,
    pub reason: io::Error,
}

/// Names the path of an error.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.display().to_string();
    move |reason| FileError { path, reason }
}
