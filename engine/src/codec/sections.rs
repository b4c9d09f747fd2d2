//! A snapshot as sections: `version u8`, then `tag u16 | length u64 | bytes` until the end, tags growing.
//!
//! Invariant: a section that nobody knows is refused, not passed over: on a log whose beginning was purged its content is nowhere else.

use super::Error;
use super::version::{self, Kind, Newer};

/// The state of the partition: its SKUs, orders and keys.
pub const IMAGE: u16 = 1;
/// Where orders of the image came from, of those of which it is known.
pub const ORIGINS: u16 = 2;
/// What operators changed last.
pub const CHANGES: u16 = 3;
/// The largest tag of this build. A capability that keeps state of its own adds the next.
pub const NEWEST: u16 = CHANGES;
/// Bytes before a section.
const HEAD: usize = 10;

/// The sections of a snapshot that is being written.
pub(crate) struct Sections(Vec<u8>);

impl Sections {
    pub(crate) fn new() -> Self {
        Self(vec![version::SNAPSHOT])
    }

    /// Adds a section of what `write` appends. Tags must grow.
    pub(crate) fn push(&mut self, tag: u16, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        self.0.extend_from_slice(&tag.to_le_bytes());
        self.0.extend_from_slice(&[0; 8]);
        write(&mut self.0);
        let length = (self.0.len() - start - HEAD) as u64;
        self.0[start + 2..start + HEAD].copy_from_slice(&length.to_le_bytes());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// The sections of a snapshot by their tags. Of version 1, which was an image alone, it is the one section.
///
/// # Errors
/// For a version or a section of a newer build, and for bytes that are no sections.
pub(crate) fn read(snapshot: &[u8]) -> Result<Vec<(u16, &[u8])>, Error> {
    match version::of(Kind::Snapshot, snapshot)? {
        (version::IMAGE_SNAPSHOT, image) => Ok(vec![(IMAGE, image)]),
        (version::SNAPSHOT, sections) => split(sections),
        (other, _) => Err(version::unknown(other)),
    }
}

fn split(mut rest: &[u8]) -> Result<Vec<(u16, &[u8])>, Error> {
    let mut sections: Vec<(u16, &[u8])> = Vec::new();
    while !rest.is_empty() {
        let (head, behind) = rest.split_first_chunk::<HEAD>().ok_or(Error::Short)?;
        let [t0, t1, length @ ..] = *head;
        let tag = u16::from_le_bytes([t0, t1]);
        if tag > NEWEST {
            return Err(Newer::Section { tag }.into());
        }
        if sections.last().map_or(tag == 0, |(last, _)| tag <= *last) {
            return Err(Error::Malformed(format!("section {tag} is not where it belongs")));
        }
        let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| Error::Short)?;
        let (bytes, behind) = behind.split_at_checked(length).ok_or(Error::Short)?;
        sections.push((tag, bytes));
        rest = behind;
    }
    Ok(sections)
}
