//! The comparison after every restart: what was acknowledged is there, what is there was attempted, answers repeat.
//!
//! Each restart compares what was sent since the last one, and a sample of what is older, so a run takes linear time.

use super::client::{Answer, Client, Reached, Request};
use super::dice::Dice;
use super::facts::{Fact, Fold, Life};
use super::ledger::{Claim, Deed, Ledger, Notes, Seal};
use super::load::{LOCATION, Own, SKUS, Worker};
use super::{Breach, Kind};
use crate::server::poll;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a request may be told that its first sending is still being answered, or an event be on its way.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for webhooks, refunds and late holds to come to their end.
const QUIET: Duration = Duration::from_secs(90);
/// Units each SKU begins with.
const FIRST_STOCK: i64 = 200;
/// Old answers asked for again after each restart, and how many are remembered for it.
const REPEATED: usize = 100;
const REMEMBERED: usize = 20_000;
/// Orders looked at after each restart.
const LOOKED_AT: usize = 20;

/// Puts the shared SKUs into new data.
///
/// # Errors
/// If the server does not take them.
pub fn stock(client: &Client) -> Result<(), String> {
    for sku in SKUS {
        let path = format!("/v1/inventory/{sku}/locations/{LOCATION}");
        client.json(&Request::put(path, 0, &json!({"on_hand": FIRST_STOCK})))?;
    }
    Ok(())
}

pub struct Checker {
    dice: Dice,
    fold: Fold,
    ledger: Ledger,
    /// A sample of deeds whose answers are asked for again and again.
    remembered: Vec<Deed>,
    breaches: Vec<Breach>,
}

impl Checker {
    pub fn new(dice: Dice) -> Self {
        let mut ledger = Ledger::default();
        SKUS.iter().for_each(|sku| ledger.stock(sku, FIRST_STOCK));
        Self { dice, fold: Fold::default(), ledger, remembered: Vec::new(), breaches: Vec::new() }
    }

    pub fn acknowledged(&self) -> u64 {
        self.ledger.acknowledged
    }

    fn breach(&mut self, kind: Kind, what: impl Into<String>) {
        self.breaches.push(Breach { kind, what: what.into() });
    }

    /// A failure to read is a breach of its own.
    fn hear(&mut self, result: Result<(), String>) {
        result.unwrap_or_else(|what| self.breach(Kind::Other, what));
    }

    pub fn after_restart(&mut self, client: &Client, workers: &mut [Worker], audit: bool) -> Vec<Breach> {
        for worker in workers.iter_mut() {
            self.settle(client, worker);
            self.breaches.append(&mut worker.notes.breaches);
            self.own_count(client, &mut worker.own);
        }
        let read = self.fold.read(client);
        self.hear(read);
        let mut notes: Vec<Notes> = workers.iter_mut().map(|worker| std::mem::take(&mut worker.notes)).collect();
        notes.iter_mut().for_each(|notes| self.ledger.note(notes));
        let claims: Vec<Claim> = notes.iter_mut().flat_map(|notes| notes.claims.drain(..)).collect();
        claims.iter().for_each(|claim| self.claimed(claim));
        self.attempted();
        self.repeat(client, notes.into_iter().flat_map(|notes| notes.sealed).collect());
        self.shelves(client);
        self.look(client);
        if audit {
            self.audit(client);
        }
        std::mem::take(&mut self.breaches)
    }

    /// Sends what has no answer once more, exactly as it was: now it must get one.
    fn settle(&mut self, client: &Client, worker: &mut Worker) {
        for deed in std::mem::take(&mut worker.notes.open) {
            let Some(answer) = answer_at_last(client, &deed.request) else {
                self.breach(Kind::Other, format!("no answer to {} {}", deed.request.path, deed.request.body));
                continue;
            };
            if deed.refused && answer.replayed {
                self.breach(Kind::Other, format!("a 503 said not executed, and it was: {}", deed.request.body));
            }
            worker.learn(deed, &answer);
        }
    }

    /// Ends the counts whose outcome is not known, on a server that was not killed and may still be at them: repeated
    /// with the version they were made for, they are done now or were done before.
    pub fn end_counts(&mut self, client: &Client, workers: &mut [Worker]) {
        for own in workers.iter_mut().map(|worker| &mut worker.own) {
            let Some(units) = own.open.take() else { continue };
            let path = format!("/v1/inventory/{}/locations/{LOCATION}", own.sku);
            match answer_at_last(client, &Request::put(path, own.version, &json!({"on_hand": units}))) {
                Some(answer) if matches!(answer.status, 200 | 412) => (own.version, own.on_hand) = (own.version + 1, units),
                answer => self.breach(Kind::Other, format!("the count of {own:?} to {units} ended as {answer:?}")),
            }
        }
    }

