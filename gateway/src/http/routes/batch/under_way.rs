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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::cursor::Cursors;
    use crate::http::caller::Caller;
    use crate::http::request::BatchIn;
    use crate::keys::Role;
    use crate::settings::Settings;
    use crate::state::{App, Live};
    use actix_web::web::Data;
    use compact_str::CompactString;
    use holdfast_actors::shop::{partitions, start_on, stock};
    use holdfast_actors::{Engine, Options};
    use holdfast_engine::ids::RequestId;
    use holdfast_storage::conformance::FaultyJournal;
    use holdfast_storage::memory::MemoryJournal;
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    /// How long an answer is waited for, and how long after each other the items are sent.
    const TIMEOUT_SECONDS: u64 = 30;
    const BETWEEN_SECONDS: u64 = 4;

    /// A server whose journal is far away.
    struct Far {
        engine: Engine,
        journal: Arc<FaultyJournal>,
        app: Data<App>,
    }

    impl Far {
        async fn start() -> Self {
            let journal = Arc::new(FaultyJournal::far(Arc::new(MemoryJournal::new(partitions()))));
            let engine = start_on(&journal, Options::default());
            engine.handle.execute(stock("MUG", 100)).await.unwrap();
            let mut settings = Settings::default();
            settings.server.answer_wait_seconds = TIMEOUT_SECONDS;
            let app = Data::new(App::without_engine(settings));
            app.live.store(Some(Arc::new(Live::of(&engine, Cursors::of("far")))));
            Self { engine, journal, app }
        }

        fn batch(&self) -> Batch {
            let request_id = RequestId::new("req_1").unwrap();
            let caller = Caller { scope: CompactString::const_new(""), client: None, role: Role::Admin, key: None, request_id };
            Batch::new(self.app.clone(), caller, None, Arc::new(Semaphore::new(8)))
        }

        async fn stop(self) {
            self.journal.be_silent(false);
            self.app.live.store(None);
            assert!(self.engine.stop().await);
        }
    }

    fn items(keys: [&str; 3]) -> BatchIn {
        let item = |key| json!({"key": key, "lines": [{"sku": "MUG", "quantity": 1}]});
        serde_json::from_value(json!({"items": keys.map(item)})).unwrap()
    }

    /// They are waited for one behind the other: each once more for as long, a batch took hours.
    #[actix_web::test]
    async fn an_item_that_nobody_answers_is_given_up_so_long_after_it_was_sent_wherever_it_stands() {
        let far = Far::start().await;
        let (batch, BatchIn { items }) = (far.batch(), items(["one", "two", "three"]));
        let mut under_way = UnderWay::new(&batch, items.len());
        far.journal.be_silent(true);
        tokio::time::pause();
        let (begun, mut given_up) = (Instant::now(), Vec::new());
        for place in 0..items.len() {
            under_way.send(batch.prepare_all(&items, &[place])).await;
            tokio::time::advance(Duration::from_secs(BETWEEN_SECONDS)).await;
        }
        while under_way.settle_first().await {
            given_up.push(begun.elapsed().as_secs());
        }
        tokio::time::resume();
        assert_eq!(given_up, [0, 1, 2].map(|place| TIMEOUT_SECONDS + place * BETWEEN_SECONDS));
        let results = under_way.into_results();
        assert!(results.iter().all(|result| matches!(result, ItemResult::Unknown(_))), "they may be carried out yet");
        far.stop().await;
    }
}
