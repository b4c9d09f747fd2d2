//! Rules of the session one by one, then all histories of two sessions over one topic: the machine of the server itself,
//! with crashes, late landings and checkpoints at every moment, and variants that must be caught.

use super::*;
use std::collections::{BTreeSet, VecDeque};

const LOG: LogId = LogId(0);

fn event(commit: LogSeq, partition: u16, seq: Seq) -> Sent {
    Sent { log: LOG, commit, partition: PartitionId(partition), seq, at: Timestamp::new(seq) }
}

fn fresh(topic_partitions: TopicPartition) -> Session {
    Session::after(&BTreeMap::from([(LOG, Checkpoint::default())]), 4, topic_partitions)
}

/// Sends an event that must be the next, and returns its number.
fn send(session: &mut Session, event: Sent) -> u64 {
    let Offer::Next { number, .. } = session.offer(event.partition, event.seq) else { panic!("{event:?} is not next") };
    session.sent(event);
    number
}

fn all(partitions: u16) -> impl Iterator<Item = PartitionId> {
    (0..partitions).map(PartitionId)
}

#[test]
fn an_event_goes_out_once_and_in_order() {
    let mut session = fresh(2);
    assert_eq!(session.offer(PartitionId(1), 2), Offer::Gap { expected: 1 });
    assert_eq!(session.offer(PartitionId(1), 1), Offer::Next { topic_partition: 1, number: 0 });
    session.sent(event(1, 1, 1));
    assert_eq!(session.offer(PartitionId(1), 1), Offer::Known);
    assert_eq!(session.offer(PartitionId(1), 2), Offer::Next { topic_partition: 1, number: 1 });
}

#[test]
fn the_cursor_moves_over_what_landed_without_a_gap() {
    let mut session = fresh(1);
    let numbers: Vec<u64> = (1..=3).map(|seq| send(&mut session, event(seq, 0, seq))).collect();
    assert_eq!(session.landed(0, numbers[1], 11), Ok(0));
    assert_eq!(session.published(PartitionId(0)), 0);
    assert_eq!(session.landed(0, numbers[0], 10), Ok(2));
    assert_eq!(session.published(PartitionId(0)), 2);
    assert_eq!((session.on_the_way(), session.oldest()), (1, Some(Timestamp::new(3))));
    assert_eq!(session.resume(0), 12);
}

#[test]
fn a_commit_is_published_when_all_of_it_and_all_before_it_is() {
    let mut session = fresh(2);
    let first = send(&mut session, event(1, 0, 1));
    let second = send(&mut session, event(1, 1, 1));
    session.read_whole(LOG, 1);
    let third = send(&mut session, event(2, 1, 2));
    session.read_whole(LOG, 2);
    let commit = |session: &Session| session.checkpoint(LOG, all(4)).commit;
    session.landed(1, second, 0).unwrap();
    session.landed(1, third, 1).unwrap();
    assert_eq!(commit(&session), 0);
    session.landed(0, first, 0).unwrap();
    assert_eq!(commit(&session), 2);
}

/// The queue was full in the middle of a commit: what was sent of it must not make it count as published.
#[test]
fn a_commit_that_was_sent_in_part_is_not_published() {
    let mut session = fresh(1);
    let number = send(&mut session, event(1, 0, 1));
    session.landed(0, number, 0).unwrap();
    assert_eq!(session.checkpoint(LOG, all(4)).commit, 0);
    assert_eq!(session.offer(PartitionId(0), 1), Offer::Known);
    let number = send(&mut session, event(1, 0, 2));
    session.read_whole(LOG, 1);
    assert_eq!(session.checkpoint(LOG, all(4)).commit, 0);
    session.landed(0, number, 1).unwrap();
    assert_eq!(session.checkpoint(LOG, all(4)).commit, 1);
}

#[test]
fn a_successor_goes_on_after_what_was_kept_or_read_back_whichever_is_further() {
    let mut session = fresh(2);
    for seq in 1..=3 {
        let number = send(&mut session, event(seq, 2, seq));
        session.read_whole(LOG, seq);
        session.landed(0, number, 40 + seq as i64).unwrap();
    }
    let checkpoint = session.checkpoint(LOG, all(4));
    assert_eq!(
        (checkpoint.commit, checkpoint.published.get(&2), checkpoint.resume.get(&0), checkpoint.version()),
        (3, Some(&3), Some(&44), 3)
    );
    let mut successor = Session::after(&BTreeMap::from([(LOG, checkpoint)]), 4, 2);
    assert_eq!((successor.read(LOG), successor.resume(0), successor.resume(1)), (3, 44, 0));
    assert_eq!(successor.offer(PartitionId(2), 4), Offer::Next { topic_partition: 0, number: 0 });
    successor.read_back(PartitionId(2), 5);
    successor.read_back(PartitionId(2), 1);
    assert_eq!(successor.offer(PartitionId(2), 5), Offer::Known);
    assert_eq!(successor.offer(PartitionId(2), 6), Offer::Next { topic_partition: 0, number: 0 });
}

