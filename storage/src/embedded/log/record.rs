//! How a commit lies in a file of the log: `number u64 | seal u32 | frame`, little-endian.
//!
//! The seal is the CRC-32 of the number and of the header of the frame, which has the length and the checksum of the rest.
//! Invariant: bytes that are not a whole record are never taken for one, and where a record ends is known from its head.

use crate::contract::LogSeq;
use holdfast_engine::codec;

/// Number and seal.
const OWN: usize = 12;
/// Everything before the entries of the commit.
pub(super) const HEAD: usize = OWN + codec::HEADER;

/// Replaces what is in `record`.
pub(super) fn encode(commit: LogSeq, frame: &[u8], record: &mut Vec<u8>) {
    record.clear();
    record.extend_from_slice(&commit.to_le_bytes());
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(frame);
    let seal = seal_of(record);
    record[8..OWN].copy_from_slice(&seal.to_le_bytes());
}

/// The number and the length of the record that begins here, if its head is whole.
pub(super) fn head(bytes: &[u8]) -> Option<(LogSeq, usize)> {
    let head = bytes.get(..HEAD)?;
    let length = codec::frame_len(&head[OWN..]).ok()?;
    let sealed = seal_of(head).to_le_bytes() == head[8..OWN];
    let commit = LogSeq::from_le_bytes(head[..8].try_into().ok()?);
    sealed.then_some((commit, OWN + length))
}

/// The frame in the bytes of a record.
pub(super) fn frame(record: &[u8]) -> &[u8] {
    &record[OWN..]
}

/// The number and the length of the record that begins here, if all of it is as it was written.
pub(super) fn whole(bytes: &[u8]) -> Option<(LogSeq, usize)> {
    let (commit, length) = head(bytes)?;
    codec::read_frame(frame(bytes.get(..length)?)).ok()?;
    Some((commit, length))
}

fn seal_of(head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..8]);
    hasher.update(&head[OWN..HEAD]);
    hasher.finalize()
}
