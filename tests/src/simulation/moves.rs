//! Partitions that leave a shard of the simulation and come to one: as `actors/src/shard/moves.rs` does it.

use super::guardian::ToGuardian;
use super::ledger::{Checked, require};
use super::shard::{Made, Mail, Post};
use super::world::{World, id_of};
use holdfast_actors::placement::stash::Kind;
use holdfast_actors::shard::hosting::{Departure, Hosted, Place};
use holdfast_engine::partition::Input;
use holdfast_engine::plant::{self, Bug};

impl World {
    pub(super) fn depart(&mut self, index: usize, partition: usize, made: &mut Made) -> Checked {
        let id = id_of(partition);
        // All of it: messages of any partition follow from its facts.
        if !plant::active(Bug::DepartBeforeSubmit) {
            self.hand_over(index, made)?;
        }
        self.release(made)?;
        match self.shards[index].hosting.depart(id) {
            Departure::Hosted(hosted) => self.tell_guardian(ToGuardian::Departed(hosted)),
            Departure::Returning(waiting) => {
                waiting.into_iter().for_each(|(_, input)| self.pass_on(index, partition, Mail::Input(input)));
            }
            Departure::Away => {}
        }
        Ok(())
    }

    pub(super) fn arrive(&mut self, index: usize, hosted: Box<Hosted>) -> Checked {
        let partition = usize::from(hosted.partition.id.0);
        self.trace.note(self.now, || format!("p{partition} comes to shard {index}"));
        let elsewhere = self.host_of(partition);
        require(elsewhere.is_none(), "I24 a partition has one host", || {
            format!("{partition} is at {elsewhere:?} and comes to {index}")
        })?;
        let barrier = self.shards[index].hosting.arrive(hosted);
        self.fly(index, barrier);
        self.arrived(index, partition);
        Ok(())
    }

    /// What came for it meanwhile stands before everything else now.
    pub(super) fn arrived(&mut self, index: usize, partition: usize) {
        self.tell_guardian(ToGuardian::Arrived(id_of(partition)));
        let now = self.clock(index);
        let shard = &mut self.shards[index];
        let waiting = shard.stash.take(now, id_of(partition));
        waiting.into_iter().rev().for_each(|mail| shard.mailbox.push_front(Post::To(partition, mail)));
        self.armed[partition] = None;
    }

    /// To where the table says, or it waits here if the partition comes here.
    pub(super) fn pass_on(&mut self, index: usize, partition: usize, mail: Mail) {
        debug_assert_ne!(self.shards[index].hosting.place(id_of(partition)), Place::Here);
        if self.shard_of[partition] != index {
            self.counts.forwarded += 1;
            return self.post(partition, mail);
        }
        self.counts.stashed += 1;
        let repeated = matches!(mail, Mail::Heard(..) | Mail::Input(Input::Message(_) | Input::Provider(_) | Input::Tick));
        let kind = if repeated { Kind::Repeated } else { Kind::Once };
        let now = self.clock(index);
        self.shards[index].stash.put(now, id_of(partition), kind, mail);
    }
}