    /// The SKU that only one worker counts has the last count acknowledged, or the one whose answer was lost.
    fn own_count(&mut self, client: &Client, own: &mut Own) {
        let open = own.open.take();
        let answer = match client.ask(&Request::get(format!("/v1/inventory/{}", own.sku))) {
            Ok(answer) if answer.status == 404 && own.version == 0 => return,
            Ok(answer) if answer.status == 200 => answer.json(),
            Ok(answer) => return self.breach(Kind::Lost, format!("{own:?}: {}", answer.shown())),
            Err(what) => return self.breach(Kind::Other, what),
        };
        let (version, on_hand) = (answer["version"].as_u64().unwrap_or_default(), answer["on_hand"].as_u64().unwrap_or_default());
        let kept = version == own.version && on_hand == own.on_hand;
        let done = version == own.version + 1 && Some(on_hand) == open;
        if !kept && !done {
            self.breach(Kind::Lost, format!("{own:?} with {open:?} on its way is now {answer}"));
        }
        (own.version, own.on_hand) = (version, on_hand);
    }

    fn claimed(&mut self, claim: &Claim) {
        let life = self.fold.lives.get(&claim.order);
        // Confirming what is paid is answered with 200 and changes nothing.
        let paid = |life: &Life| claim.fact == Fact::Confirmed && life.facts.has(Fact::Paid);
        if !life.is_some_and(|life| life.facts.has(claim.fact) || paid(life)) {
            self.breach(Kind::Lost, format!("acknowledged and gone: {claim:?}, there is {life:?}"));
        }
    }

    /// Everything that happened was asked for, and each order has one final decision.
    fn attempted(&mut self) {
        let touched: BTreeSet<String> = std::mem::take(&mut self.fold.touched).into_iter().collect();
        for order in touched {
            let Some(life) = self.fold.lives.get(&order) else { continue };
            if let Some(reason) = unasked(life, self.ledger.asked(&order)).or(undecided(life)) {
                let what = format!("order {order}: {reason}: {life:?}");
                self.breach(Kind::Other, what);
            }
        }
    }

    /// The same requests again get the same bytes.
    fn repeat(&mut self, client: &Client, fresh: Vec<Deed>) {
        for deed in &fresh {
            self.repeat_one(client, deed);
        }
        for _ in 0..REPEATED.min(self.remembered.len()) {
            let deed = self.remembered[self.dice.index(self.remembered.len())].clone();
            self.repeat_one(client, &deed);
        }
        for deed in fresh {
            if self.remembered.len() < REMEMBERED {
                self.remembered.push(deed);
            } else if self.dice.chance(300) {
                let place = self.dice.index(REMEMBERED);
                self.remembered[place] = deed;
            }
        }
    }

    fn repeat_one(&mut self, client: &Client, deed: &Deed) {
        let request = &deed.request;
        match client.ask(request) {
            Ok(answer) if deed.sealed == Some(Seal::of(&answer)) && answer.replayed => {}
            Ok(answer) => {
                self.breach(Kind::Lost, format!("{request:?} was answered {:?}, now {answer:?} {}", deed.sealed, answer.shown()))
            }
            Err(what) => self.breach(Kind::Other, what),
        }
    }

    /// Stock adds up: the server's counters, the fold of its events and the ledger agree, and nothing is sold twice.
    fn shelves(&mut self, client: &Client) {
        for sku in SKUS {
            match self.same_version(client, sku) {
                Ok(shown) => self.shelf(sku, &shown),
                Err(what) => self.breach(Kind::Other, what),
            }
        }
    }

    /// The counters of a SKU at a moment that the fold has reached, and not passed. Holds may expire meanwhile.
    fn same_version(&mut self, client: &Client, sku: &str) -> Result<Value, String> {
        let looked = poll(PATIENCE, || {
            let shown = match client.json(&Request::get(format!("/v1/inventory/{sku}"))) {
                Ok(shown) => shown,
                Err(what) => return Some(Err(what)),
            };
            if let Err(what) = self.fold.read(client) {
                return Some(Err(what));
            }
            let version = self.fold.shelves.get(sku).map(|shelf| shelf.version);
            (shown["version"].as_u64() == version).then_some(Ok(shown))
        });
        looked.unwrap_or_else(|| Err(format!("the events of {sku} never reach its version")))
    }

    fn shelf(&mut self, sku: &str, shown: &Value) {
        let number = |name: &str| shown[name].as_i64().unwrap_or_default();
        let (on_hand, committed, live) = (number("on_hand"), number("committed"), number("held") + number("pinned"));
        let stocked = self.ledger.stocked(sku);
        let Some(shelf) = self.fold.shelves.get(sku) else { return };
        let told = (shelf.on_hand, shelf.committed, shelf.live());
        if told != (on_hand, committed, live) {
            self.breach(Kind::Other, format!("{sku}: events say on hand, committed, live {told:?}: {shown}"));
        }
        if on_hand != stocked {
            self.breach(Kind::Lost, format!("{sku}: {stocked} units were brought in: {shown}"));
        }
        if number("available") + live + committed != on_hand {
            self.breach(Kind::Other, format!("{sku} does not add up: {shown}"));
        }
        if live + committed > stocked {
            self.breach(Kind::Oversold, format!("{sku}: of {stocked} units {committed} are sold and {live} held"));
        }
    }

