//! `holdfast.meta`: the format of a data directory and the number of its partitions, with a checksum.
//!
//! Invariant: it is believed whole or not at all. One of an earlier build has no checksum, and is believed where it is written
//! exactly as that build wrote it.

use super::failure::damaged_file;
use crate::contract::Error;
use holdfast_engine::ids::Partitions;
use std::path::Path;

/// Version of everything below the directory that the database does not version itself. Data of an older format is upgraded when it is
/// opened: format 1 had its log in the database, until format 3 closed orders were rows under their bare ids, so that a build of
/// then would not find those of today, and until format 4 snapshots were rows too.
pub(super) const FORMAT: u32 = 4;
pub(super) const OLDEST: u32 = 1;
/// From this format on the log is in files of its own.
pub(super) const LOG_IN_FILES: u32 = 2;
/// From this format on snapshots are in files of their own.
pub(super) const SNAPSHOTS_IN_FILES: u32 = 4;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) format: u32,
    pub(super) partitions: Partitions,
    /// Whether it has a checksum. That of an earlier build has none.
    pub(super) sealed: bool,
}

const ADVICE: &str = "open it with the version that wrote it, or a newer one\n  To go back to this one, restore a backup that was made before \
                      the upgrade.";

/// Begins the line of the checksum.
const CHECK: &str = "check ";

impl Description {
    pub(super) fn text(self) -> String {
        let body = format!("format {}\npartitions {}\n", self.format, self.partitions.count());
        if self.sealed { seal(&body) } else { body }
    }

    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let changed = || damaged_file(path, "it is not as it was written");
        let text = std::str::from_utf8(bytes).map_err(|_| changed())?;
        let body = text.split_once(CHECK).map(|(body, _)| body);
        if body.is_some_and(|body| seal(body) != text) {
            return Err(changed());
        }
        let format = field(text, "format").ok_or_else(changed)?;
        if !(OLDEST..=FORMAT).contains(&format) {
            return Err(Error::Incompatible(format!("the data is of format {format}, this version reads {FORMAT}: {ADVICE}")));
        }
        let partitions = field(text, "partitions").and_then(Partitions::new).ok_or_else(changed)?;
        let found = Self { format, partitions, sealed: body.is_some() };
        if found.text() == text { Ok(found) } else { Err(changed()) }
    }
}

fn seal(body: &str) -> String {
    format!("{body}{CHECK}{:08x}\n", crc32fast::hash(body.as_bytes()))
}

fn field<T: std::str::FromStr>(text: &str, name: &str) -> Option<T> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: impl AsRef<[u8]>) -> Result<Description, Error> {
        Description::parse(text.as_ref(), Path::new("holdfast.meta"))
    }

    fn described() -> Description {
        Description { format: FORMAT, partitions: Partitions::new(64).unwrap(), sealed: true }
    }

    /// Of 64 partitions 65 would look for every order in another place.
    #[test]
    fn a_description_with_one_bit_changed_is_refused_by_its_name() {
        let text = described().text();
        assert_eq!(parse(&text).unwrap(), described());
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let said = parse(&changed).unwrap_err().to_string();
            assert!(said.contains("holdfast.meta is damaged"), "bit {bit}: {said}");
        }
    }

    #[test]
    fn a_description_that_was_cut_is_refused_or_says_the_same() {
        let text = described().text();
        for length in 0..text.len() {
            let same = parse(&text[..length]).is_ok_and(|found| found.partitions == described().partitions);
            assert!(same || parse(&text[..length]).is_err(), "{:?}", &text[..length]);
        }
    }

    #[test]
    fn a_description_of_an_earlier_build_is_read_and_one_of_a_later_format_is_not() {
        let found = parse("format 1\npartitions 4\n").unwrap();
        assert_eq!((found.format, found.partitions.count(), found.sealed), (1, 4, false));
        let later = parse(format!("format {}\npartitions 4\nshards 2\n", FORMAT + 1));
        assert!(matches!(later, Err(Error::Incompatible(said)) if said.contains("open it with the version that wrote it")));
        for text in ["", "partitions 4\n", "format 2\n", "format 2\npartitions x\n", "format 2\npartitions 4"] {
            assert!(matches!(parse(text), Err(Error::DamagedFile { .. })), "{text:?}");
        }
    }
}
