//! Lines on their way to standard error: a bounded queue, and one thread that writes.
//!
//! Invariant: whoever hands a line over neither waits nor fails, whatever reads standard error or however full its disk is. A line
//! that finds no room, or that cannot be written, is dropped and counted.

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait while the writer is held up: enough for a burst, little memory.
const WAITING_LINES: usize = 4096;

enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it was written or dropped.
    Flush(Sender<()>),
}

/// Takes lines. The thread ends when the last clone is gone.
#[derive(Clone)]
pub struct LineQueue {
    entries: Sender<Entry>,
    lost: Arc<AtomicU64>,
}

impl LineQueue {
    /// Starts the thread that writes to `output`, which may fail or block for ever.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (entries, waiting) = bounded(WAITING_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let worker = Worker { waiting, output, lost: lost.clone(), reported: 0 };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || worker.run())?;
        Ok(Self { entries, lost })
    }

    pub fn push(&self, line: &[u8]) {
        match self.entries.try_send(Entry::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => count_lost(&self.lost),
        }
    }

    /// Waits until what was handed over before is written, for at most `timeout`. False if it is not.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let (done, flushed) = bounded(1);
        self.entries.send_timeout(Entry::Flush(done), timeout).is_ok() && flushed.recv_deadline(deadline).is_ok()
    }

    /// Lines that were dropped.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn count_lost(lost: &AtomicU64) {
    lost.fetch_add(1, Ordering::Relaxed);
    metrics::counter!("holdfast_log_lines_lost_total").increment(1);
}

struct Worker<W> {
    waiting: Receiver<Entry>,
    output: W,
    lost: Arc<AtomicU64>,
    reported: u64,
}

impl<W: Write> Worker<W> {
    fn run(mut self) {
        while let Ok(entry) = self.waiting.recv() {
            match entry {
                Entry::Line(line) => match self.output.write_all(&line) {
                    Ok(()) => self.report_lost(),
                    Err(_) => count_lost(&self.lost),
                },
                // Whoever asked may have given up.
                Entry::Flush(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    /// The log can be written again: it says what is missing from it. Only with the queue empty, so that there is room for that.
    fn report_lost(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > self.reported && self.waiting.is_empty() {
            tracing::warn!(lines = lost - self.reported, "lines of this log were lost: it could not be written");
            self.reported = lost;
        }
    }
}

/// One event, which the subscriber writes whole.
pub struct Line<'a>(&'a LineQueue);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// A disk that is full while it is told to be.
    #[derive(Clone, Default)]
    struct Disk {
        full: Arc<Mutex<bool>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if *self.full.lock().unwrap() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_full_disk_refuses_are_counted_and_later_ones_written() {
        let disk = Disk::default();
        let queue = LineQueue::start(disk.clone()).unwrap();
        *disk.full.lock().unwrap() = true;
        (0..3).for_each(|_| queue.push(b"refused\n"));
        assert!(queue.flush(TIMEOUT));
        assert_eq!(queue.lost(), 3);
        *disk.full.lock().unwrap() = false;
        queue.push(b"written\n");
        assert!(queue.flush(TIMEOUT));
        assert_eq!(*disk.written.lock().unwrap(), b"written\n");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_up_nobody_who_logs() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let queue = LineQueue::start(writer).unwrap();
        let line = [b'x'; 256];
        (0..2 * WAITING_LINES).for_each(|_| queue.push(&line));
        // 64 KiB are in the pipe, one line is being written, the rest waits or is lost.
        assert!(queue.lost() >= (WAITING_LINES - 257) as u64, "{}", queue.lost());
        assert!(!queue.flush(Duration::from_millis(10)), "what nobody reads is not flushed");
    }

    #[test]
    fn a_flush_comes_after_every_line_before_it() {
        let disk = Disk::default();
        let queue = LineQueue::start(disk.clone()).unwrap();
        (0..100).for_each(|_| queue.push(b"line\n"));
        assert!(queue.flush(TIMEOUT));
        assert_eq!(disk.written.lock().unwrap().len(), 500);
    }
}
