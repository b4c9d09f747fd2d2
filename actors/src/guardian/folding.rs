//! The thread that folds partitions from the journal for the guardian, so that a long fold holds up no move.
//!
//! Invariants: all are folded on this one thread: a rebuild leaves nothing behind; what was asked for comes back to the guardian, folded or
//! with the reason why not. The thread ends before the guardian does, and what it folds then is given up: nobody needs it any more.

use crate::panics;
use crate::rebuild::Rebuild;
use crate::shard::to_guardian::{Folded, GuardianMessage, ToGuardian};
use crossbeam::channel::{Receiver, Sender, unbounded};
use holdfast_engine::ids::PartitionId;
use holdfast_engine::partition::Partition;
use holdfast_storage::background;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

pub(super) struct Folding {
    asked: Sender<Vec<PartitionId>>,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Folding {
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(rebuild: Arc<Rebuild>, guardian: ToGuardian) -> std::io::Result<Self> {
        let ((asked, asks), ending) = (unbounded(), Arc::<AtomicBool>::default());
        let thread = std::thread::Builder::new().name("fold".to_owned());
        let ends = ending.clone();
        let thread = thread.spawn(move || fold_until_nobody_asks(&rebuild, &guardian, &asks, &ends))?;
        Ok(Self { asked, ending, thread })
    }

    /// They come back as [`GuardianMessage::Folded`].
    pub(super) fn fold(&self, ids: Vec<PartitionId>) {
        let _ = self.asked.send(ids);
    }

    /// Returns when nothing is folded any more: a fold of a long log ends with the commit that it reads.
    pub(super) fn end(self) {
        self.ending.store(true, Ordering::Relaxed);
        drop(self.asked);
        background::join(self.thread);
    }
}

fn fold_until_nobody_asks(rebuild: &Rebuild, guardian: &ToGuardian, asks: &Receiver<Vec<PartitionId>>, ending: &Arc<AtomicBool>) {
    while let Ok(mut ids) = asks.recv() {
        // One fold for all that have panicked by now.
        ids.extend(asks.try_iter().flatten());
        if guardian.send(GuardianMessage::Folded(fold(rebuild, ids, ending))).is_err() {
            return;
        }
    }
}

fn fold(rebuild: &Rebuild, ids: Vec<PartitionId>, ending: &Arc<AtomicBool>) -> Folded {
    let (from, ends) = (Instant::now(), ending.clone());
    let folded = catch_unwind(AssertUnwindSafe(|| rebuild.fold(&ids, move || ends.load(Ordering::Relaxed))));
    let partitions: Result<Vec<Partition>, String> = match folded {
        Ok(folded) => folded.map_err(|error| error.to_string()),
        Err(panic) => Err(panics::text(&*panic)),
    };
    Folded { ids, took: from.elapsed(), partitions }
}
