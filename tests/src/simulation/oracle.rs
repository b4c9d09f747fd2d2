//! The oracle over answers: each must be durable when it leaves, the same for ever under its key, and true.
//!
//! Invariant: acknowledged ⊆ recovered ⊆ attempted. What clients were told is kept here, outside the process that crashes.

use super::client::key_of;
use super::ledger::row;
use super::ledger::{Breach, Checked, Ledger, Shown, require};
use holdfast_engine::answer::{Answer, Reply};
use holdfast_engine::command::Command;
use holdfast_engine::event::{FactKind, History, OrderFact, RecordRef, Shortage, StockView, StoredResponse};
use holdfast_engine::ids::{AttemptId, Fingerprint, KeyHash, OrderId, PartitionId, Seq, Sku};
use holdfast_engine::order::Outcome;
use holdfast_engine::rejection::Rejection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::agenda::Micros;

#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// Bodies that were sent under each key.
    attempted: BTreeMap<KeyHash, BTreeSet<u128>>,
    /// The one answer of each key, with the body it was given to.
    bound: BTreeMap<KeyHash, (Fingerprint, Answer)>,
    /// The longest history each order was shown with.
    orders: BTreeMap<OrderId, History>,
    versions: BTreeMap<Sku, u64>,
    kept: BTreeMap<KeyHash, (Fingerprint, Arc<StoredResponse>)>,
    captured: BTreeSet<AttemptId>,
    /// States of SKU partitions that the decision of an order was made from.
    heard: BTreeMap<OrderId, BTreeMap<PartitionId, Seq>>,
    basis: BTreeMap<OrderId, BTreeMap<PartitionId, Seq>>,
    /// What each SKU had available, and since when.
    available: BTreeMap<Sku, Vec<(Micros, Option<u64>)>>,
    placed: BTreeMap<OrderId, Micros>,
}

/// What was durable when an answer left, by partition.
pub(super) struct Leaving<'a> {
    pub partition: usize,
    pub durable: &'a [Seq],
    /// The state the answer was computed from, at least.
    pub read: Seq,
}

impl Oracle {
    pub(super) fn attempt(&mut self, command: &Command) {
        if let Some((key, body)) = key_of(command) {
            self.attempted.entry(key).or_default().insert(body.0);
        }
    }

    /// An answer of a SKU in this state has reached its order.
    pub(super) fn hear(&mut self, order: OrderId, (from, seq): (PartitionId, Seq)) {
        let heard = self.heard.entry(order).or_default().entry(from).or_default();
        *heard = seq.max(*heard);
    }

