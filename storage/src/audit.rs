//! The audit of a journal: its records folded twice, by the rules and by adding up, and compared with what lies beside them.
//!
//! Invariant: every record from the first that is kept is looked at; a log whose beginning is purged is audited from the oldest
//! snapshot that is kept.

mod left;

use crate::purged;
use crate::recovery::{Observer, replay};
use crate::{Error, Journal, LogId, LogSeq, Snapshot};
use holdfast_engine::audit::Audit;
use holdfast_engine::event::Record;
use holdfast_engine::ids::{PartitionId, Seq};
use holdfast_engine::partition::{Partition, SnapshotError};
use holdfast_engine::time::Policy;
use left::{Left, Remade};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Shorter than any append to a journal of several logs.
const MOMENT: Duration = Duration::from_micros(200);
/// Tries to look at all logs within a moment.
const CUTS: u32 = 1000;

/// What was looked at, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Report {
    pub events: u64,
    pub orders: u64,
    pub reservations: u64,
    pub skus: u64,
    /// Commits before the first that is kept: the state behind them was taken from the oldest snapshots.
    pub purged: u64,
    pub violations: Vec<String>,
}

/// Folds the journal twice: with the engine's rules, and by adding up its records. Then compares, snapshots included. `progress` hears
/// of each commit. It ends early where the journal is one that stops, and begins again where its beginning is deleted meanwhile.
///
/// # Errors
/// If the journal is damaged or cannot be read.
pub fn audit(journal: &dyn Journal, policy: &Policy, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, Error> {
    purged::whole(Error::purged, || audit_once(journal, policy, progress))
}

fn audit_once(journal: &dyn Journal, policy: &Policy, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, Error> {
    let remade = Remade::of(journal, policy)?;
    let bases = bases(journal, policy)?;
    let firsts: Result<Vec<LogSeq>, Error> = journal.logs().into_iter().map(|log| journal.first(log)).collect();
    let purged = firsts?.into_iter().map(|first| first - 1).sum();
    let mut sums = Audit::default();
    bases.iter().for_each(|base| sums.resume(&base.partition));
    let mut begin: BTreeMap<LogId, LogSeq> = BTreeMap::new();
    for Base { partition, after } in &bases {
        let first = begin.entry(journal.log_of(partition.id)).or_insert(*after);
        *first = (*first).min(*after);
    }
    let mut folded: Vec<Partition> = bases.into_iter().map(|base| base.partition).collect();
    let mut claims = claims(journal, policy)?;
    // Of logs that somebody else writes: they now end behind every snapshot that was found.
    journal.refresh()?;
    let mut look = Look { journal, sums, left: Left::default(), remade, at: (LogId(0), 0) };
    let mut violations = Vec::new();
    let cut = cut(journal);
    let after = |log: LogId| begin.get(&log).copied().unwrap_or_default();
    let (all, mut done) = (cut.iter().map(|(log, end)| end.saturating_sub(after(*log))).sum(), 0);
    for (log, end) in cut {
        journal.read(log, after(log), &mut |commit, frame| {
            if commit > end {
                return Ok(ControlFlow::Break(()));
            }
            look.at = (log, commit);
            replay(commit, frame, &mut folded, |id| Some(usize::from(id.0)), &mut look)?;
            claims.retain(|Claim { partition: PartitionId(id), seq, hash }| {
                let partition = &folded[usize::from(*id)];
                if partition.seq() == *seq && partition.hash() != *hash {
                    violations.push(format!("I15 the snapshot of partition {id} at {seq} is not the fold of its records"));
                }
                partition.seq() < *seq
            });
            done += 1;
            progress(done, all);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let Look { sums, left, .. } = look;
    violations.extend(beyond(&claims, &folded));
    violations.extend(left.missing(journal)?);
    let (checked, found) = sums.finish(&folded);
    violations.extend(found);
    Ok(Report {
        events: checked.events,
        orders: checked.orders,
        reservations: checked.reservations,
        skus: checked.skus,
        purged,
        violations,
    })
}

/// The ends of all logs at one moment, so that no effect is seen without its cause while the journal is written: a fact
/// reaches another log by an append to its own and one to the other, which take longer than the moment.
fn cut(journal: &dyn Journal) -> Vec<(LogId, LogSeq)> {
    let mut tries = 0;
    loop {
        let begun = Instant::now();
        let ends = journal.logs().into_iter().map(|log| (log, journal.end(log))).collect();
        tries += 1;
        if begun.elapsed() < MOMENT || tries == CUTS {
            return ends;
        }
    }
}

/// Where the replay of a partition begins.
struct Base {
    partition: Partition,
    after: LogSeq,
}

fn bases(journal: &dyn Journal, policy: &Policy) -> Result<Vec<Base>, Error> {
    let (partitions, causality) = (journal.partitions(), journal.causality());
    let base = |id| {
        let first = journal.first(journal.log_of(id))?;
        if first == 1 {
            return Ok(Base { partition: Partition::new(id, partitions, causality, policy.clone()), after: 0 });
        }
        // One before it may have been kept although what follows on it is purged.
        let leads = |snapshot: &Snapshot| snapshot.after + 1 >= first;
        let oldest = journal.snapshots(id)?.into_iter().rfind(leads).ok_or(Error::Purged { first })?;
        let restored = Partition::restore(id, partitions, causality, policy.clone(), &oldest.state);
        let partition = restored.map_err(|error| unusable(&oldest, &error))?;
        Ok(Base { partition, after: oldest.after })
    };
    partitions.all().map(base).collect()
}

fn unusable(snapshot: &Snapshot, error: &SnapshotError) -> Error {
    let reason = format!("the snapshot of partition {} at {} cannot be used: {error}", snapshot.partition.0, snapshot.seq);
    if error.is_newer() { Error::Incompatible(reason) } else { Error::Failed(reason) }
}

/// What a snapshot says of its partition behind a record.
struct Claim {
    partition: PartitionId,
    seq: Seq,
    hash: u64,
}

fn claims(journal: &dyn Journal, policy: &Policy) -> Result<Vec<Claim>, Error> {
    let mut all = Vec::new();
    for partition in journal.partitions().all() {
        for snapshot in journal.snapshots(partition)? {
            all.push(Claim { partition, seq: snapshot.seq, hash: hash(journal, policy, &snapshot)? });
        }
    }
    Ok(all)
}

/// The hash of the state it stands for, whichever version it is of. Of one that stands for none, it is of its bytes, and fits nothing.
fn hash(journal: &dyn Journal, policy: &Policy, snapshot: &Snapshot) -> Result<u64, Error> {
    let (partitions, causality) = (journal.partitions(), journal.causality());
    match Partition::restore(snapshot.partition, partitions, causality, policy.clone(), &snapshot.state) {
        Ok(partition) => Ok(partition.hash()),
        Err(error) if error.is_newer() => Err(unusable(snapshot, &error)),
        Err(_) => Ok(xxhash_rust::xxh3::xxh3_64(&snapshot.state)),
    }
}

/// Snapshots of records that the log does not have: an older log lies beside them.
fn beyond(claims: &[Claim], folded: &[Partition]) -> Vec<String> {
    let beyond = |Claim { partition: PartitionId(id), seq, .. }: &Claim| {
        let last = folded[usize::from(*id)].seq();
        (*seq > last).then(|| format!("I14 the snapshot of partition {id} has {seq} records, the log ends with {last}"))
    };
    claims.iter().filter_map(beyond).collect()
}

/// Looks on while the journal is folded.
struct Look<'a> {
    journal: &'a dyn Journal,
    sums: Audit,
    left: Left,
    remade: Remade,
    at: (LogId, LogSeq),
}

impl Observer for Look<'_> {
    fn follows(&mut self, partition: &Partition, record: &Record) -> Result<(), Error> {
        self.sums.add(partition.id, record);
        self.left.note(self.journal, self.at, partition, record, &self.remade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{FaultyJournal, World, partitions};
    use crate::contract::Log;
    use crate::memory::MemoryJournal;
    use crate::stoppable::Stoppable;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A busy day of which a part left memory for rows, with snapshots.
    fn journal() -> (Arc<MemoryJournal>, u64) {
        let (journal, mut world) = (Arc::new(MemoryJournal::new(partitions())), World::new(partitions()));
        let day = world.busy_day();
        for batch in &day {
            journal.append(LogId(0), batch).unwrap();
        }
        let left = world.rest(&*journal, 0).len() as u64;
        (journal, left)
    }

    /// It failed, although the next try would have found all well.
    #[test]
    fn an_audit_beside_which_the_beginning_is_deleted_begins_again_behind_it() {
        let (journal, _) = journal();
        let end = journal.end(LogId(0));
        let journal = FaultyJournal::new(journal);
        journal.purge_at_next_read(end);
        let report = audit(&journal, &Policy::default(), &mut |_, _| {}).unwrap();
        assert_eq!((report.purged, report.violations), (end - 1, Vec::<String>::new()));
    }

    /// Of those who have gone it heard between two commits only: not while it read snapshots and rows, which may take minutes.
    #[test]
    fn an_audit_looks_at_nothing_more_once_it_is_to_stop() {
        let (journal, left) = journal();
        let stopped_at = |last: u64| {
            let asked = Arc::new(AtomicU64::new(0));
            let asking = asked.clone();
            let stoppable = Stoppable::new(journal.clone(), move || asking.fetch_add(1, Ordering::Relaxed) + 1 >= last);
            let ended = audit(&stoppable, &Policy::default(), &mut |_, _| {});
            (ended, asked.load(Ordering::Relaxed))
        };
        let (whole, looks) = stopped_at(u64::MAX);
        assert!(whole.unwrap().events > 0);
        let fewest = journal.end(LogId(0)) + 3 * u64::from(partitions().count());
        assert!(looks > fewest, "{looks} looks at {left} orders and keys that left memory, {fewest} snapshots and commits");
        for last in 1..=looks {
            let (ended, asked) = stopped_at(last);
            assert!(
                matches!(ended, Err(Error::Stopped)) && asked == last,
                "told at look {last} of {looks}, it asked {asked} times"
            );
        }
    }
}
