//! The rows of an import that are in hand: each is with the engine, or waits for an earlier row of its SKU and location.
//!
//! Invariants: the engine has one row of a SKU and location at a time, in the order of their lines, and gets it again until
//! it has answered; so a row whose outcome is unknown comes before any later one. Every line before [`Rows::first_unsettled`]
//! is settled.

use super::keys::RowKeys;
use super::lines::{Refusal, Row};
use crate::http::problem::{Code, Problem};
use crate::http::reply::{rejected, unanswered};
use crate::http::routes::names;
use crate::http::routes::sender::{BUSY_PAUSE, Sender};
use crate::state::App;
use actix_web::web::Data;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use holdfast_actors::Unanswered;
use holdfast_engine::answer::Answer;
use holdfast_engine::command::Command;
use holdfast_engine::event::StoredResponse;
use holdfast_engine::ids::{Location, Sku};
use holdfast_engine::rejection::Rejection;
use holdfast_storage::backoff::Backoff;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Most rows in hand.
const MAX_ROWS: usize = 2048;
/// From an engine that is away to the next try.
const AWAY_PAUSES: Backoff = Backoff::even(Duration::from_millis(200));

/// What became of a row.
pub(super) type Settled = Result<(), Refusal>;

/// The engine has answered no row for as long as answers are waited for.
pub(super) struct Stalled;

pub(super) struct Rows {
    app: Data<App>,
    keys: RowKeys,
    sender: Sender,
    sent: FuturesUnordered<LocalBoxFuture<'static, (Row, Settled)>>,
    /// An entry for each row that is sent, with the later ones of its SKU and location.
    waiting: HashMap<(Sku, Location), VecDeque<Row>>,
    unsettled: BTreeSet<u64>,
    give_up_at: Instant,
}

impl Rows {
    pub(super) fn new(app: Data<App>, keys: RowKeys, sender: Sender) -> Self {
        let (waiting, unsettled) = (HashMap::new(), BTreeSet::new());
        Self { app, keys, sender, sent: FuturesUnordered::new(), waiting, unsettled, give_up_at: Instant::now() }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.app.settings.server.answer_wait_seconds.max(1))
    }

    /// The engine is waited for from now on, as long as it may take.
    pub(super) fn restart_wait(&mut self) {
        self.give_up_at = Instant::now() + self.timeout();
    }

    pub(super) fn len(&self) -> usize {
        self.unsettled.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsettled.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MAX_ROWS
    }

    /// Whether the server stops: then nothing more is read.
    pub(super) fn is_closing(&self) -> bool {
        self.app.is_closing()
    }

    pub(super) fn first_unsettled(&self) -> Option<u64> {
        self.unsettled.first().copied()
    }

    pub(super) fn add(&mut self, row: Row) {
        if self.is_empty() {
            self.restart_wait();
        }
        self.unsettled.insert(row.line);
        match self.waiting.entry(row.key.clone()) {
            Entry::Occupied(mut waiting) => waiting.get_mut().push_back(row),
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                self.send(row);
            }
        }
    }

    /// The next row that the engine has answered. There must be one in hand.
    pub(super) async fn next(&mut self) -> Result<Settled, Stalled> {
        let done = tokio::select! {
            biased;
            done = self.sent.next() => done,
            () = sleep_until(self.give_up_at) => None,
        };
        let (row, settled) = done.ok_or(Stalled)?;
        self.restart_wait();
        self.unsettled.remove(&row.line);
        self.send_next(&row.key);
        Ok(settled)
    }

    fn send_next(&mut self, key: &(Sku, Location)) {
        match self.waiting.get_mut(key).and_then(VecDeque::pop_front) {
            Some(row) => self.send(row),
            None => drop(self.waiting.remove(key)),
        }
    }

    fn send(&mut self, row: Row) {
        let command = row.command(&self.keys);
        self.sent.push(Box::pin(settle(self.app.clone(), self.sender, row, command)));
    }
}

/// Sends a row until the engine has answered it. Setting a count again changes nothing: what may have been executed is safe
/// to repeat.
async fn settle(app: Data<App>, sender: Sender, row: Row, command: Command) -> (Row, Settled) {
    let mut away = AWAY_PAUSES;
    loop {
        let pause = match attempt(&app, sender, row.line, &command).await {
            Ok(settled) => return (row, settled),
            Err(Again::Busy) => BUSY_PAUSE,
            Err(Again::Away) => away.next_pause(),
        };
        if app.is_closing() {
            let refused = Refusal::new(row.line, Problem::new(Code::ShuttingDown, "the server stops: send this row again"));
            return (row, Err(refused));
        }
        sleep(pause).await;
    }
}

/// Why a row is sent again.
enum Again {
    Busy,
    Away,
}

/// What became of a row, or why it is to be sent again.
async fn attempt(app: &App, sender: Sender, line: u64, command: &Command) -> Result<Settled, Again> {
    if let Err(problem) = names::check(app, sender, command).await {
        return match problem.code {
            Code::Overloaded => Err(Again::Busy),
            Code::DurabilityUnavailable => Err(Again::Away),
            _ => Ok(Err(Refusal::new(line, problem))),
        };
    }
    let outcome = match sender.send(app, command.clone()).await {
        Ok(pending) => pending.await,
        Err(why) => Err(why),
    };
    let settled = match outcome {
        Ok(reply) => set(reply.outcome),
        Err(Unanswered::Overloaded | Unanswered::ShareTaken) => return Err(Again::Busy),
        Err(why) if why.passes() => return Err(Again::Away),
        Err(why) => Err(unanswered(why)),
    };
    Ok(settled.map_err(|problem| Refusal::new(line, problem)))
}

fn set(outcome: Result<Answer, Rejection>) -> Result<(), Problem> {
    match outcome.map_err(|rejection| rejected(&rejection))? {
        Answer::Stored(kept) => match &*kept {
            StoredResponse::Refused { rejection, .. } => Err(rejected(rejection)),
            StoredResponse::Set(_) => Ok(()),
            other => unreachable!("{other:?} is no answer to a count"),
        },
        Answer::Stock(_) => Ok(()),
        other => unreachable!("{other:?} is no answer to a count"),
    }
}
