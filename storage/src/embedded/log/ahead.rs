//! The next file of the log, made of zeros on a thread of its own before it is needed.
//!
//! Invariant: a file is handed out only when it is whole and on disk. If none is ready, for lack of space or of time, that is no
//! failure: the log makes its file itself.

use super::super::space::Space;
use super::{PAGE, failed};
use crate::contract::Error;
use crossbeam::channel::{Sender, bounded};
use rustix::fs::OFlags;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Its name until it is used.
pub(super) const NAME: &str = "next";
/// Bytes written and synced at once: what a commit at the same time may have to wait for.
const PIECE: usize = 512 * 1024;
/// Room that is left to the tables: as much as their memory may have to be written, see `creation`.
const TABLES: u64 = 64 * 1024 * 1024;

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Making,
    Ready(File, u64),
    /// Not tried again before somebody asks for the file and learns that there is none.
    Failed,
}

/// Ends, with its thread, when it is dropped.
pub(super) struct Ahead {
    state: Arc<Mutex<State>>,
    /// Sizes of files to make.
    requests: Option<Sender<u64>>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Ahead {
    pub(super) fn start(path: PathBuf, space: Space) -> Result<Self, Error> {
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let (requests, requested) = bounded(1);
        let (made, stopped) = (state.clone(), stop.clone());
        let next = path.clone();
        let work = move || {
            for size in requested {
                let file = make(&path, size, &space, &stopped);
                let state = file.map_or(State::Failed, |file| State::Ready(file, size));
                *made.lock().unwrap_or_else(PoisonError::into_inner) = state;
            }
        };
        let thread =
            std::thread::Builder::new().name("next file".to_owned()).spawn(work).map_err(|error| failed(&next, &error))?;
        Ok(Self { state, requests: Some(requests), thread: Some(thread), stop })
    }

    /// Has a file of `size` bytes made, unless one is ready or being made.
    pub(super) fn prepare(&self, size: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let (State::Idle, Some(requests)) = (&*state, &self.requests) {
            *state = State::Making;
            let _ = requests.try_send(size);
        }
    }

    /// The file that is ready and its size. After that the next can be prepared.
    pub(super) fn take(&self) -> Option<(File, u64)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Making) {
            return None;
        }
        match std::mem::take(&mut *state) {
            State::Ready(file, size) => Some((file, size)),
            State::Idle | State::Making | State::Failed => None,
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn make(path: &Path, size: u64, space: &Space, stop: &AtomicBool) -> Option<File> {
    // Commits are refused where the tables have no room: a file that is made ahead must not take it.
    let made = space.check(size + TABLES).and_then(|()| {
        let made = zeros(path, size, &mut || stop.load(Ordering::Relaxed));
        made.map_err(|error| failed(path, &error))
    });
    match made {
        Ok(file) => file,
        Err(error) => {
            tracing::debug!(%error, "no file for the log is made ahead");
            forget(path).unwrap_or_default();
            None
        }
    }
}

/// Throws away what an earlier process left: nobody knows whether it is whole.
pub(super) fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a file of zeros that is on disk, but for the entry in its directory; `None` if told to stop.
pub(super) fn zeros(path: &Path, size: u64, stop: &mut dyn FnMut() -> bool) -> io::Result<Option<File>> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    // Past the page cache: pages of zeros would cost more than the commits that are to save by them.
    let direct = File::options().write(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path);
    let room = vec![0; PIECE + PAGE];
    let aligned = room.as_ptr().align_offset(PAGE).min(PAGE);
    let piece = &room[aligned..aligned + PIECE];
    let mut at = 0;
    while at < size && !stop() {
        if !direct.as_ref().is_ok_and(|direct| direct.write_all_at(piece, at).is_ok()) {
            file.write_all_at(piece, at)?;
        }
        file.sync_data()?;
        at += PIECE as u64;
    }
    let whole = at >= size;
    if whole {
        file.sync_all()?;
    }
    Ok(whole.then_some(file))
}
