//! Reads what lies on the disk and nobody asked for in a long time, so that damage is known of while there is still a copy.
//!
//! Invariants: in each period every full file of the log is read once and compared with its checksums, at a rate that leaves the
//! disk to others; a file that is damaged is named in the log and counted at each pass; where a pass has come to, and when the last one
//! finished, outlives the process.

use crate::background;
use crate::contract::{Checked, Error, Journal, LogSeq, Pace, Row, Rows, Table};
use crate::rows::meta;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use holdfast_engine::codec;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first pass goes on when a start has settled.
const FIRST: Duration = Duration::from_secs(60);
/// Bytes a second, at least: a small log is read in no time.
const SLOWEST: u64 = 1024 * 1024;
/// And at most, also where the whole log then takes longer than a period.
const FASTEST: u64 = 32 * 1024 * 1024;
/// Bytes read between two rests.
const STRETCH: u64 = 1024 * 1024;

/// The thread that reads. It holds on to the journal until [`Scrub::stop`] returns.
pub struct Scrub {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Scrub {
    /// Reads everything once in a period.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(journal: Arc<dyn Journal>, period: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let work = move || run(&*journal, period, &stopped);
        Ok(Self { stop, thread: std::thread::Builder::new().name("scrub".to_owned()).spawn(work)? })
    }

    /// Waits for the bytes in hand, not for the others.
    pub fn stop(self) {
        drop(self.stop);
        background::join(self.thread);
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    /// The last file that was compared, 0 for none.
    after: LogSeq,
    /// In seconds since 1970, 0 for never.
    finished: u64,
}

impl Position {
    fn read(journal: &dyn Rows) -> Result<Self, Error> {
        let Some(row) = journal.get(Table::Meta, meta::SCRUB)? else { return Ok(Self::default()) };
        let (after, finished) = codec::decode(&row)?;
        Ok(Self { after, finished })
    }

    fn save(self, journal: &dyn Rows) -> Result<(), Error> {
        let value = codec::encode(&(self.after, self.finished));
        journal.project(&[Row { table: Table::Meta, key: meta::SCRUB.to_vec(), value, version: 0 }])
    }

