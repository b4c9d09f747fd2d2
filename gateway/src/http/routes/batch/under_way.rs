//! Items of a batch on their way: sent in their order, and their answers taken in that order.
//!
//! Invariants: no more are in hand than the client may have; an item's answer is waited for as long as if it had been sent alone, from when
//! it was sent; each item has one result. Waiting in order costs one wake-up for many items; nothing is allocated for one that waits.

use super::{Batch, Item, Prepared};
use crate::http::reply;
use crate::http::routes::Sent;
use crate::http::view::ItemResult;
use holdfast_engine::command::Command;
use holdfast_engine::ids::OrderId;
use std::collections::VecDeque;
use tokio::sync::SemaphorePermit;

pub(super) struct UnderWay<'a> {
    batch: &'a Batch,
    sent: VecDeque<SentItem<'a>>,
    results: Vec<Option<ItemResult>>,
}

struct SentItem<'a> {
    place: usize,
    order: OrderId,
    sent: Sent,
    /// None: the server ends.
    _in_hand: Option<SemaphorePermit<'a>>,
}

impl<'a> UnderWay<'a> {
    pub(super) fn new(batch: &'a Batch, items: usize) -> Self {
        Self { batch, sent: VecDeque::new(), results: (0..items).map(|_| None).collect() }
    }

    /// Sends items, and lets others of this thread have a turn.
    pub(super) async fn send(&mut self, mut items: Vec<(usize, Prepared)>) {
        self.batch.check_all(&mut items).await;
        for (place, item) in items {
            match item {
                Ok(item) => self.send_one(place, item).await,
                Err(problem) => self.results[place] = Some(self.batch.refused(problem)),
            }
        }
        tokio::task::yield_now().await;
    }

    async fn send_one(&mut self, place: usize, Item { order, placed, .. }: Item) {
        let app = &self.batch.app;
        let sent = match self.batch.tables.let_follow(app).await {
            Ok(()) => {
                let in_hand = self.permit().await;
                let pending = self.batch.sender.send(app, Command::Place { order, placed }).await;
                pending.map(|pending| (pending, in_hand)).map_err(reply::unanswered)
            }
            Err(problem) => Err(problem),
        };
        match sent {
            // From a journal far away it is waited for a while.
            Ok((pending, in_hand)) => {
                let sent = Sent::of(app, false, Ok(pending));
                self.sent.push_back(SentItem { place, order, sent, _in_hand: in_hand });
            }
            Err(problem) => self.results[place] = Some(self.batch.refused(problem)),
        }
    }

    /// Where the client has as many in hand as it may, the first of these is waited for, and where none are of this batch, others.
    async fn permit(&mut self) -> Option<SemaphorePermit<'a>> {
        let in_hand = &self.batch.in_hand;
        loop {
            if let Ok(permit) = in_hand.try_acquire() {
                return Some(permit);
            }
            if !self.settle_first().await {
                return in_hand.acquire().await.ok();
            }
        }
    }

    async fn settle_first(&mut self) -> bool {
        // As a whole: what it has in hand is given back when it is answered.
        let Some(first) = self.sent.pop_front() else { return false };
        self.results[first.place] = Some(self.batch.result(first.order, first.sent.outcome().await));
        true
    }

    /// Waits for what is in hand.
    pub(super) async fn settle(&mut self) {
        while self.settle_first().await {}
    }

    /// In the order of the items. All of them must be settled.
    pub(super) fn into_results(self) -> Vec<ItemResult> {
        assert!(self.results.iter().all(Option::is_some), "an item has no result");
        self.results.into_iter().flatten().collect()
    }
}
