//! Reading events behind a cursor, one after the other.
//!
//! Invariants: every event behind the cursor is given once, each log in its order; no more than one record is decoded at a time, as one
//! may take megabytes; no log hides the others, however much or large it is.

use super::CloudEvent;
use super::cursor::{self, Cursor, Position};
use crate::keys::Role;
use holdfast_engine::codec::{self, Entry};
use holdfast_engine::event::Record;
use holdfast_engine::ids::PartitionId;
use holdfast_storage::{Error, Journal, LogId};
use std::ops::ControlFlow;

/// One event with the cursor after it.
pub struct Published<'a> {
    pub cursor: &'a Cursor,
    pub partition: PartitionId,
    pub record: Record,
}

/// Takes one event; breaks if it wants no more.
pub type Take<'a> = dyn FnMut(Published<'_>) -> ControlFlow<()> + 'a;

/// How far a read came.
pub struct Reached {
    /// Behind the last event. None: there was no event.
    pub next: Option<Cursor>,
    /// There was nothing behind it.
    pub last: bool,
}

/// Gives `take` the events after `cursor`, one by one and at most `limit`: a thousand decoded records may take gigabytes, so that none
/// is held while the next is read. Of every log it takes a share, so that a busy one never hides the others, and with which it begins
/// differs from cursor to cursor, so that large events of the first ones never hide the last. Blocks on the store.
///
/// # Errors
/// If a log is damaged or cannot be read.
pub fn read(journal: &dyn Journal, after: &Cursor, limit: usize, take: &mut Take<'_>) -> Result<Reached, Error> {
    let mut reading = Reading { journal, cursor: start(journal, after)?, left: limit, full: false, take };
    let mut news = reading.news();
    while !news.is_empty() && !reading.is_over() {
        let share = reading.left.div_ceil(news.len());
        let mut more = Vec::new();
        for log in news {
            if reading.log(log, share)? {
                more.push(log);
            }
        }
        news = more;
    }
    let found = reading.left < limit;
    Ok(Reached { last: news.is_empty(), next: found.then_some(reading.cursor) })
}

/// Where reading begins. The beginning is that of everything which is kept. A reader that has seen something stands where it stands,
/// and hears of it when what comes next for it is purged.
///
/// # Errors
/// If the store cannot be read.
pub fn start(journal: &dyn Journal, after: &Cursor) -> Result<Cursor, Error> {
    let mut cursor = after.clone();
    if after.is_beginning() {
        for log in journal.logs() {
            let first = journal.first(log)?;
            if first > 1 {
                cursor.set(log, Position { commit: first, index: 0, check: None });
            }
        }
    }
    Ok(cursor)
}

/// A read that goes on.
struct Reading<'a, 'b> {
    journal: &'a dyn Journal,
    /// Behind the last event.
    cursor: Cursor,
    left: usize,
    /// Nobody takes more.
    full: bool,
    take: &'a mut Take<'b>,
}

impl Reading<'_, '_> {
    fn is_over(&self) -> bool {
        self.full || self.left == 0
    }

    /// The logs that may have events behind the cursor.
    fn news(&self) -> Vec<LogId> {
        let is_new = |log: &LogId| self.journal.end(*log) >= self.cursor.of(*log).commit;
        let mut news: Vec<LogId> = self.journal.logs().into_iter().filter(is_new).collect();
        if news.len() > 1 {
            let first = cursor::fingerprint(&self.cursor) % news.len() as u128;
            news.rotate_left(usize::try_from(first).unwrap_or_default());
        }
        news
    }