    /// Takes note of a new record: what it was decided from, and whether a refusal in it is just.
    pub(super) fn recorded(&mut self, now: Micros, order: OrderId, fact: &OrderFact) -> Checked {
        match fact {
            OrderFact::Placed(_) => drop(self.placed.insert(order, now)),
            OrderFact::Held { .. } | OrderFact::TooManyLocations { .. } => {
                drop(self.basis.insert(order, self.heard.get(&order).cloned().unwrap_or_default()))
            }
            OrderFact::Rejected { shortages } => {
                self.basis.insert(order, self.heard.get(&order).cloned().unwrap_or_default());
                let since = self.placed.get(&order).copied().unwrap_or(0);
                for shortage in shortages {
                    self.justified(order, since, shortage)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn justified(&self, order: OrderId, since: Micros, shortage: &Shortage) -> Checked {
        let claimed = shortage.available;
        let seen = self.available.get(&shortage.sku).map(Vec::as_slice).unwrap_or_default();
        let first = seen.partition_point(|(at, _)| *at <= since).saturating_sub(1);
        let never = seen.first().is_none_or(|(at, _)| *at > since) && claimed.is_none();
        let was = never || seen[first..].iter().any(|(_, available)| *available == claimed);
        require(was, "refusals are just", || {
            format!(
                "order {order} was told {claimed:?} of {} are available, which was never so since it was placed",
                shortage.sku
            )
        })
    }

    pub(super) fn stocked(&mut self, now: Micros, ledger: &Ledger, sku: &Sku) {
        let available = ledger.skus.get(sku).filter(|book| book.version > 0).map(|book| book.available());
        self.available.entry(sku.clone()).or_default().push((now, available));
    }

    /// An answer leaves the process.
    pub(super) fn answered(&mut self, command: &Command, reply: &Reply, ledger: &Ledger, leaving: &Leaving<'_>) -> Checked {
        let durable = leaving.durable[leaving.partition];
        require(leaving.read <= durable, "I14 answers wait for the state they were computed from", || {
            format!("{command:?} read record {}, durable is {durable}: {reply:?}", leaving.read)
        })?;
        match &reply.outcome {
            Ok(Answer::Order { id, history }) => self.order_shown(command, (*id, history), ledger, leaving)?,
            Ok(Answer::Stored(answer)) => self.kept_shown(command, answer, ledger, durable)?,
            Ok(Answer::Stock(view)) => self.stock_shown(view, ledger)?,
            Ok(Answer::Availability(_)) => {}
            Ok(Answer::Orders(page)) => {
                for (id, history) in &page.found {
                    self.order_shown(command, (*id, history), ledger, leaving)?;
                }
            }
            Ok(Answer::StockList(page)) => {
                for view in &page.found {
                    self.stock_shown(view, ledger)?;
                }
            }
            Ok(Answer::LocationClosed { version }) => self.location_closed(command, *version, ledger)?,
            Ok(Answer::Changes(changes)) => ledger.changes_shown(leaving.partition, changes, durable)?,
            Ok(Answer::Recorded) => self.outcome_recorded(command, ledger)?,
            Err(rejection) => self.refused(command, rejection, ledger)?,
        }
        match (&reply.outcome, key_of(command)) {
            (Ok(answer), Some((key, body))) => {
                self.bound_in_journal(command, answer, (key, body), ledger, durable)?;
                self.bind(key, body, answer)
            }
            (Ok(_) | Err(_), _) => Ok(()),
        }
    }

    /// One key, one body, one answer, for ever.
    fn bind(&mut self, key: KeyHash, body: Fingerprint, answer: &Answer) -> Checked {
        let (bound, first) = self.bound.entry(key).or_insert_with(|| (body, answer.clone()));
        require(*bound == body, "I13 another body is refused", || format!("key {key:?} answered two bodies: {answer:?}"))?;
        require(first == answer, "I13 one key, one answer", || format!("key {key:?} answered {first:?}, then {answer:?}"))
    }

    /// The answer about an order to a command whose key no order keeps.
    fn bound_in_journal(
        &self,
        command: &Command,
        answer: &Answer,
        (key, body): (KeyHash, Fingerprint),
        ledger: &Ledger,
        durable: Seq,
    ) -> Checked {
        let (Command::Under { .. }, Answer::Order { .. }) = (command, answer) else { return Ok(()) };
        let kept = ledger.keys.get(&key).is_some_and(|book| book.fingerprint == body && book.seq <= durable);
        require(kept, "I14 acknowledged is durable", || format!("key {key:?} was answered {answer:?} and is not kept"))
    }

    fn order_shown(
        &mut self,
        command: &Command,
        (id, history): (OrderId, &History),
        ledger: &Ledger,
        leaving: &Leaving<'_>,
    ) -> Checked {
        let book = ledger.orders.get(&id).map(|book| book.history.as_slice()).unwrap_or_default();
        require(history.records().eq(book.iter().take(history.len()).cloned()), "I14 acknowledged is submitted", || {
            format!("order {id} was shown as {history:?}, the journal has {book:?}")
        })?;
        let last = history.last().seq;
        let durable = leaving.durable[leaving.partition];
        require(last <= durable, "I14 acknowledged is durable", || {
            format!("order {id} was shown up to record {last}, durable is {durable}")
        })?;
        if let Command::Place { placed, .. } = command {
            let same = placed.fingerprint == history.placed().fingerprint();
            require(same, "I13 another body is refused", || format!("order {id} was answered to another body"))?;
        }
        let decided =
            |record: RecordRef<'_>| matches!(record.kind, FactKind::Held | FactKind::Rejected | FactKind::TooManyLocations);
        let basis = self.basis.get(&id).filter(|_| history.iter().any(decided));
        for (partition, seq) in basis.into_iter().flatten() {
            let durable = leaving.durable[usize::from(partition.0)];
            require(*seq <= durable, "I14 decisions wait for the state they were made from", || {
                format!("order {id} was decided from record {seq} of partition {}, durable is {durable}", partition.0)
            })?;
        }
        let shown = self.orders.entry(id).or_insert_with(|| history.clone());
        if shown.len() < history.len() {
            *shown = history.clone();
        }
        Ok(())
    }

    fn kept_shown(&mut self, command: &Command, answer: &Arc<StoredResponse>, ledger: &Ledger, durable: Seq) -> Checked {
        let Some((key, body)) = key_of(command) else {
            return Err(Breach::new("I13 kept answers have keys", format!("{command:?} got {answer:?}")));
        };
        let Some(book) = ledger.keys.get(&key) else {
            // The answer to an attempt follows from the facts of its order.
            let attempt = matches!(command, Command::StartPayment { .. });
            return require(attempt, "I14 acknowledged is submitted", || format!("key {key:?} is in no journal: {answer:?}"));
        };
        let agrees = book.fingerprint == body && book.answer == *answer;
        require(agrees, "I13 one key, one answer", || format!("key {key:?} has {book:?}, the answer was {answer:?}"))?;
        require(book.seq <= durable, "I14 acknowledged is durable", || {
            format!("key {key:?} was answered before its record was durable")
        })?;
        self.kept.insert(key, (body, answer.clone()));
        Ok(())
    }

    fn stock_shown(&mut self, view: &StockView, ledger: &Ledger) -> Checked {
        let rows = view.locations.iter().map(|at| {
            let b = &at.buckets;
            let units = [b.on_hand, b.held, b.pinned, b.committed, b.damaged, b.quality_control, b.safety_target];
            row(&at.location, units.map(|units| i64::from(units.units())))
        });
        let shown = rows.fold(0, u64::wrapping_add);
        let book = ledger.skus.get(&view.sku).and_then(|book| book.views.get(&view.version));
        require(book == Some(&shown), "I3 stock is the sum of its movements", || format!("a reader was shown {view:?}"))?;
        let followed = ledger.skus.get(&view.sku).and_then(|book| book.followed.get(&view.version)).copied();
        require(followed == Some(Shown::of(view)), "I3 events tell each level once", || {
            format!("a reader was shown {view:?}, its events tell {followed:?}")
        })?;
        let version = self.versions.entry(view.sku.clone()).or_default();
        *version = view.version.max(*version);
        Ok(())
    }

    fn location_closed(&mut self, command: &Command, version: u64, ledger: &Ledger) -> Checked {
        let Command::CloseLocation { sku, .. } = command else {
            return Err(Breach::new("a close is asked for", format!("{command:?} closed a location")));
        };
        let submitted = ledger.skus.get(sku).is_some_and(|book| book.version >= version);
        require(submitted, "I14 acknowledged is submitted", || format!("{command:?} made version {version}"))?;
        let known = self.versions.entry(sku.clone()).or_default();
        *known = version.max(*known);
        Ok(())
    }

    fn outcome_recorded(&mut self, command: &Command, ledger: &Ledger) -> Checked {
        let Command::PaymentResult { attempt, outcome: Outcome::Captured } = command else { return Ok(()) };
        self.captured.insert(*attempt);
        money_known(*attempt, ledger)
    }

    fn refused(&self, command: &Command, rejection: &Rejection, ledger: &Ledger) -> Checked {
        let key = key_of(command);
        match rejection {
            Rejection::KeyReused => {
                let bodies = key.and_then(|(key, _)| self.attempted.get(&key)).map_or(0, BTreeSet::len);
                let own = key.is_some_and(|(key, body)| self.bound.get(&key).is_some_and(|(bound, _)| *bound == body));
                require(bodies > 1 && !own, "I13 the same body is not refused", || format!("{command:?}"))
            }
            Rejection::KeyInProgress => {
                let done = key.is_some_and(|(key, _)| self.bound.contains_key(&key));
                require(!done, "I13 an answered key stays answered", || format!("{command:?}"))
            }
            Rejection::NotFound => {
                let shown = command.order().is_some_and(|order| self.orders.contains_key(&order));
                let asked = if let Command::Under { command, .. } = command { &**command } else { command };
                let wrong_kind = matches!(asked, Command::Extend { .. });
                let key = if let Command::GetAnswer { key, .. } = command { Some(key.hash) } else { None };
                let answered = key.is_some_and(|key| self.kept.contains_key(&key));
                require(!answered, "I14 an acknowledged answer is found", || format!("{command:?}"))?;
                require(!shown || wrong_kind, "I14 an acknowledged order is found", || format!("{command:?}"))
            }
            Rejection::ReservationExpired => {
                let sold = command.order().and_then(|order| ledger.orders.get(&order)).is_some_and(|book| book.sold());
                require(!sold, "I6 what is sold is not expired", || format!("{command:?}"))
            }
            Rejection::InvalidTransition { .. }
            | Rejection::VersionMismatch { .. }
            | Rejection::BelowTaken { .. }
            | Rejection::LocationInUse { .. }
            | Rejection::UnknownSku(_)
            | Rejection::Short(_)
            | Rejection::TooMany
            | Rejection::HoldTooLong { .. }
            | Rejection::HoldLimit(_) => Ok(()),
        }
    }

    /// After a crash: everything anybody was told is still so.
    pub(super) fn recovered(&mut self, now: Micros, ledger: &Ledger) -> Checked {
        const KEPT: &str = "I14 acknowledged is recovered";
        for (id, shown) in &self.orders {
            let book = ledger.orders.get(id).map(|book| book.history.as_slice()).unwrap_or_default();
            require(shown.records().eq(book.iter().take(shown.len()).cloned()), KEPT, || {
                format!("order {id} was shown as {shown:?}, recovered is {book:?}")
            })?;
        }
        for (sku, version) in &self.versions {
            let book = ledger.skus.get(sku).map_or(0, |book| book.version);
            require(book >= *version, KEPT, || format!("{sku} was shown at version {version}, recovered is {book}"))?;
        }
        for (key, (body, answer)) in &self.kept {
            let same = ledger.keys.get(key).is_some_and(|book| book.fingerprint == *body && book.answer == *answer);
            require(same, KEPT, || format!("key {key:?} was answered {answer:?} and is forgotten"))?;
        }
        for attempt in &self.captured {
            money_known(*attempt, ledger)?;
        }
        self.heard.clear();
        let skus: Vec<Sku> = self.available.keys().cloned().collect();
        skus.iter().for_each(|sku| self.stocked(now, ledger, sku));
        Ok(())
    }
}

/// A recorded payment is in the books of its order.
fn money_known(attempt: AttemptId, ledger: &Ledger) -> Checked {
    use super::ledger::Purse;
    let purse = ledger.orders.get(&attempt.order).and_then(|book| book.purses.get(&attempt.number));
    let known = matches!(purse, Some(Purse::Taken | Purse::RefundDue | Purse::Refunded));
    require(known, "I14 recorded money is in the journal", || format!("{attempt} is {purse:?}"))
}