#[test]
fn a_message_that_is_not_on_its_way_cannot_land() {
    let mut session = fresh(1);
    let number = send(&mut session, event(1, 0, 1));
    assert_eq!(session.landed(3, number, 0), Err(Impossible::Unknown { topic_partition: 3, number }));
    assert_eq!(session.landed(0, number, 0), Ok(1));
    assert_eq!(session.landed(0, number, 0), Err(Impossible::Unknown { topic_partition: 0, number }));
}

/// A topic that was deleted and made anew under a running producer begins again: what was published is gone.
#[test]
fn a_message_that_lands_before_earlier_ones_ends_the_session() {
    let mut session = fresh(1);
    session.read_through(0, 7);
    let numbers: Vec<u64> = (1..=3).map(|seq| send(&mut session, event(seq, 0, seq))).collect();
    assert_eq!(session.landed(0, numbers[0], 7), Ok(1));
    assert_eq!(session.landed(0, numbers[1], -1), Ok(1), "a broker may no longer know the offset of a copy");
    assert_eq!(session.landed(0, numbers[2], 0), Err(Impossible::Backwards { topic_partition: 0, offset: 0, expected: 8 }));
}

/// How the relay of a world behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Variant {
    AsBuilt,
    /// Does not read back: more duplicates, still safe.
    NoReadBack,
    /// Takes an event for published when it was handed to the producer.
    CountsWhatWasSent,
    /// Goes on after a message that failed.
    SkipsWhatFailed,
}

/// Commits of the journal in a world: log, commit, partition, sequence.
type Layout = &'static [(u16, LogSeq, u16, Seq)];

/// Two partitions of one log share a topic partition; a commit carries both.
const SHARED: Layout = &[(0, 1, 0, 1), (0, 1, 1, 1), (0, 2, 0, 2)];
/// A log for each partition.
const APART: Layout = &[(0, 1, 0, 1), (0, 2, 0, 2), (1, 1, 1, 1)];
/// One partition, three commits.
const ALONE: Layout = &[(0, 1, 0, 1), (0, 2, 0, 2), (0, 3, 0, 3)];

/// A process and its connection. After the process is gone, requests that left it may still land.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Life {
    alive: bool,
    /// Sent and not landed, with their numbers.
    flying: VecDeque<(u64, u16, Seq)>,
    /// Landed and not acknowledged: number and offset.
    answers: VecDeque<(u64, i64)>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    topic: Vec<(u16, Seq)>,
    checkpoints: BTreeMap<LogId, Checkpoint>,
    lives: Vec<(Life, Session)>,
}

const LIVES: usize = 2;
/// Longer topics show nothing new.
const LONGEST: usize = 7;

impl World {
    fn new(layout: Layout) -> Self {
        let checkpoints = layout.iter().map(|(log, ..)| (LogId(*log), Checkpoint::default())).collect();
        Self { topic: Vec::new(), checkpoints, lives: Vec::new() }
    }

    fn born(&self, variant: Variant) -> Self {
        let mut next = self.clone();
        let mut session = Session::after(&self.checkpoints, 2, 1);
        if variant != Variant::NoReadBack {
            let from = session.resume(0) as usize;
            self.topic[from..].iter().for_each(|(partition, seq)| session.read_back(PartitionId(*partition), *seq));
            session.read_through(0, self.topic.len() as i64);
        }
        next.lives.push((Life { alive: true, flying: VecDeque::new(), answers: VecDeque::new() }, session));
        next
    }

    /// Everything that can happen next.
    fn successors(&self, layout: Layout, variant: Variant) -> Vec<Self> {
        let mut found = Vec::new();
        if self.lives.len() < LIVES {
            found.push(self.born(variant));
        }
        for life in 0..self.lives.len() {
            let (state, _) = &self.lives[life];
            found.extend(self.landing(life));
            if state.alive {
                found.extend(self.sending(life, layout, variant));
                found.extend(self.answered(life, variant));
                found.extend(self.checkpoint_by(life, layout));
                found.push(self.died(life));
                if variant == Variant::SkipsWhatFailed {
                    found.extend(self.failed(life));
                }
            }
        }
        found
    }

