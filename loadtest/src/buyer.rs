//! What a buyer does: he orders, sends again what was not answered, and then pays, confirms, cancels or leaves.
//!
//! Invariant: whatever is sent under a key is noted before it is forgotten, so the ledger knows of every order that can be there.

use crate::http::Answer;
use crate::ledger::{Ledger, Outcome, Possible};
use crate::pool::Pool;
use crate::record::{Answered, Class, Operation, Record};
use crate::workload::{Body, End, Plan, Workload};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Before a request is sent again; doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the buyers of a run share.
pub struct Shop {
    pub pool: Pool,
    pub workload: Workload,
    pub tries: u32,
    pub pause: Duration,
    /// A hold of this length may be over when the audit looks.
    pub run_time: Duration,
    pub start: Instant,
    record: Mutex<Record>,
    ledger: Mutex<Ledger>,
}

impl Shop {
    pub fn new(pool: Pool, workload: Workload, ledger: Ledger) -> Self {
        let (tries, pause, run_time) = (1, Duration::ZERO, Duration::ZERO);
        let (record, ledger) = (Mutex::default(), Mutex::new(ledger));
        Self { pool, workload, tries, pause, run_time, start: Instant::now(), record, ledger }
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, plan: &Plan, body: Body) -> Vec<u8> {
        let key = self.workload.key(plan.number);
        self.pool.target.request("POST", "/v1/orders", &key, &self.workload.body(plan, body))
    }

    /// One order from a buyer who was due then, and what becomes of it.
    pub async fn serve(self: Arc<Self>, number: u64, due: Instant) {
        let plan = self.workload.plan(number);
        let copies: Vec<_> = plan.copies.iter().map(|body| tokio::spawn(self.clone().copy(plan.clone(), *body))).collect();
        let mut outcome = Outcome::default();
        let (answered, unknown) = self.persist(Operation::Place, &self.request(&plan, Body::First)).await;
        // An answer that will not change says what became of the tries before it.
        outcome.unknown = unknown && is_open(&answered);
        note(&mut outcome, Body::First, &answered);
        self.record().placed(Class::of(&answered), due - self.start, due.elapsed());
        for (copy, body) in copies.into_iter().zip(&plan.copies) {
            if let Ok(answered) = copy.await {
                note(&mut outcome, *body, &answered);
            }
        }
        let possible = match outcome.accepted.first() {
            Some((_, id)) => self.end(&plan, id, &answered).await,
            None => Possible::default(),
        };
        self.ledger().close(number, &outcome, |body| plan.lines(body), possible);
    }

    async fn copy(self: Arc<Self>, plan: Plan, body: Body) -> Answered {
        let begun = Instant::now();
        let answered = self.pool.send(&self.request(&plan, body)).await;
        let mut record = self.record();
        record.answered(Operation::Copy, &answered);
        record.ended(Operation::Copy, Class::of(&answered), begun.elapsed());
        answered
    }

