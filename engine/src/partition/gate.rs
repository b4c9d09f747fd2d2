//! Holds back what must not leave before the records behind it are durable.
//!
//! Invariant: an item pushed at sequence `s` leaves after every record up to `s` is durable, in the order pushed.

use super::Causality;
use crate::answer::Reply;
use crate::effect::{Archive, Effects, ProviderCall};
use crate::ids::Seq;
use crate::plant::{self, Bug};
use crate::protocol::Message;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) enum Gated {
    Reply(Reply),
    Call(ProviderCall),
    Archive(Archive),
    Message(Message),
}

#[derive(Debug)]
pub(super) struct Gate {
    causality: Causality,
    durable: Seq,
    waiting: VecDeque<(Seq, Gated)>,
}

impl Gate {
    pub(super) fn new(causality: Causality) -> Self {
        Self { causality, durable: 0, waiting: VecDeque::new() }
    }

    pub(super) fn push(&mut self, seq: Seq, item: Gated, fx: &mut Effects) {
        if seq <= self.durable || self.may_pass(&item) {
            return release(item, fx);
        }
        // They leave from the front: one behind a later one would wait for records that are not its own.
        assert!(self.waiting.back().is_none_or(|(last, _)| *last <= seq), "an item at {seq} comes after a later one");
        self.waiting.push_back((seq, item));
    }

    fn may_pass(&self, item: &Gated) -> bool {
        match item {
            Gated::Message(_) => self.causality == Causality::OneLog,
            Gated::Reply(reply) if reply.outcome.is_ok() => plant::active(Bug::AckBeforeSync),
            Gated::Reply(_) => plant::active(Bug::RefuseBeforeSync),
            Gated::Call(_) | Gated::Archive(_) => false,
        }
    }

    pub(super) fn open(&mut self, durable: Seq, fx: &mut Effects) {
        self.durable = self.durable.max(durable);
        while self.waiting.front().is_some_and(|(seq, _)| *seq <= self.durable) {
            if let Some((_, item)) = self.waiting.pop_front() {
                release(item, fx);
            }
        }
    }
}

fn release(item: Gated, fx: &mut Effects) {
    match item {
        Gated::Reply(reply) => fx.replies.push(reply),
        Gated::Call(call) => fx.calls.push(call),
        Gated::Archive(archive) => fx.archive.push(archive),
        Gated::Message(message) => fx.messages.push(message),
    }
}