    /// Reads on in one log. Says whether there may be more than was read.
    fn log(&mut self, log: LogId, share: usize) -> Result<bool, Error> {
        let (after, enough) = (self.cursor.of(log), self.left.saturating_sub(share));
        if self.is_over() {
            return Ok(true);
        }
        let journal = self.journal;
        journal.read(log, after.commit.saturating_sub(1), &mut |commit, frame| {
            let check = Some(codec::frame_check(frame)?);
            let mut entries = (1..).zip(codec::read_frame(frame)?).peekable();
            while let Some((index, entry)) = entries.next() {
                if commit == after.commit && index <= after.index {
                    continue;
                }
                // Behind the last event of a commit it stands before the next: who has read all finds that without a read.
                let last = entries.peek().is_none();
                let (commit, index) = if last { (commit + 1, 0) } else { (commit, index) };
                self.event(log, Position { commit, index, check }, &entry?)?;
                if self.full || self.left <= enough {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(self.full || self.left <= enough)
    }

    fn event(&mut self, log: LogId, position: Position, entry: &Entry<'_>) -> Result<(), Error> {
        let record = entry.decode()?;
        self.cursor.set(log, position);
        self.left -= 1;
        self.full = (self.take)(Published { cursor: &self.cursor, partition: entry.partition, record }).is_break();
        Ok(())
    }
}

impl Published<'_> {
    /// As a reader of this role is shown it. None: it is not for such a reader.
    pub fn shown_to(&self, role: Role) -> Option<CloudEvent<'_>> {
        CloudEvent::shown_to(role, self.partition, &self.record)
    }

    /// The event in the structured JSON form of CloudEvents 1.0.
    pub fn cloud_event(&self) -> CloudEvent<'_> {
        CloudEvent::of(self.partition, &self.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::Causality;
    use holdfast_engine::codec::Batch;
    use holdfast_engine::event::{Event, StockFact};
    use holdfast_engine::ids::{Partitions, Sku};
    use holdfast_engine::quantity::Quantity;
    use holdfast_engine::time::Timestamp;
    use holdfast_storage::Log;
    use holdfast_storage::memory::MemoryJournal;

    fn journal() -> MemoryJournal {
        MemoryJournal::with(Causality::PerPartition, Partitions::new(4).unwrap())
    }

    /// One commit of these events.
    fn append(journal: &MemoryJournal, log: u16, seqs: impl IntoIterator<Item = u64>) {
        let mut batch = Batch::default();
        for seq in seqs {
            let fact = StockFact::ThresholdSet { threshold: Quantity::new(1), version: seq };
            let event = Event::Stock { sku: Sku::new("SKU").unwrap(), fact };
            batch.push(PartitionId(log), &Record { seq, at: Timestamp::new(1), event });
        }
        journal.append(LogId(log), &batch).unwrap();
    }

    /// Partition and sequence of up to `limit` events, and how far that came. It takes no more than `most`.
    fn read_some(journal: &MemoryJournal, after: &Cursor, limit: usize, most: usize) -> (Vec<(u16, u64)>, Reached) {
        let mut seen = Vec::new();
        let reached = read(journal, after, limit, &mut |event| {
            seen.push((event.partition.0, event.record.seq));
            if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        (seen, reached.unwrap())
    }

    /// A busy partition must not hide the events of the others from a reader who asks for short pages.
    #[test]
    fn pages_of_any_size_show_every_event_of_every_log_once() {
        let journal = journal();
        for (log, commits) in [(0, 200), (1, 3), (3, 1)] {
            (0..commits).for_each(|commit| append(&journal, log, [2 * commit + 1, 2 * commit + 2]));
        }
        for (limit, most) in [1, 2, 3, 7, 50, 1000].into_iter().flat_map(|limit| [(limit, usize::MAX), (1000, limit)]) {
            let (mut cursor, mut seen, mut pages) = (Cursor::default(), Vec::new(), 0);
            loop {
                let (found, Reached { next, last }) = read_some(&journal, &cursor, limit, most);
                assert!(found.len() <= limit.min(most) && (!last || found.len() < limit.min(most)));
                seen.extend(found);
                let Some(next) = next else { break };
                cursor = next.to_string().parse().unwrap();
                pages += 1;
                if pages == 1 && limit >= 7 && most == usize::MAX {
                    assert!(seen.iter().any(|(partition, _)| *partition == 3), "limit {limit}");
                }
            }
            seen.sort_unstable();
            let all: Vec<(u16, u64)> =
                [(0, 400), (1, 6), (3, 2)].iter().flat_map(|(log, last)| (1..=*last).map(|seq| (*log, seq))).collect();
            assert_eq!(seen, all, "limit {limit}, {most} are taken");
        }
    }

    /// Defect: where each event filled a page, a reader was given those of the first logs for as long as there were any.
    #[test]
    fn large_events_of_a_busy_log_do_not_hide_those_of_the_last() {
        let journal = journal();
        append(&journal, 3, [1]);
        let (mut cursor, mut read, mut seen) = (Cursor::default(), 0, Vec::new());
        while !seen.contains(&(3, 1)) {
            read += 1;
            assert!(read < 100, "the last log is hidden: {seen:?}");
            append(&journal, 0, [read]);
            let (found, reached) = read_some(&journal, &cursor, 1000, 1);
            seen.extend(found);
            cursor = reached.next.unwrap();
        }
    }
}