    /// Reads some orders, young and long closed.
    fn look(&mut self, client: &Client) {
        let read = self.fold.read(client);
        self.hear(read);
        let start = self.dice.index(self.fold.lives.len().max(1));
        let some: Vec<String> = self.fold.lives.keys().skip(start).take(LOOKED_AT).cloned().collect();
        for order in some {
            let looked = self.look_at(client, &order);
            self.hear(looked);
        }
    }

    /// The version of an order counts its facts.
    fn look_at(&mut self, client: &Client, order: &str) -> Result<(), String> {
        let mut seen = (0, 0);
        let agreed = poll(PATIENCE, || {
            let shown = client.json(&Request::get(format!("/v1/reservations/res_{order}")));
            let shown = shown.and_then(|shown| self.fold.read(client).map(|()| shown));
            match shown {
                Err(what) => Some(Err(what)),
                Ok(shown) => {
                    seen = (shown["version"].as_u64().unwrap_or_default(), self.fold.lives[order].version);
                    (seen.0 == seen.1).then_some(Ok(()))
                }
            }
        });
        agreed.unwrap_or_else(|| Err(format!("order {order} is read at version {}, its events say {}", seen.0, seen.1)))
    }

    fn audit(&mut self, client: &Client) {
        match client.patiently().json(&Request::press("/admin/v1/audit")) {
            Ok(report) if report["ok"] == true => {}
            Ok(report) => self.breach(Kind::Other, format!("audit: {report}")),
            Err(what) => self.breach(Kind::Other, what),
        }
    }

    /// With nothing in flight: money came to its end, all remembered answers repeat, history is what it was.
    pub fn at_the_end(&mut self, client: &Client) -> Vec<Breach> {
        self.money(client);
        self.attempted();
        let all = std::mem::take(&mut self.remembered);
        self.repeat(client, all);
        self.shelves(client);
        let mut again = Fold::default();
        let read = again.read(client).and_then(|()| self.fold.read(client)).and_then(|()| again.read(client));
        self.hear(read);
        if again.history != self.fold.history {
            self.breach(Kind::Lost, "the events are not those that were read before");
        }
        self.audit(client);
        std::mem::take(&mut self.breaches)
    }

    /// Every captured attempt ends in goods or in one refund.
    fn money(&mut self, client: &Client) {
        let captured: BTreeSet<String> = self.ledger.captured.iter().cloned().collect();
        let ended = |fold: &Fold, attempt: &String| fold.money.get(attempt).is_some_and(|money| money.paid + money.refunded > 0);
        let mut open: Vec<&String> = captured.iter().collect();
        let settled = poll(QUIET, || {
            let read = self.fold.read(client);
            open.retain(|attempt| !ended(&self.fold, attempt));
            if let Err(what) = read { Some(Err(what)) } else { open.is_empty().then_some(Ok(())) }
        });
        let result = settled.unwrap_or_else(|| Err(format!("captured, and neither goods nor refund: {open:?}")));
        self.hear(result);
        let wrong = |money: &super::facts::Money| money.refunded > 1 || money.refund_due > 1 || money.paid > 1;
        let twice: Vec<String> = self.fold.money.iter().filter(|(_, money)| wrong(money)).map(|one| format!("{one:?}")).collect();
        twice.into_iter().for_each(|what| self.breach(Kind::Other, what));
        for attempt in &captured {
            let both = self.fold.money.get(attempt).is_some_and(|money| money.paid + money.refunded > 1);
            if both {
                self.breach(Kind::Other, format!("goods and refund for {attempt}"));
            }
        }
    }
}

/// An answer that is not "later".
fn answer_at_last(client: &Client, request: &Request) -> Option<Answer> {
    poll(PATIENCE, || match client.send(request) {
        Reached::Answered(answer) if answer.text("code") == "idempotency_in_progress" => None,
        Reached::Answered(answer) => Some(answer),
        Reached::Refused(_) | Reached::Unknown => None,
    })
}

/// A fact that nobody asked for.
fn unasked(life: &Life, asked: Option<super::facts::Facts>) -> Option<String> {
    let Some(asked) = asked else { return Some("nobody placed it".to_owned()) };
    let caused = [Fact::Confirmed, Fact::Cancelled, Fact::Extended, Fact::PaymentStarted, Fact::Paid];
    let wrong = caused.into_iter().find(|fact| life.facts.has(*fact) && !asked.has(*fact));
    wrong.map(|fact| format!("nobody asked for {fact:?}"))
}

/// Decisions that exclude each other.
fn undecided(life: &Life) -> Option<String> {
    let has = |fact| life.facts.has(fact);
    let over = has(Fact::Cancelled) || has(Fact::Expired) || has(Fact::Rejected);
    let goods = has(Fact::Confirmed) || (has(Fact::Paid) && !has(Fact::Late));
    let clash = (over && goods) || (has(Fact::Cancelled) && has(Fact::Expired)) || (has(Fact::Rejected) && has(Fact::Held));
    (clash || life.placed != 1).then(|| "decided twice".to_owned())
}
