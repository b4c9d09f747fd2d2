//! The lists the database has of its own files, compared before it believes them.
//!
//! It reads its list of tables without comparing it with the checksum that lies beside it, deletes the tables that are not on the
//! list, and takes a part without a list for one that was never made. Invariant: it opens on lists that are as it wrote them,
//! and with every part that it had.
//!
//! Below `keyspaces` each part has a directory with its number. In there `current` says `version u64 | xxh3 u128 | 0`, and the list is
//! the file `v{version}`. Numbers are little-endian.

use super::failure::{damaged_file, file_failed};
use crate::contract::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

const CURRENT: &str = "current";
const CURRENT_BYTES: usize = 25;

/// What the file `version` of any version begins with; the database itself refuses another than its own.
const VERSION: &[u8] = b"FJL";
const VERSION_BYTES: usize = 4;

/// Compares every list, of which there must be `parts` at least.
pub(super) fn check(database: &Path, parts: usize) -> Result<(), Error> {
    let version = database.join("version");
    if !read(&version)?.is_some_and(|bytes| bytes.len() == VERSION_BYTES && bytes.starts_with(VERSION)) {
        return Err(damaged_file(&version, "it is not as it was written"));
    }
    let keyspaces = database.join("keyspaces");
    let dirs = directories(&keyspaces).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => damaged_file(&keyspaces, "it is missing"),
        _ => file_failed("the tables", &keyspaces, &error),
    })?;
    let (mut whole, mut missing) = (0, None);
    for dir in dirs {
        if check_part(&dir)? { whole += 1 } else { missing = Some(dir.join(CURRENT)) }
    }
    if whole < parts {
        // What is left of a part that was being deleted is no loss.
        Err(damaged_file(&missing.unwrap_or(keyspaces), &format!("{whole} parts of the tables are there, of {parts}")))
    } else {
        Ok(())
    }
}

fn directories(keyspaces: &Path) -> io::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in fs::read_dir(keyspaces)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            dirs.push(entry.path());
        }
    }
    Ok(dirs)
}

/// Whether the part has a list, which is as it was written.
fn check_part(dir: &Path) -> Result<bool, Error> {
    let numbered = dir.file_name().is_some_and(|name| name.to_str().is_some_and(|name| name.parse::<u64>().is_ok()));
    if !numbered {
        return Err(damaged_file(dir, "it is no part of the tables: move it away"));
    }
    let Some(current) = read(&dir.join(CURRENT))? else { return Ok(false) };
    let (version, sum) = parse(&current).ok_or_else(|| damaged_file(&dir.join(CURRENT), "it is not as it was written"))?;
    let path = dir.join(format!("v{version}"));
    match read(&path)? {
        Some(list) if xxh3_128(&list) == sum => Ok(true),
        Some(_) => Err(damaged_file(&path, "it, or `current` beside it, is not as it was written")),
        None => Err(damaged_file(&path, "it is missing, or `current` beside it is not as it was written")),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_failed("the tables", path, &error)),
    }
}

fn parse(bytes: &[u8]) -> Option<(u64, u128)> {
    let bytes: &[u8; CURRENT_BYTES] = bytes.try_into().ok()?;
    let version = u64::from_le_bytes(bytes[..8].try_into().ok()?);
    let sum = u128::from_le_bytes(bytes[8..24].try_into().ok()?);
    (bytes[24] == 0).then_some((version, sum))
}
