//! The thread that commits rows of the projections.
//!
//! The database has one lock for everything that is written, and those who ask for rows run only when nobody else wants
//! to: one of them that lost the processor with the lock in hand would stop every order. So the lock is only ever taken
//! by threads of full priority. Invariant: batches are committed in the order they come.

use super::failure::failed;
use crate::journal::Error;
use crossbeam::channel::{Sender, bounded, unbounded};
use fjall::OwnedWriteBatch;
use std::thread::JoinHandle;

type Job = (OwnedWriteBatch, Sender<Result<(), Error>>);

/// Ends, with its thread, when it is dropped.
pub(super) struct Rows {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Rows {
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start() -> Result<Self, Error> {
        let (jobs, queue) = unbounded::<Job>();
        let thread = std::thread::Builder::new().name("rows".to_owned()).spawn(move || {
            for (batch, told) in queue {
                // Who does not wait any more is a process that ends.
                told.send(batch.commit().map_err(failed)).unwrap_or_default();
            }
        });
        let thread = thread.map_err(|error| Error::Failed(format!("the thread of the rows: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Commits a batch and waits for it.
    pub(super) fn commit(&self, batch: OwnedWriteBatch) -> Result<(), Error> {
        let (told, done) = bounded(1);
        let job = self.jobs.as_ref().ok_or(Error::Stopped)?;
        job.send((batch, told)).map_err(|_| Error::Stopped)?;
        done.recv().unwrap_or(Err(Error::Stopped))
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}
