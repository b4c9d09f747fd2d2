//! The guardian of a simulated process: the moves of production, with messages that take their time.
//!
//! Invariant, as in production: a fold holds up no move but those of its partition.

use super::agenda::{Happening, Life, Micros};
use super::faults::MILLI;
use super::ledger::{Checked, require};
use super::shard::{Mail, Post};
use super::world::World;
use holdfast_actors::placement::handover::{Action, Event, Handovers, Outcome};
use holdfast_actors::shard::hosting::Hosted;
use holdfast_engine::ids::PartitionId;
use std::collections::VecDeque;

pub(super) enum ToGuardian {
    /// A partition panicked, and the life that is to begin.
    Fallen(PartitionId, Life),
    Departed(Box<Hosted>),
    Arrived(PartitionId),
}

#[derive(Default)]
pub(super) struct Guardian {
    handovers: Handovers,
    messages: VecDeque<ToGuardian>,
    turning: bool,
    /// Partitions that are being folded.
    folding: usize,
}

impl World {
    pub(super) fn ask_for_move(&mut self, partition: PartitionId, to: usize) {
        if self.up && !self.calm {
            self.trace.note(self.now, || format!("move of partition {} to shard {to}", partition.0));
            self.guardian.handovers.request(partition, to % self.plan.shards);
            self.wake_guardian();
        }
    }

    pub(super) fn tell_guardian(&mut self, message: ToGuardian) {
        self.guardian.messages.push_back(message);
        self.wake_guardian();
    }

    fn wake_guardian(&mut self) {
        if !std::mem::replace(&mut self.guardian.turning, true) {
            let (process, slowest) = (self.life, self.slowest());
            let delay = self.random.latency(5, slowest);
            self.after(delay, Happening::GuardianTurn { process });
        }
    }

    fn slowest(&self) -> Micros {
        if self.calm { MILLI } else { self.plan.slowness }
    }

    pub(super) fn guardian_turn(&mut self, process: Life) -> Checked {
        if process != self.life {
            return Ok(());
        }
        self.guardian.turning = false;
        for _ in 0..self.random.between(1, 3) {
            match self.guardian.messages.pop_front() {
                Some(ToGuardian::Fallen(id, life)) => {
                    self.guardian.folding += 1;
                    self.follow(id, Event::Fell, None)?;
                    let delay = self.random.latency(MILLI, 200 * MILLI);
                    self.after(delay, Happening::PartitionRebuilt { process, partition: id, life });
                }
                Some(ToGuardian::Departed(hosted)) => self.follow(hosted.partition.id, Event::Departed, Some(hosted))?,
                Some(ToGuardian::Arrived(id)) => self.follow(id, Event::Arrived, None)?,
                None => break,
            }
        }
        self.begin_moves();
        if !self.guardian.messages.is_empty() {
            self.wake_guardian();
        }
        Ok(())
    }

    fn begin_moves(&mut self) {
        while let Some(route) = self.guardian.handovers.begin(|id| self.shard_of[usize::from(id.0)]) {
            let partition = usize::from(route.partition.0);
            self.shard_of[partition] = route.to;
            self.post_to(route.from, Post::To(partition, Mail::Depart));
        }
    }

    fn follow(&mut self, id: PartitionId, event: Event, hosted: Option<Box<Hosted>>) -> Checked {
        let partition = usize::from(id.0);
        match (self.guardian.handovers.heard(id, event), hosted) {
            (Some(Action::Deliver(route)), Some(hosted)) => self.post_to(route.to, Post::To(partition, Mail::Arrive(hosted))),
            (Some(Action::Clear(route)), None) => self.post_to(route.from, Post::To(partition, Mail::Depart)),
            (Some(Action::Finished(_, outcome)), None) => {
                self.counts.moves += 1;
                self.counts.broken_moves += u64::from(outcome == Outcome::Rebuilt);
            }
            (None, None) => {}
            (other, hosted) => {
                return require(false, "a partition departs when it is moved", || format!("{other:?} follows, with {hosted:?}"));
            }
        }
        Ok(())
    }

    /// A partition is folded, and about to go to the shard that the table names.
    pub(super) fn rebuilt_is_sent(&mut self, id: PartitionId) -> Checked {
        self.guardian.folding -= 1;
        self.follow(id, Event::Rebuilt, None)?;
        self.wake_guardian();
        Ok(())
    }

    pub(super) fn moves_have_ended(&self) -> Checked {
        let Guardian { handovers, messages, folding, .. } = &self.guardian;
        let at_home = |(partition, shard): (usize, &usize)| self.host_of(partition) == Some(*shard);
        let ended = handovers.idle() && messages.is_empty() && *folding == 0 && self.shard_of.iter().enumerate().all(at_home);
        require(ended, "I24 a move ends with one host", || format!("{handovers:?}, table {:?}", self.shard_of))
    }
}
