//! Versions of what is written: records, rows of tables, snapshots.
//!
//! Invariant: a version that is read stays readable for ever, as golden files hold; one that this build does not know is refused with
//! a sentence that says what to do, never skipped, because what is skipped may be the only copy.

use super::Error;

/// The newest version of a record: where its order came from stands behind it.
pub const RECORD: u8 = 2;
/// Version of a record of which nothing of that kind is known.
pub(crate) const PLAIN_RECORD: u8 = 1;
/// The newest version of a row.
pub const ROW: u8 = 1;
/// The newest version of the row of an order: where it came from stands behind its history. Version 1 was a row like all others.
pub const HISTORY: u8 = 2;
/// The newest version of a snapshot: sections. Version 1 was the image alone.
pub const SNAPSHOT: u8 = 2;
/// Version of a snapshot that is an image and nothing else.
pub(crate) const IMAGE_SNAPSHOT: u8 = 1;

/// What has a version of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Record,
    Row,
    History,
    Snapshot,
}

impl Kind {
    fn newest(self) -> u8 {
        match self {
            Self::Record => RECORD,
            Self::Row => ROW,
            Self::History => HISTORY,
            Self::Snapshot => SNAPSHOT,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Row | Self::History => "row",
            Self::Snapshot => "snapshot",
        }
    }
}

/// Bytes that a later version wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Newer {
    #[error("its {} version is {found}, and this build reads up to {}: {ADVICE}", .of.name(), .of.newest())]
    Version { of: Kind, found: u8 },
    #[error("its snapshot has a section {tag}, which this build does not know: {ADVICE}")]
    Section { tag: u16 },
}

const ADVICE: &str = "a newer version of Holdfast wrote it\n  Start the version that wrote it, or a newer one. To go back to this one, \
                      restore a backup that was made before the upgrade.";

/// The version that `bytes` begin with, and what follows it.
///
/// # Errors
/// If there is no byte, or it is of a version to come.
pub(crate) fn of(kind: Kind, bytes: &[u8]) -> Result<(u8, &[u8]), Error> {
    let (found, body) = bytes.split_first().ok_or(Error::Short)?;
    if *found > kind.newest() {
        return Err(Newer::Version { of: kind, found: *found }.into());
    }
    Ok((*found, body))
}

/// A version that nothing was ever written with.
pub(crate) fn unknown(found: u8) -> Error {
    Error::Malformed(format!("there is no version {found}"))
}