    /// How long until the next pass.
    fn pause(self, period: Duration) -> Duration {
        let due = self.finished.saturating_add(period.as_secs());
        let rest = if self.after > 0 { 0 } else { due.saturating_sub(now()) };
        Duration::from_secs(rest).clamp(FIRST, period.max(FIRST))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn run(journal: &dyn Journal, period: Duration, stopped: &Receiver<()>) {
    background::yield_to_the_hot_path();
    let ended = |pause| stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
    let mut position = Position::read(journal).unwrap_or_default();
    tell(position);
    while !ended(position.pause(period)) {
        let rate = (journal.bytes() / period.as_secs().max(1)).clamp(SLOWEST, FASTEST);
        let mut read = 0;
        let pace = &mut |bytes| {
            read += bytes;
            if read < STRETCH {
                return ControlFlow::Continue(());
            }
            let rest = Duration::from_millis(std::mem::take(&mut read) * 1000 / rate);
            if ended(rest) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match pass(journal, position, pace) {
            Ok((to, _)) => position = to,
            // It goes on behind the last file that was compared.
            Err(error) => {
                position = Position::read(journal).unwrap_or(position);
                tracing::warn!(%error, "the files of the log are not compared further for now");
            }
        }
        tell(position);
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
fn tell(position: Position) {
    metrics::gauge!("holdfast_scrub_finished_timestamp_seconds").set(position.finished as f64);
}

/// Compares all that is left of a pass. Where it has come to, and what is damaged.
fn pass(journal: &dyn Journal, mut position: Position, pace: Pace<'_>) -> Result<(Position, Vec<String>), Error> {
    let (mut files, mut damaged, mut stopped) = (0, Vec::new(), false);
    let pace = &mut |bytes| {
        let on = pace(bytes);
        stopped |= on.is_break();
        on
    };
    while let Some(Checked { first, damage }) = journal.check_next_file(position.after, pace)? {
        files += 1;
        if let Some(damage) = damage {
            metrics::counter!("holdfast_scrub_damaged_files_total").increment(1);
            metrics::counter!("holdfast_alarms_total").increment(1);
            tracing::error!(
                "{damage}. Everything acknowledged is in memory and in the tables still: copy the data directory, stop the server and restore from a backup"
            );
            damaged.push(damage);
        }
        position.after = first;
        position.save(journal)?;
    }
    if !stopped {
        position = Position { after: 0, finished: now() };
        position.save(journal)?;
        tracing::info!(files, damaged = damaged.len(), "the full files of the log were compared with their checksums");
    }
    Ok((position, damaged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Log, LogId};
    use crate::embedded::EmbeddedJournal;
    use holdfast_engine::codec::Batch;
    use holdfast_engine::ids::Partitions;
    use std::fs;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    /// With three files of the log, of which two are full.
    fn written() -> (TempDir, EmbeddedJournal) {
        let dir = tempfile::tempdir().unwrap();
        let journal = EmbeddedJournal::open_with_reserve(dir.path(), Partitions::new(4).unwrap(), 0).unwrap();
        for commit in 0..20_u8 {
            journal.append(LogId(0), &Batch { entries: vec![commit; 200_000], events: 1 }).unwrap();
        }
        (dir, journal)
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some());
        files.sort();
        files
    }

    fn scrub(journal: &dyn Journal, from: Position) -> (Position, Vec<String>) {
        pass(journal, from, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    #[test]
    fn a_pass_reads_every_full_file_and_says_when_it_finished() {
        let (dir, journal) = written();
        let mut bytes = 0;
        let mut count = |read| {
            bytes += read;
            ControlFlow::Continue(())
        };
        let (to, damaged) = pass(&journal, Position::default(), &mut count).unwrap();
        assert!(files(dir.path()).len() >= 3 && bytes > 2_500_000, "{bytes}");
        assert!(damaged.is_empty() && to.after == 0 && to.finished > 0);
        assert_eq!(Position::read(&journal).unwrap(), to, "it does not outlive the process");
        let day = Duration::from_secs(86_400);
        assert!(to.pause(day) > day / 2 && Position { after: 1, ..to }.pause(day) == FIRST);
    }

    /// A file that nobody read was found to be damaged when the last good backup was gone.
    #[test]
    fn damage_in_a_full_file_is_named_with_its_byte_and_the_others_are_read_too() {
        let (dir, journal) = written();
        let files = files(dir.path());
        for file in &files[..2] {
            let whole = fs::read(file).unwrap();
            for place in [3, 200_100, whole.len() - 1] {
                let mut changed = whole.clone();
                changed[place] ^= 1;
                fs::write(file, &changed).unwrap();
                let (to, damaged) = scrub(&journal, Position::default());
                assert!(damaged.len() == 1 && damaged[0].contains(&file.display().to_string()), "{place}: {damaged:?}");
                assert!(to.after == 0 && damaged[0].contains("from byte"), "{damaged:?}");
            }
            fs::write(file, &whole[..whole.len() / 2]).unwrap();
            assert_eq!(scrub(&journal, Position::default()).1.len(), 1, "a file that was cut");
            fs::write(file, &whole).unwrap();
        }
        assert_eq!(scrub(&journal, Position::default()).1, Vec::<String>::new());
    }

    #[test]
    fn a_pass_that_is_stopped_goes_on_with_the_file_it_was_at() {
        let (_dir, journal) = written();
        let mut left = 8;
        let stop = &mut |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let (to, _) = pass(&journal, Position::default(), stop).unwrap();
        assert!(to.after == 1 && to.finished == 0, "{to:?}");
        let mut first = None;
        let on = &mut |bytes| {
            first.get_or_insert(bytes);
            ControlFlow::Continue(())
        };
        assert!(pass(&journal, to, on).unwrap().0.finished > 0 && first.is_some());
    }

    #[test]
    fn a_thread_that_is_told_to_stop_ends_before_its_first_pass() {
        let (_dir, journal) = written();
        Scrub::start(Arc::new(journal), Duration::from_secs(86_400)).unwrap().stop();
    }
}