    fn sending(&self, life: usize, layout: Layout, variant: Variant) -> Option<Self> {
        let (_, session) = &self.lives[life];
        let unread = |(log, commit, ..): &&(u16, LogSeq, u16, Seq)| session.read(LogId(*log)) < *commit;
        let (log, commit, partition, seq) = *layout.iter().filter(unread).find(|(_, _, partition, seq)| {
            // Of a commit that was sent in part the rest is next.
            session.offer(PartitionId(*partition), *seq) != Offer::Known
        })?;
        let mut next = self.clone();
        let (state, session) = &mut next.lives[life];
        let sent = Sent { log: LogId(log), commit, partition: PartitionId(partition), seq, at: Timestamp::ZERO };
        let number = send(session, sent);
        let last = layout.iter().rfind(|event| (event.0, event.1) == (log, commit));
        if last.is_some_and(|last| (last.2, last.3) == (partition, seq)) {
            session.read_whole(LogId(log), commit);
        }
        state.flying.push_back((number, partition, seq));
        if variant == Variant::CountsWhatWasSent {
            session.landed(0, number, -1).unwrap();
        }
        Some(next)
    }

    /// Idempotent producer: what one life sent lands in its order, each once.
    fn landing(&self, life: usize) -> Option<Self> {
        let mut next = self.clone();
        let (number, partition, seq) = next.lives[life].0.flying.pop_front()?;
        next.lives[life].0.answers.push_back((number, next.topic.len() as i64));
        next.topic.push((partition, seq));
        Some(next)
    }

    fn answered(&self, life: usize, variant: Variant) -> Option<Self> {
        let mut next = self.clone();
        let (state, session) = &mut next.lives[life];
        let (number, offset) = state.answers.pop_front()?;
        let landed = session.landed(0, number, offset);
        // What a broken variant counted already is not counted again.
        let broken = matches!(variant, Variant::CountsWhatWasSent | Variant::SkipsWhatFailed);
        assert!(landed.is_ok() || broken, "{landed:?}");
        Some(next)
    }

    fn checkpoint_by(&self, life: usize, layout: Layout) -> Option<Self> {
        let mut next = self.clone();
        let (_, session) = &self.lives[life];
        for (log, checkpoint) in &mut next.checkpoints {
            let of_log: BTreeSet<u16> = layout.iter().filter(|event| event.0 == log.0).map(|event| event.2).collect();
            *checkpoint = session.checkpoint(*log, of_log.into_iter().map(PartitionId));
        }
        (next.checkpoints != self.checkpoints).then_some(next)
    }

    fn died(&self, life: usize) -> Self {
        let mut next = self.clone();
        let (state, session) = &mut next.lives[life];
        state.alive = false;
        state.answers.clear();
        // Nobody asks it any more: one state instead of many.
        *session = fresh(1);
        next
    }

    fn failed(&self, life: usize) -> Option<Self> {
        let mut next = self.clone();
        let (state, session) = &mut next.lives[life];
        let (number, ..) = state.flying.pop_front()?;
        let _ = session.landed(0, number, -1);
        Some(next)
    }

    /// What a consumer relies on, and what a successor does.
    fn violation(&self) -> Option<String> {
        let mut last: BTreeMap<u16, Seq> = BTreeMap::new();
        for (partition, seq) in &self.topic {
            let last = last.entry(*partition).or_default();
            if *seq > *last + 1 {
                return Some(format!("partition {partition} jumps to {seq} in {:?}", self.topic));
            }
            *last = (*last).max(*seq);
        }
        let ahead = |checkpoint: &Checkpoint| {
            checkpoint.published.iter().any(|(partition, seq)| *seq > *last.get(partition).unwrap_or(&0))
        };
        self.checkpoints.values().any(ahead).then(|| format!("kept {:?} is ahead of {:?}", self.checkpoints, self.topic))
    }
}

/// Walks every history and returns how many states there are, and the first violation.
fn explore(layout: Layout, variant: Variant) -> (usize, Option<String>) {
    let start = World::new(layout);
    let mut seen = std::collections::HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    while let Some(world) = queue.pop_front() {
        for next in world.successors(layout, variant) {
            if next.topic.len() > LONGEST || !seen.insert(next.clone()) {
                continue;
            }
            if let Some(violation) = next.violation() {
                return (seen.len(), Some(violation));
            }
            queue.push_back(next);
        }
    }
    (seen.len(), None)
}

#[test]
fn no_history_of_two_sessions_leaves_an_event_out() {
    for layout in [ALONE, SHARED, APART] {
        let (states, violation) = explore(layout, Variant::AsBuilt);
        assert_eq!(violation, None);
        assert!(states > 1_000, "{states} states show little");
    }
}

#[test]
fn without_reading_back_there_are_only_more_duplicates() {
    for layout in [ALONE, SHARED, APART] {
        assert_eq!(explore(layout, Variant::NoReadBack).1, None);
    }
}

#[test]
fn a_cursor_that_counts_what_was_sent_is_caught() {
    for layout in [ALONE, SHARED, APART] {
        assert!(explore(layout, Variant::CountsWhatWasSent).1.is_some());
    }
}

#[test]
fn a_relay_that_skips_what_failed_is_caught() {
    for layout in [ALONE, SHARED] {
        assert!(explore(layout, Variant::SkipsWhatFailed).1.is_some());
    }
}