    /// Sends until there is an answer that will not change, or the buyer gives up. With the last answer, whether one of those before is
    /// unknown and may have happened.
    async fn persist(&self, operation: Operation, request: &[u8]) -> (Answered, bool) {
        let (mut pause, mut unknown, mut left) = (FIRST_PAUSE, false, self.tries);
        let mut named = operation;
        loop {
            let answered = self.pool.send(request).await;
            self.record().answered(named, &answered);
            left = left.saturating_sub(1);
            unknown |= is_unknown(&answered);
            if !is_open(&answered) || left == 0 {
                return (answered, unknown);
            }
            named = if operation == Operation::Place { Operation::Again } else { operation };
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What the buyer does with the order he has. Where it can be then.
    async fn end(&self, plan: &Plan, id: &str, placed: &Answered) -> Possible {
        if plan.end == End::Abandoned {
            let hold = Duration::from_secs(plan.hold_seconds);
            self.ledger().expires(std::time::Instant::now() + hold);
            return Possible::RETURNED;
        }
        if !self.pause.is_zero() && plan.end != End::Stays {
            sleep(self.pause).await;
        }
        let stays = self.stays(plan);
        let (operation, path, then) = match plan.end {
            End::Stays | End::Abandoned => return stays,
            End::Confirmed => (Operation::Confirm, format!("/v1/orders/{id}:confirm"), Possible::SOLD),
            End::Cancelled => (Operation::Cancel, format!("/v1/orders/{id}:cancel"), Possible::RETURNED),
            End::Paid => match approval(placed) {
                Some(path) => (Operation::Pay, path, Possible::SOLD),
                None => return stays,
            },
        };
        let begun = Instant::now();
        let request = self.pool.target.request("POST", &path, "", "{}");
        let (answered, unknown) = self.persist(operation, &request).await;
        self.record().ended(operation, Class::of(&answered), begun.elapsed());
        match Class::of(&answered) {
            Class::Accepted => then,
            // The hold ran out before; or a try before this one did it, and its answer is lost.
            Class::Refused if unknown => stays.or(then),
            Class::Refused => stays.or(Possible::RETURNED),
            Class::TurnedAway | Class::Failed if !unknown => stays,
            Class::TurnedAway | Class::Failed => stays.or(then),
        }
    }

    /// Where an order is of which nothing becomes: held, unless its hold can have ended.
    fn stays(&self, plan: &Plan) -> Possible {
        let ends = plan.end == End::Abandoned || Duration::from_secs(plan.hold_seconds) <= self.run_time;
        if ends { Possible::HELD.or(Possible::RETURNED) } else { Possible::HELD }
    }

    /// Asks again under its key what became of an order, and enters it. False if that is still not known.
    pub async fn resolve(&self, number: u64) -> bool {
        let (plan, mut outcome) = (self.workload.plan(number), Outcome::default());
        let other = plan.copies.contains(&Body::Other).then_some(Body::Other);
        for body in [Some(Body::First), other].into_iter().flatten() {
            let (answered, _) = self.persist(Operation::Again, &self.request(&plan, body)).await;
            outcome.unknown |= is_open(&answered);
            note(&mut outcome, body, &answered);
        }
        if outcome.unknown {
            // The body that asks for more.
            self.ledger().give_up(&plan.lines(other.unwrap_or(Body::First)));
            return false;
        }
        let possible = self.stays(&plan);
        self.ledger().close(number, &outcome, |body| plan.lines(body), possible);
        true
    }
}

/// Whether what was asked may have happened although nobody says so.
fn is_unknown(answered: &Answered) -> bool {
    Class::of(answered) == Class::Failed && answered.as_ref().map_or_else(|no_answer| no_answer.sent, |_| true)
}

/// Whether the same request can have another answer later: not executed, in progress, or unknown.
fn is_open(answered: &Answered) -> bool {
    match Class::of(answered) {
        Class::Accepted => false,
        Class::TurnedAway | Class::Failed => true,
        Class::Refused => {
            let in_progress = |answer: &Answer| answer.reply().code.as_deref() == Some("idempotency_in_progress");
            answered.as_ref().is_ok_and(in_progress)
        }
    }
}

fn note(outcome: &mut Outcome, body: Body, answered: &Answered) {
    match (Class::of(answered), answered) {
        (Class::Accepted, Ok(answer)) => match answer.reply().id {
            Some(id) => outcome.accepted.push((body, id.into())),
            None => outcome.unknown = true,
        },
        (Class::Failed, _) => outcome.unknown |= is_unknown(answered),
        (Class::Accepted | Class::Refused | Class::TurnedAway, _) => {}
    }
}

/// Where the buyer's approval goes: behind the host of the page that the order names.
fn approval(placed: &Answered) -> Option<String> {
    let reply = placed.as_ref().ok()?.reply();
    let url = reply.payment?.redirect_url?;
    let path = url.splitn(4, '/').nth(3)?;
    Some(format!("/{path}/approve"))
}
