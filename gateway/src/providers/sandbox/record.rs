//! The file of the sandbox's record: lines of JSON, each with a checksum, and beside it how many somebody was told of.
//!
//! A line ends with `,"check":"…"}`, the CRC-32 of the checksum before it and of the line without its own. Lines of earlier builds have
//! none, and are chained all the same. Invariants: bytes behind the last end of a line were never reported, and are cut; a line that
//! is not as it was written is refused by its number, and so is a record with fewer lines than were reported.

use holdfast_storage::private;
use holdfast_storage::watermark::Watermark;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Beside the record. It is written behind each line and not synced: after a power failure it only says less.
const MARK: &str = "mark";
const CHECK: &str = ",\"check\":\"";
/// With the digits, the quote and the brace.
const CHECK_BYTES: usize = CHECK.len() + 8 + 2;

/// See the module.
pub(super) struct Record {
    file: File,
    mark: Watermark,
    lines: u64,
    /// The checksum that the next line follows on.
    check: u32,
}

impl Record {
    /// Reads every line of the record, or makes it.
    ///
    /// # Errors
    /// If a file cannot be read or written, a line is damaged or `take` does not know it, or lines are gone.
    pub(super) fn open(path: &Path, mut take: impl FnMut(&str) -> io::Result<()>) -> io::Result<Self> {
        let file = private::append(path)?;
        let bytes = std::fs::read(path)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (mut lines, mut check) = (0, 0);
        for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
            lines += 1;
            check = read(line, check, &mut take).map_err(|reason| damaged(path, lines, &reason))?;
        }
        let (mark, reported) = Watermark::open(&path.with_extension(MARK)).map_err(io::Error::other)?;
        if lines < reported {
            return Err(io::Error::other(format!(
                "it ends with line {lines}, and line {reported} was reported\n  {ADVICE}, or remove {} too if it was cut on purpose",
                path.with_extension(MARK).display()
            )));
        }
        // Nothing is cut before all is known to be there.
        file.set_len(whole as u64)?;
        Ok(Self { file, mark, lines, check })
    }

    /// Writes a line and waits for the disk.
    ///
    /// # Errors
    /// If it cannot be written: then it is not there.
    pub(super) fn append(&mut self, json: &str) -> io::Result<()> {
        let (text, check) = checked(json, self.check);
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()) {
            // Half a line, on a full disk, would swallow the next one.
            self.file.set_len(before)?;
            return Err(error);
        }
        (self.lines, self.check) = (self.lines + 1, check);
        if let Err(error) = self.mark.set(self.lines) {
            tracing::warn!(%error, "the number of lines of the sandbox's record is not kept: its end is not checked");
        }
        Ok(())
    }
}

const ADVICE: &str = "Keep it, and restore the directory of the sandbox from a copy or a backup";

fn damaged(path: &Path, line: u64, reason: &str) -> io::Error {
    io::Error::other(format!("line {line} is damaged, {}:{line}: {reason}\n  {ADVICE}", path.display()))
}

/// Takes a line and says its checksum.
fn read(line: &[u8], before: u32, take: &mut impl FnMut(&str) -> io::Result<()>) -> Result<u32, String> {
    let line = std::str::from_utf8(line).map_err(|_| "it is no text".to_owned())?.trim_end_matches('\n');
    let start = line.len().saturating_sub(CHECK_BYTES);
    let body = if line.get(start..).is_some_and(|end| end.starts_with(CHECK)) {
        format!("{}}}", line.get(..start).unwrap_or_default())
    } else {
        line.to_owned()
    };
    let (text, check) = checked(&body, before);
    // One of an earlier build is its own body.
    if body != line && text.trim_end_matches('\n') != line {
        return Err("it is not as it was written".to_owned());
    }
    take(&body).map_err(|error| format!("it cannot be read: {error}"))?;
    Ok(check)
}

/// The line that a body is written as, and its checksum.
fn checked(json: &str, before: u32) -> (String, u32) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&before.to_le_bytes());
    hasher.update(json.as_bytes());
    let check = hasher.finalize();
    (format!("{}{CHECK}{check:08x}\"}}\n", json.strip_suffix('}').unwrap_or(json)), check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const LINES: [&str; 3] =
        [r#"{"attempt":"pay_a","step":"created"}"#, r#"{"attempt":"pay_a","step":"approved"}"#, r#"{"a":1}"#];

    fn read_all(path: &Path) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let take = |line: &str| {
            lines.push(line.to_owned());
            let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)?;
            let known = members.keys().all(|member| ["attempt", "step", "a"].contains(&member.as_str()));
            known.then_some(()).ok_or_else(|| io::Error::other("it has an unknown member"))
        };
        Record::open(path, take).map_err(|error| error.to_string())?;
        Ok(lines)
    }

    fn written(dir: &Path) -> PathBuf {
        let path = dir.join("attempts.jsonl");
        let mut record = Record::open(&path, |_| Ok(())).unwrap();
        LINES.iter().for_each(|line| record.append(line).unwrap());
        path
    }

    #[test]
    fn a_flipped_bit_anywhere_in_the_record_is_refused_by_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &changed).unwrap();
            let said = read_all(&path).expect_err("it was taken");
            assert!(said.contains("line ") && said.contains("Keep it"), "bit {bit}: {said}");
            assert_eq!(std::fs::read(&path).unwrap(), changed, "bit {bit}: it was cut");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read_all(&path).unwrap(), LINES);
    }

    /// Approvals that buyers had been told of were gone without a word.
    #[test]
    fn a_record_that_was_cut_is_refused_and_half_a_line_behind_the_last_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let said = read_all(&path).expect_err("it was taken");
            assert!(said.contains("line 3 was reported") && said.contains("attempts.mark"), "{length}: {said}");
        }
        std::fs::write(&path, [&whole, &b"{\"attempt"[..]].concat()).unwrap();
        assert_eq!(read_all(&path).unwrap(), LINES);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn lines_of_an_earlier_build_are_taken_and_those_behind_them_follow_on_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("attempts.jsonl");
        std::fs::write(&path, format!("{}\n", LINES[0])).unwrap();
        let mut record = Record::open(&path, |_| Ok(())).unwrap();
        record.append(LINES[1]).unwrap();
        assert_eq!(read_all(&path).unwrap(), LINES[..2]);
        let changed = std::fs::read_to_string(&path).unwrap().replacen("created", "voided", 1);
        std::fs::write(&path, changed).unwrap();
        assert!(read_all(&path).unwrap_err().contains("line 2"), "an older line was changed");
    }
}
